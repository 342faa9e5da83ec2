"""Whole models as one graph: MMDetection's, MMSegmentation's and MMPretrain's own predictions."""

import copy
import json

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from mmspanet.errors import InputError
from tests.deployment import tensorrt
from tests.deployment.test_export import ALL_MIXERS, build, pytestmark  # noqa: F401
from tests.helpers import ROOT

mmdet = pytest.importorskip('mmdet')

from mmcv.ops import batched_nms  # noqa: E402

from mmspanet.deployment import check, end2end, export, metadata, parts  # noqa: E402
from mmspanet.deployment.nms import soft_nms  # noqa: E402


def crowd(count: int = 60, images: int = 2):
    """Boxes that overlap, with scores and labels."""
    torch.manual_seed(0)
    corners = 50 * torch.rand(images, count, 2)
    boxes = torch.cat([corners, corners + 40 * torch.rand(images, count, 2) + 5], dim=2)
    return boxes, torch.rand(images, count), torch.randint(3, (images, count))


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='nms', iou_threshold=0.4),
        dict(type='nms', iou_threshold=0.4, class_agnostic=True),
        dict(type='soft_nms', iou_threshold=0.5, min_score=0.1),
        dict(type='soft_nms', iou_threshold=0.5, min_score=0.1, method='gaussian', sigma=0.4),
        dict(type='soft_nms', iou_threshold=0.5, method='naive'),
    ],
    ids=['hard', 'agnostic', 'linear', 'gaussian', 'naive'],
)
def test_the_best_boxes_are_those_of_mmcv(cfg):
    boxes, scores, labels = crowd()
    found = end2end.Candidates(boxes, scores, labels, 3).best(cfg, 0.2, 20)
    for i, (best, rates, classes) in enumerate(zip(*found, strict=True)):
        some = scores[i] > 0.2
        wanted, kept = batched_nms(boxes[i][some], scores[i][some], labels[i][some], cfg)
        count = min(20, len(wanted))
        assert (classes >= 0).sum() == count > 5
        torch.testing.assert_close(rates[:count], wanted[:count, 4])
        torch.testing.assert_close(best[:count], wanted[:count, :4])
        assert classes[:count].tolist() == labels[i][some][kept][:count].tolist()
        assert (rates[count:] == 0).all()
        assert (best[count:] == 0).all()


class Choice(nn.Module):
    def forward(self, boxes, scores, labels):
        hard = end2end.Candidates(boxes, scores, labels, 3).best(dict(iou_threshold=0.4), 0.2, 20)
        return (*hard, *soft_nms(boxes, scores, labels, 20, 0.5))


@pytest.mark.parametrize('to', ['onnx', 'openvino'])
def test_the_graph_takes_the_same_boxes(to, tmp_path):
    if to == 'openvino':
        pytest.importorskip('openvino')
    inputs = dict(zip(('boxes', 'scores', 'labels'), crowd(), strict=True))
    names = ['best', 'rates', 'classes', 'lowered', 'index']
    part = parts.Part('choice', Choice(), inputs, names)
    kind = export.FORMATS[to]
    path = tmp_path / f'choice{kind.suffix}'
    kind.write(part, path, {}, frozenset({'batch'}))
    run = kind.open(path)
    for images in (1, 3):
        part.inputs = dict(zip(inputs, crowd(images=images), strict=True))
        assert export.largest_difference(run, part) < 1e-6


def exported(model, size, folder, dynamic=frozenset({'batch'})):
    """The model's graph of a fixed size, opened in onnxruntime."""
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, tuple(side + -side % 32 for side in size))
    (part,) = parts.end2end_parts(prepared, size, 2)
    path = folder / 'end2end.onnx'
    export.write_onnx(part, path, {}, dynamic)
    return path


def predictions(model, images, sizes):
    """MMDetection's own, of images (B, H, W, 3), uint8, with their sizes."""
    from mmdet.structures import DetDataSample

    data = [
        dict(
            inputs=image[:height, :width].permute(2, 0, 1),
            data_samples=DetDataSample(
                metainfo=dict(
                    img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0)
                )
            ),
        )
        for image, (height, width) in zip(images, sizes.tolist(), strict=True)
    ]
    with torch.no_grad():
        return [
            model.test_step(dict(inputs=[each['inputs']], data_samples=[each['data_samples']]))[
                0
            ].pred_instances
            for each in data
        ]


