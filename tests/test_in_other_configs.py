"""The backbone in stock configs of the libraries, as the pages show it: a loss and a prediction."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmspanet.engine import device
from tests.helpers import ROOT

PAGES = ''.join((ROOT / page).read_text() for page in ('README.md', 'docs/other_configs.md'))
# The stock config, and what a user writes below it.
SWAPS = dict(
    re.findall(
        r"^_base_ = '(?:mmdet::|<mmseg>/.mim/configs/)([^']*)'\n(.*?)^```$",
        PAGES,
        re.M | re.S,
    )
)
OPTIMIZER = re.search(r'^optim_wrapper = .*?^\)$', PAGES, re.M | re.S)[0]


def write_config(stock: str, lines: str, folder: Path) -> Path:
    bases = [
        Path(spec.submodule_search_locations[0]) / '.mim/configs' / stock
        for spec in map(find_spec, ('mmdet', 'mmseg'))
        if spec is not None
    ]
    base = next((base for base in bases if base.is_file()), None)
    if base is None:
        pytest.skip('its library is not installed')
    path = folder / 'swapped.py'
    path.write_text(f'_base_ = [{str(base)!r}]\n{lines}')
    return path


@pytest.fixture(params=SWAPS, ids=lambda stock: stock.split('/')[0])
def swapped(request, tmp_path) -> Config:
    """A stock config with our backbone, made small only where its speed is concerned."""
    lines = SWAPS[request.param]
    cfg = Config.fromfile(write_config(request.param, lines, tmp_path))
    backbone = cfg.model.backbone
    del backbone.init_cfg  # a download
    # One block per stage; the widths, on which the neck depends, are those of the user's arch.
    backbone.arch = dict(
        depths=(1, 1, 1, 1),
        channels=(64, 128, 320, 512),
        mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
    )
    device.adapt_to_cpu(cfg)
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg: Config):
    from mmengine.registry import MODELS

    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def detection_batch(cfg: Config) -> dict:
    from mmdet.testing import demo_mm_inputs

    if cfg.model.type == 'DINO':  # 900 is more than a small image has positions
        cfg.model.num_queries = 20
    with_mask = cfg.model.type in ('MaskRCNN', 'Mask2Former')
    if cfg.model.type == 'Mask2Former':  # it pads every training image to 1024 x 1024
        cfg.model.data_preprocessor.batch_augments[0].size = (64, 64)
    batch = demo_mm_inputs(
        2, [[3, 64, 64]] * 2, num_items=[2, 1], num_classes=80, with_mask=with_mask
    )
    for sample in batch['data_samples']:  # over most of the image, so that every head has positives
        boxes = torch.tensor([[4.0, 4, 50, 55], [20, 15, 60, 45]])
        sample.gt_instances.bboxes = boxes[: len(sample.gt_instances)]
    return batch


def segmentation_batch(cfg: Config) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg.model.data_preprocessor.size = (64, 64)
    samples = []
    for _ in range(2):
        labels = torch.randint(0, cfg.model.decode_head.num_classes, (1, 64, 64))
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        sample.set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64), padding_size=[0] * 4))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    return dict(inputs=images, data_samples=samples)


def test_stock_configs(swapped):
    cfg = swapped
    batch = (detection_batch if cfg.default_scope == 'mmdet' else segmentation_batch)(cfg)
    cfg.model.backbone.drop_path_rate = 0.0  # a dropped block has no gradient
    model = build(cfg)
    build_optim_wrapper(model, cfg.optim_wrapper)
    changes: dict = {}
    exec(OPTIMIZER, changes)  # that of the page
    cfg.merge_from_dict(dict(optim_wrapper=changes['optim_wrapper']))
    build_optim_wrapper(model, cfg.optim_wrapper)

    data = model.data_preprocessor(batch, training=True)
    loss, _ = model.train().parse_losses(model(**data, mode='loss'))
    assert torch.isfinite(loss)
    loss.backward()
    silent = [n for n, p in model.backbone.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent

    with torch.no_grad():
        predictions = model.eval()(**model.data_preprocessor(batch), mode='predict')
    assert len(predictions) == 2
    if cfg.default_scope == 'mmseg':
        assert predictions[0].seg_logits.data.shape == (cfg.model.decode_head.num_classes, 64, 64)
    else:
        boxes = predictions[0].pred_instances.bboxes
        assert boxes.shape[1] == 4
        assert torch.isfinite(boxes).all()
