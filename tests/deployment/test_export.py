"""ONNX graphs in onnxruntime beside PyTorch: every kind of model, sizes, batch sizes."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import digit_version
from torch import nn

from mmspanet.engine import device
from mmspanet.errors import InputError
from tests.helpers import random_model

pytest.importorskip('onnxscript')
onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from mmspanet.deployment import export, parts  # noqa: E402

ROOT = Path(__file__).parents[2]
ALL_MIXERS = dict(
    depths=(1, 1, 1, 1),
    channels=(32, 32, 64, 64),
    mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        digit_version(torch.__version__) < digit_version('2.9'), reason='another exporter'
    ),
]


class OnlyBackbone(nn.Module):
    def __init__(self, backbone) -> None:
        super().__init__()
        self.backbone = backbone


def build(file: str, **changes):
    """A config's model with random weights, norms' statistics included, in eval mode."""
    cfg = Config.fromfile(ROOT / 'configs' / file)
    cfg.model.backbone.pop('init_cfg', None)
    for name, options in changes.items():
        cfg.model[name].update(options)
    init_default_scope(cfg.default_scope)
    device.replace_sync_bn(cfg.model)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model


def exported(model, size, folder, cut=parts.model_parts):
    """The files of the model's parts, for any batch size, compared with the model at 2 and 1."""
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, size)
    files, runs = {}, {}
    for part in cut(prepared, size, 2):
        files[part.name] = folder / f'{part.name}.onnx'
        notes = dict(channels='RGB')
        export.write_onnx(part, files[part.name], notes, frozenset({'batch'}))
        runs[part.name] = export.open_in_runtime(files[part.name])
    for batch in (1, 3):
        for part in cut(model, size, batch):
            assert export.largest_difference(runs[part.name], part) <= export.TOLERANCE
    return files


def run(file, **feeds) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    return session.run(None, {name: value.numpy() for name, value in feeds.items()})


@pytest.mark.parametrize('size', [(64, 64), (75, 101), (96, 160)])
def test_backbone(size, tmp_path):
    model = OnlyBackbone(random_model(ALL_MIXERS))
    file = exported(model, size, tmp_path, parts.backbone_parts)['backbone']
    graph = onnx.load(file)
    assert [entry.version for entry in graph.opset_import if not entry.domain] == [export.OPSET]
    assert not any('DFT' in node.op_type or node.domain for node in graph.graph.node)
    assert {entry.key: entry.value for entry in graph.metadata_props} == dict(channels='RGB')


def test_fixed_batch_and_a_wrong_graph(tmp_path):
    model = OnlyBackbone(random_model(ALL_MIXERS, out_indices=(0,)))
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, (32, 40))
    (part,) = parts.backbone_parts(prepared, (32, 40), 1)
    export.write_onnx(part, tmp_path / 'one.onnx', notes={})
    run_file = export.open_in_runtime(tmp_path / 'one.onnx')
    (reference,) = parts.backbone_parts(model, (32, 40), 1)
    assert export.largest_difference(run_file, reference) <= export.TOLERANCE
    with pytest.raises(Exception, match='Got: 2 Expected: 1'):
        run(tmp_path / 'one.onnx', images=torch.randn(2, 3, 32, 40))
    # The comparison itself: what is no number, and another gain of one channel, are noticed.
    nothing = [
        np.full_like(value, np.nan)
        for value in run_file({n: v.numpy() for n, v in reference.inputs.items()})
    ]
    assert np.isnan(export.largest_difference(lambda feeds: nothing, reference))
    model.backbone.stages[0][0].token_mixer.srf.filter.data[0].mul_(1.1)
    model.train().eval()  # as the filter's cache asks for when .data is written
    assert export.largest_difference(run_file, reference) > export.TOLERANCE


def test_classifier(tmp_path):
    pytest.importorskip('mmpretrain')
    exported(build('cls/spanetv2_shapes.py'), (64, 64), tmp_path)


SEMANTIC_FPN = 'seg/fpn_spanetv2-s18-pure_4xb8-amp-40k_ade20k-512x512.py'


@pytest.mark.parametrize(
    ('file', 'changes'),
    [
        ('seg/upernet_spanetv2_shapes.py', {}),
        (
            SEMANTIC_FPN,
            dict(backbone=dict(arch=ALL_MIXERS), neck=dict(in_channels=[32, 32, 64, 64])),
        ),
    ],
    ids=['UperNet', 'Semantic FPN'],
)
def test_segmentor(file, changes, tmp_path):
    pytest.importorskip('mmseg')
    model = build(file, **changes)
    size = (64, 96)
    file = exported(model, size, tmp_path)['segmentor']
    images = torch.randn(1, 3, *size)
    (logits,) = run(file, images=images)
    with torch.no_grad():
        expected = model.inference(images, [dict(img_shape=size, ori_shape=size)])
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.abs().max().item())