def detections(found, index):
    """What a graph found in one image of a batch."""
    boxes, scores, labels, *_ = (torch.from_numpy(each[index]) for each in found)
    there = labels >= 0
    return InstanceData(bboxes=boxes[there], scores=scores[there], labels=labels[there])


def spread_scores(model):
    """Random weights give all boxes alike scores."""
    for name, layer in model.named_modules():
        if name.endswith(('rpn_cls', 'fc_cls', 'retina_cls')):
            nn.init.normal_(layer.weight, std=0.02 if 'retina' in name else 0.3)


SMALL_NECK = dict(in_channels=[32, 32, 64, 64])


def cascade():
    model = build(
        'det/cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py',
        backbone=dict(arch=ALL_MIXERS, input_size=64),
        neck=SMALL_NECK,
    )
    model.test_cfg.rpn.nms_pre = model.test_cfg.rpn.max_per_img = 40
    model.test_cfg.rcnn.max_per_img = model.roi_head.test_cfg.max_per_img = 12
    return model


def mask_rcnn():
    return build('det/maskrcnn_spanetv2_shapes.py')


def retinanet():
    model = build(
        'det/retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco.py',
        backbone=dict(arch=ALL_MIXERS, input_size=64),
        neck=dict(in_channels=[32, 64, 64]),
    )
    model.bbox_head.retina_cls.bias.data.zero_()
    return model


def assert_masks(model, image, found):
    """Those of the own classes, the mean over the stages of a cascade."""
    boxes, _, labels, masks = found
    there = labels >= 0
    inputs = model.data_preprocessor(dict(inputs=list(image.permute(0, 3, 1, 2))))['inputs']
    rois = nn.functional.pad(boxes[there], (1, 0))
    head = model.roi_head
    stages = [(i,) for i in range(3)] if isinstance(head.mask_head, nn.ModuleList) else [()]
    with torch.no_grad():
        features = model.extract_feat(inputs)
        logits = [head._mask_forward(*stage, features, rois)['mask_preds'] for stage in stages]
    expected = torch.stack(logits).sigmoid().mean(dim=0)
    own = expected[range(len(rois)), labels[there] if expected.shape[1] > 1 else 0]
    assert own.std() > 0.01
    torch.testing.assert_close(masks[there], own, atol=1e-3, rtol=0)


@pytest.mark.parametrize('make', [mask_rcnn, cascade, retinanet])
def test_detectors(make, tmp_path):
    """Images of different sizes in one batch, each as MMDetection finds it alone."""
    model = make()
    spread_scores(model)
    size = (96, 120)  # padded to 96 x 128 in the graph
    path = exported(model, size, tmp_path)
    run = export.open_in_runtime(path)
    torch.manual_seed(1)
    images = torch.randint(256, (3, *size, 3), dtype=torch.uint8)
    sizes = torch.tensor([[96, 120], [96, 120], [80, 100]])
    found = run(dict(images=images.numpy(), sizes=sizes.numpy()))
    full = predictions(model, images, sizes)
    for i, expected in enumerate(full):
        mine = detections(found, i)
        assert len(mine) == len(expected) > 5
        assert check.unmatched(expected, mine) + check.unmatched(mine, expected) == 0
    boxes, _, labels, *masks = (each[2] for each in found)
    assert boxes[labels >= 0].max(axis=0)[[2, 3]] == pytest.approx([100, 80], abs=20)
    assert (boxes[..., [0, 2]].max(), boxes[..., [1, 3]].max()) <= (100, 80)
    if masks:
        assert_masks(model, images[:1], [torch.from_numpy(each[0]) for each in found])
    one = run(dict(images=images[:1].numpy(), sizes=sizes[:1].numpy()))
    count = int((found[2][0] >= 0).sum())
    np.testing.assert_allclose(one[0][0], found[0][0, :count], atol=1e-3)
    graph = onnx.load(path)
    assert not tensorrt.unsupported(graph)
    assert {node.op_type for node in graph.graph.node} & {'NonMaxSuppression', 'Scan'}


