"""Every config builds, computes a loss and a prediction, and says what the recipe says."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmspanet.engine import launch

CONFIGS = Path(__file__).parents[1] / 'configs'
FILES = {
    task: sorted(str(p.relative_to(CONFIGS)) for p in (CONFIGS / task).glob('*.py'))
    for task in ('det', 'seg', 'cls')
}
IGNORED = 255  # label of unlabelled pixels


def load(file: str) -> Config:
    """The config, without its pretrained weights and with what a CPU can't do turned off."""
    cfg = Config.fromfile(CONFIGS / file)
    cfg.model.backbone.pop('init_cfg', None)
    launch.fit_to_machine(cfg)
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg: Config, registry):
    torch.manual_seed(0)
    model = registry.build(cfg.model)
    model.init_weights()
    return model


def assert_trains_and_groups(cfg: Config, model, losses: dict) -> None:
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    grouped = sum(len(group['params']) for group in wrapper.optimizer.param_groups)
    assert grouped == len([p for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize('file', FILES['det'])
def test_detection(file):
    mmdet_registry = pytest.importorskip('mmdet.registry')
    from mmdet.testing import demo_mm_inputs

    cfg = load(file)
    model = build(cfg, mmdet_registry.MODELS)
    classes = cfg.model.roi_head.bbox_head.num_classes
    # Boxes over most of the image, so that every head has positives to learn from.
    inputs = demo_mm_inputs(
        2, [[3, 128, 128]] * 2, num_items=[3, 2], num_classes=classes, with_mask=True
    )
    data = model.data_preprocessor(inputs, training=True)
    for sample in data['data_samples']:
        boxes = torch.tensor([[8.0, 8, 100, 110], [40, 30, 120, 90], [10, 60, 50, 120]])
        sample.gt_instances.bboxes = boxes[: len(sample.gt_instances)]
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**model.data_preprocessor(inputs), mode='predict')
    assert len(predictions) == 2


@pytest.mark.parametrize('file', FILES['seg'])
def test_segmentation(file):
    mmseg_registry = pytest.importorskip('mmseg.registry')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg = load(file)
    cfg.model.data_preprocessor.size = (64, 64)
    model = build(cfg, mmseg_registry.MODELS)
    classes = cfg.model.decode_head.num_classes
    samples = []
    for _ in range(2):
        labels = torch.randint(0, classes, (1, 64, 64))
        labels[:, :4] = IGNORED
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        sample.set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64), padding_size=[0] * 4))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**data, mode='predict')
    assert predictions[0].pred_sem_seg.data.shape == (1, 64, 64)
    assert predictions[0].seg_logits.data.shape[0] == classes


@pytest.mark.parametrize('file', FILES['cls'])
def test_classification(file):
    mmpretrain_registry = pytest.importorskip('mmpretrain.registry')
    from mmpretrain.structures import DataSample

    cfg = load(file)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = build(cfg, mmpretrain_registry.MODELS)
    classes = cfg.model.head.num_classes
    samples = [DataSample().set_gt_label(k) for k in range(2)]
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**data, mode='predict')
    assert predictions[0].pred_score.shape == (classes,)


# --- what the recipes of the spec say -----------------------------------------------------------


def test_front_doors_are_s18_pure():
    for file in ('det/maskrcnn_spanetv2.py', 'seg/upernet_spanetv2.py', 'cls/spanetv2.py'):
        backbone = Config.fromfile(CONFIGS / file).model.backbone
        assert backbone.type == 'mmspanet.SPANetV2'
        assert backbone.arch == 's18-pure'
        assert backbone.drop_path_rate == 0.2