def test_one_stage_detector(tmp_path):
    pytest.importorskip('mmdet')
    model = build(
        'det/retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco.py',
        backbone=dict(arch=ALL_MIXERS),
        neck=dict(in_channels=[32, 64, 64]),
    )
    file = exported(model, (64, 96), tmp_path)['detector']
    names = [output.name for output in onnx.load(file).graph.output]
    assert names == [f'{kind}{i}' for kind in ('cls_score', 'bbox_pred') for i in range(5)]


def regions(files, model, images):
    """What the first graph finds, and what runs behind it: regions (R, 5); the pyramid's levels."""
    from mmcv.ops import batched_nms

    outputs = [torch.from_numpy(value) for value in run(files['proposals'], images=images)]
    count = len(outputs) // 3
    levels, scores, boxes = outputs[:count], outputs[count : 2 * count], outputs[2 * count :]
    cfg = model.test_cfg.rpn
    kept = [s[0].topk(min(cfg.nms_pre, s.shape[1])) for s in scores]
    best = torch.cat([k.values for k in kept])
    candidates = torch.cat([b[0][k.indices] for b, k in zip(boxes, kept, strict=True)])
    level = torch.cat([torch.full_like(k.indices, i) for i, k in enumerate(kept)])
    large = (candidates[:, 2:] > candidates[:, :2]).all(dim=1)
    chosen, _ = batched_nms(candidates[large], best[large], level[large], cfg.nms)
    feeds = {f'level{i}': value for i, value in enumerate(levels[:4])}
    return nn.functional.pad(chosen[: cfg.max_per_img, :4], (1, 0)), feeds


def test_mask_rcnn_from_graphs_equals_mmdet(tmp_path):
    """Three graphs, and between them what stays outside: the whole detector's own predictions."""
    pytest.importorskip('mmdet')
    from mmdet.models.layers import multiclass_nms
    from mmdet.structures import DetDataSample

    size = (96, 128)
    model = build('det/maskrcnn_spanetv2_shapes.py')
    model.roi_head.test_cfg.nms = dict(type='nms', iou_threshold=0.5)
    for layer in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls):
        nn.init.normal_(layer.weight, std=0.3)  # scores that differ
    files = exported(model, size, tmp_path)
    images = torch.randn(1, 3, *size)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), pad_shape=size)
    with torch.no_grad():
        (expected,) = model.predict(images, [DetDataSample(metainfo=meta)], rescale=False)

    rois, feeds = regions(files, model, images)
    probabilities, decoded = map(torch.from_numpy, run(files['box_head'], rois=rois, **feeds))
    cfg = model.test_cfg.rcnn
    found, labels = multiclass_nms(
        decoded.flatten(1), probabilities, cfg.score_thr, model.roi_head.test_cfg.nms, 100
    )
    assert len(found) == len(expected.pred_instances) > 5
    torch.testing.assert_close(found[:, :4], expected.pred_instances.bboxes, atol=1e-2, rtol=1e-4)
    assert labels.tolist() == expected.pred_instances.labels.tolist()

    rois = nn.functional.pad(found[:, :4], (1, 0))
    (masks,) = run(files['mask_head'], rois=rois, **feeds)
    of_class = torch.from_numpy(masks)[range(len(labels)), labels]
    with torch.no_grad():
        logits = model.roi_head._mask_forward(model.extract_feat(images), rois)['mask_preds']
    reference = logits.sigmoid()[range(len(labels)), labels]
    torch.testing.assert_close(of_class, reference, atol=1e-4, rtol=0)


def test_a_model_without_a_sound_graph_is_refused():
    class Detr(nn.Module):
        encoder = bbox_head = None

    with pytest.raises(InputError, match='export its backbone'):
        parts.model_parts(Detr(), (32, 32), 1)


def test_the_command(tmp_path):
    """From a checkpoint; other weights would differ from this model's outputs."""
    pytest.importorskip('mmpretrain')
    model = build('cls/spanetv2_shapes.py')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    command = [
        'tools/deployment/export.py', 'configs/cls/spanetv2_shapes.py',
        tmp_path / 'weights.pth', '--out', tmp_path / 'onnx', '--dynamic', 'batch',
    ]  # fmt: skip
    said = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    file = tmp_path / 'onnx/spanetv2_shapes_classifier_64x64.onnx'
    assert f'{file}: images -> logits' in said.stdout
    (part,) = parts.model_parts(model, (64, 64), 2)
    assert export.largest_difference(export.open_in_runtime(file), part) <= export.TOLERANCE
    notes = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert notes['channels'] == 'RGB'
    assert notes['mean'] == '[123.675, 116.28, 103.53]'
    page = (ROOT / 'docs/deployment.md').read_text()
    example = re.search(r'```python\n(import json.*?)```', page, re.DOTALL)[1]
    found: dict = {}
    exec(example.replace('work_dirs/export', str(tmp_path / 'onnx')), found)
    assert found['logits'].shape == (1, 5)
    assert found['images'][0, :, 0, 0] == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-3)