def test_segmentor_and_classifier(tmp_path):
    pytest.importorskip('mmseg')
    pytest.importorskip('mmpretrain')
    images = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    model = build('seg/upernet_spanetv2_shapes.py')
    labels, probabilities = export.open_in_runtime(exported(model, (64, 64), tmp_path))(
        dict(images=images.numpy())
    )
    with torch.no_grad():
        x = model.data_preprocessor(dict(inputs=list(images.permute(0, 3, 1, 2))))['inputs']
        expected = model.encode_decode(x, [dict(img_shape=(64, 64))]).softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert (labels == expected.argmax(dim=1).numpy()).mean() > 0.999
    assert labels.dtype == np.uint8

    model = build('cls/spanetv2_shapes.py')
    (probabilities,) = export.open_in_runtime(exported(model, (64, 64), tmp_path))(
        dict(images=images.numpy())
    )
    with torch.no_grad():
        data = dict(inputs=images.permute(0, 3, 1, 2))
        expected = model(**model.data_preprocessor(data)).softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(('is_fixed', 'mode'), [(True, 'slide'), (True, 'whole'), (False, 'whole')])
def test_a_segmentor_is_compared_on_images_larger_than_its_graph(is_fixed, mode, tmp_path):
    """As the published configs have it: windows of 512 on images whose short side is 512."""
    pytest.importorskip('mmseg')
    import mmcv

    cfg = Config.fromfile(ROOT / 'configs/seg/upernet_spanetv2_shapes.py')
    windows = dict(mode=mode, crop_size=(64, 64), stride=(43, 43))
    cfg.model.test_cfg = windows
    model = build('seg/upernet_spanetv2_shapes.py', test_cfg=windows)
    for number, shape in enumerate([(64, 96, 3), (90, 64, 3)]):
        picture = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
        mmcv.imwrite(picture, str(tmp_path / f'images/{number}.png'))
    samples = check.Samples(cfg, tmp_path / 'images', 2)
    dynamic, size = (frozenset(), (64, 64)) if is_fixed else (frozenset({'size'}), None)
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, size)
    (part,) = parts.end2end_parts(prepared, (64, 64), 1)
    export.write_onnx(part, tmp_path / 'graph.onnx', {}, dynamic)
    run = export.open_in_runtime(tmp_path / 'graph.onnx')
    report = check.compare(run, model, cfg, samples, size)
    assert (report.images, report.skipped, report.faults('fp32')) == (2, 0, [])

    def shifted(feeds):
        return run(dict(images=np.roll(feeds['images'], 5, axis=2)))

    assert check.compare(shifted, model, cfg, samples, size).faults('fp32')

    def broken(feeds):
        labels, probabilities = run(feeds)
        return labels, np.full_like(probabilities, np.nan)

    for precision in ('fp32', 'fp16'):
        assert check.compare(broken, model, cfg, samples, size).faults(precision)


def test_a_graph_is_calibrated_on_what_it_takes():
    pytest.importorskip('mmseg')
    cfg = Config.fromfile(ROOT / 'configs/seg/upernet_spanetv2_shapes.py')
    images = [np.zeros((64, 96, 3), np.uint8), np.zeros((50, 96, 3), np.uint8)]
    feeds = list(check.feeds_of_all(iter(images), cfg, (64, 64)))
    assert [feed['images'].shape for feed in feeds] == [(1, 64, 64, 3)]
    with pytest.raises(InputError, match='No training image fits'):
        list(check.feeds_of_all(iter(images), cfg, (80, 80)))


@pytest.mark.parametrize(
    ('pipeline', 'expected'),
    [
        ([dict(type='LoadImageFromFile'), dict(type='PackDetInputs')], {}),
        (
            [dict(type='mmdet.Resize', scale=(1333, 800), keep_ratio=True)],
            dict(scale=[1333, 800], keep_ratio=True, interpolation='bilinear', backend='cv2'),
        ),
        (
            [
                dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bicubic'),
                dict(type='CenterCrop', crop_size=(224, 192)),
            ],
            dict(
                scale=256, edge='short', interpolation='bicubic', backend='pillow', crop=[192, 224]
            ),
        ),
    ],
)
def test_what_the_notes_say_of_a_pipeline(pipeline, expected):
    assert metadata.resizing(pipeline) == expected


@pytest.mark.parametrize(
    ('name', 'size'),
    [
        ('det/retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco', (800, 1333)),
        ('seg/upernet_spanetv2', (512, 512)),
        ('cls/spanetv2', (224, 224)),
        ('det/maskrcnn_spanetv2_shapes', (128, 128)),
    ],
)
def test_the_size_of_a_graph_where_none_is_given(name, size):
    assert metadata.image_size(Config.fromfile(ROOT / f'configs/{name}.py')) == size