def test_mask_rcnn_recipe():
    cfg = Config.fromfile(CONFIGS / 'det/maskrcnn_spanetv2.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.betas) == (1e-4, 0.05, (0.9, 0.999))
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.get('clip_grad') is None
    assert cfg.optim_wrapper.paramwise_cfg == dict(
        decay_rate=0.95, decay_type='layer_wise', num_layers=6
    )
    gpus = 4
    assert cfg.train_dataloader.batch_size * gpus == cfg.auto_scale_lr.base_batch_size == 8
    assert cfg.auto_scale_lr.base_batch_size * cfg.optim_wrapper.accumulative_counts == 16
    warmup, steps = cfg.param_scheduler
    assert (warmup.end, warmup.start_factor, warmup.by_epoch) == (1000, 0.001, False)
    assert warmup.end // cfg.optim_wrapper.accumulative_counts == 500  # optimizer steps
    assert (steps.milestones, steps.gamma, cfg.train_cfg.max_epochs) == ([27, 33], 0.1, 36)
    flip, choice = cfg.train_dataloader.dataset.pipeline[2:4]
    assert flip.prob == 0.5
    plain, cropped = choice.transforms
    assert plain[0].scales == cropped[2].scales == [(s, 1333) for s in range(480, 801, 32)]
    assert cropped[0].scales == [(400, 1333), (500, 1333), (600, 1333)]
    assert (cropped[1].crop_size, cropped[1].crop_type) == ((384, 600), 'absolute_range')
    assert cropped[1].allow_negative_crop
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (1333, 800)
    assert cfg.model.data_preprocessor.pad_size_divisor == 32
    assert (cfg.model.neck.out_channels, cfg.model.neck.num_outs) == (256, 5)


def test_upernet_recipe():
    cfg = Config.fromfile(CONFIGS / 'seg/upernet_spanetv2.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.betas) == (1e-4, 0.05, (0.9, 0.999))
    assert cfg.optim_wrapper.paramwise_cfg == dict(
        decay_rate=0.9, decay_type='stage_wise', num_layers=7
    )
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.begin, warmup.end) == (1e-6, 0, 1500)
    assert (poly.power, poly.eta_min, poly.begin, poly.end) == (1.0, 0.0, 1500, 160000)
    assert cfg.train_cfg.max_iters == 160000
    assert cfg.train_dataloader.batch_size * 4 == cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(341, 341))
    assert cfg.model.decode_head.channels == 512
    auxiliary = cfg.model.auxiliary_head
    assert (auxiliary.in_channels, auxiliary.in_index, auxiliary.channels) == (320, 2, 256)
    assert auxiliary.loss_decode.loss_weight == 0.4
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomCrop'].crop_size == (512, 512)
    assert pipeline['RandomCrop'].cat_max_ratio == 0.75
    assert pipeline['RandomResize'].ratio_range == (0.5, 2.0)
    assert pipeline['LoadAnnotations'].reduce_zero_label
    scales = cfg.tta_pipeline[1].transforms[0]
    assert [s.scale[1] / 512 for s in scales] == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_imagenet_recipe():
    cfg = Config.fromfile(CONFIGS / 'cls/spanetv2.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 4e-3, 0.05)
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size
    assert cfg.auto_scale_lr.base_batch_size * cfg.optim_wrapper.accumulative_counts == 4096
    warmup, cosine = cfg.param_scheduler
    assert warmup.start_factor * optimizer.lr == pytest.approx(1e-6)
    assert (warmup.end, cosine.begin, cosine.end, cosine.eta_min) == (20, 20, 300, 1e-5)
    assert cfg.train_cfg.max_epochs == 300
    assert [a.alpha for a in cfg.model.train_cfg.augments] == [0.8, 1.0]
    assert cfg.model.head.loss.label_smooth_val == 0.1
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomResizedCrop'].crop_ratio_range == (0.08, 1.0)
    assert pipeline['RandAugment'].magnitude_level == 9
    assert pipeline['RandomErasing'].erase_prob == 0.25
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert (resize.scale, resize.interpolation) == (224, 'bicubic')


def test_one_dimensional_parameters_of_the_classifier_do_not_decay():
    mmpretrain_registry = pytest.importorskip('mmpretrain.registry')
    cfg = load('cls/spanetv2.py')
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = mmpretrain_registry.MODELS.build(cfg.model)
    decays = {}
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.optimizer.param_groups:
        decays |= {id(p): group['weight_decay'] for p in group['params']}
    for name, param in model.named_parameters():
        decay = 0.0 if param.ndim == 1 or name.endswith('.bias') else 0.05
        assert decays[id(param)] == decay, name