def test_the_size_of_a_graph_behind_a_crop():
    cfg = Config.fromfile(ROOT / 'configs/cls/spanetv2.py')
    pipeline = [dict(type='Resize', scale=256), dict(type='CenterCrop', crop_size=(192, 224))]
    cfg.test_dataloader.dataset.pipeline = pipeline
    assert metadata.image_size(cfg) == (224, 192)


def test_a_step_that_the_notes_can_not_say_is_refused():
    with pytest.raises(InputError, match='RandomFlip'):
        metadata.resizing([dict(type='RandomFlip', prob=0.5)])


def test_notes_of_a_detector():
    cfg = Config.fromfile(ROOT / 'configs/det/maskrcnn_spanetv2_shapes.py')
    notes = metadata.end2end_notes(cfg, mask_rcnn(), 'a/b.py', (128, 128), 1)
    assert all(isinstance(value, str) for value in notes.values())
    assert notes['task'] == 'detection'
    assert (notes['divisor'], notes['config']) == ('32', 'b.py')
    assert json.loads(notes['resize'])['scale'] == [128, 128]
    assert json.loads(notes['classes'])[0] == 'star'
    assert (json.loads(notes['size']), json.loads(notes['batch'])) == ([128, 128], 1)
    assert json.loads(notes['window']) is None


def test_a_head_of_its_own_way_is_refused():
    model = retinanet()

    class Own(type(model.bbox_head)):
        def _predict_by_feat_single(self, *args, **kwargs):
            """As many heads have it."""

    model.bbox_head.__class__ = Own
    with pytest.raises(InputError, match='without --end2end'):
        end2end.end2end(model)


def test_detections_that_differ_are_counted():
    boxes, scores, labels = (each[0] for each in crowd(4, 1))
    scores = torch.tensor([0.9, 0.5, 0.3, 0.0505])
    wanted = InstanceData(bboxes=boxes, scores=scores, labels=labels)
    assert check.unmatched(wanted, wanted[[1, 2, 0, 3]]) == 0
    assert check.unmatched(wanted, wanted[:3]) == 0  # the last is a tie with the threshold
    assert check.unmatched(wanted, wanted[1:]) == 1
    other = InstanceData(bboxes=boxes + 2, scores=scores, labels=labels)
    assert check.unmatched(wanted, other) == 3
    twice = InstanceData(bboxes=boxes[[0, 0]], scores=scores[[0, 0]], labels=labels[[0, 0]])
    assert check.unmatched(twice, wanted) == 1


def test_faults_of_a_report():
    fine = check.Report(
        images=2, detections=200, unmatched=1, before=dict(bbox_mAP=0.4), after=dict(bbox_mAP=0.4)
    )
    assert fine.faults('fp32') == []
    worse = check.Report(images=2, before=dict(mIoU=40.0), after=dict(mIoU=39.6))
    assert worse.faults('fp32')
    assert not worse.faults('int8')
    assert check.Report(images=2, detections=100, unmatched=4).faults('fp32')
    assert check.Report(images=2, difference=0.1).faults('fp32')
    assert check.Report().faults('int8')
    gone = check.Report(images=2, before=dict(mIoU=40.0))  # NaN in the file
    assert gone.faults('int8')
    assert any('nan instead of 40.00' in line for line in gone.faults('int8'))


def test_on_the_canvas_of_a_graph_as_in_a_batch():
    """MMDetection pads the images of a batch to the largest: the same padding, the same result."""
    from mmdet.structures import DetDataSample

    model = mask_rcnn()
    spread_scores(model)
    torch.manual_seed(1)
    sizes = ((64, 70), (96, 120))
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in sizes]
    samples = [
        DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        for size in sizes
    ]
    small = dict(inputs=images[0], data_samples=samples[0])
    found = check._on_canvas(model, small, sizes[1]).pred_instances
    with torch.no_grad():
        together = model.test_step(dict(inputs=images, data_samples=samples))[0].pred_instances
        alone = model.test_step({k: [v] for k, v in small.items()})[0].pred_instances
    assert check._differing(found, together) == 0
    assert check._differing(found, alone) > 0
