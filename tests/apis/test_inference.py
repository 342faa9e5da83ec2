"""The predictors around the libraries' inferencers, with random weights."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmspanet.apis.config_files import find_config
from mmspanet.apis.inference import build_predictor, dataset_meta
from mmspanet.errors import InputError
from tests.helpers import DEVICE

SHAPES = ('star', 'cross', 'ring', 'crescent', 'bolt')
NAMES = dict(
    mmdet='maskrcnn_spanetv2_shapes', mmseg='upernet_spanetv2_shapes', mmpretrain='spanetv2_shapes'
)


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def predictors():
    """One of each library, all alive in this process."""
    built = {}
    for scope, name in NAMES.items():
        pytest.importorskip(scope)
        torch.manual_seed(0)
        built[scope] = build_predictor(Config.fromfile(find_config(name)), device=DEVICE)
    return built


def test_classes_of_joined_data_sets():
    pytest.importorskip('mmdet')
    dataset = dict(type='CocoDataset', metainfo=dict(classes=SHAPES))
    joined = dict(type='ConcatDataset', datasets=[dataset, dataset])
    cfg = Config(dict(default_scope='mmdet', test_dataloader=dict(dataset=joined)))
    assert dataset_meta(cfg)['classes'] == SHAPES


def test_colors_of_some_classes_of_a_data_set():
    """By their names, and not the first of the data set's colors."""
    pytest.importorskip('mmseg')
    from mmseg.datasets import ADE20KDataset

    colors = dict(zip(*map(ADE20KDataset.METAINFO.get, ('classes', 'palette')), strict=True))
    dataset = dict(type='ADE20KDataset', metainfo=dict(classes=('sky', 'wall')))
    cfg = Config(dict(default_scope='mmseg', test_dataloader=dict(dataset=dataset)))
    assert dataset_meta(cfg)['palette'] == [colors['sky'], colors['wall']]


@pytest.mark.parametrize('count', [2, 100])
@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_classes_without_colors_are_drawn(scope, count, image):
    """Fewer and more than the libraries' own palettes have."""
    pytest.importorskip(scope)
    cfg = Config.fromfile(find_config(NAMES[scope]))
    cfg.test_dataloader.dataset.metainfo = dict(classes=[f'class {i}' for i in range(count)])
    heads = ('decode_head', 'auxiliary_head')
    if scope == 'mmdet':
        heads = ('bbox_head', 'mask_head')
    else:
        cfg.test_dataloader.dataset.type = 'BaseSegDataset'
    for head in heads:
        part = (cfg.model.roi_head if scope == 'mmdet' else cfg.model)[head]
        part.num_classes = count
        if scope == 'mmseg':
            part.loss_decode.class_weight = None
    torch.manual_seed(0)
    predictor = build_predictor(cfg, device=DEVICE)
    prediction = predictor.predict(image, 0.0)
    assert prediction.picture.shape == image.shape
    found = prediction.record['labels' if scope == 'mmdet' else 'shares']
    assert found
    if scope == 'mmdet' and count == 100:
        assert max(found) >= 80


def test_libraries_take_turns_in_one_process(predictors, image):
    before = scope_name()
    first = {scope: p.predict(image, 0.5).record for scope, p in predictors.items()}
    for scope in reversed(NAMES):
        again = build_predictor(Config.fromfile(find_config(NAMES[scope])), device=DEVICE)
        again.inferencer.model.load_state_dict(predictors[scope].inferencer.model.state_dict())
        assert again.predict(image, 0.5).record == first[scope]
    assert scope_name() == before


def scope_name() -> str | None:
    scope = DefaultScope.get_current_instance()
    return scope and scope.scope_name


def test_records_are_json(predictors, image):
    for predictor in predictors.values():
        record = predictor.predict(image, 0.5).record
        assert json.loads(json.dumps(record)) == record


def test_an_image_without_detections_comes_back_as_it_was(predictors, image):
    """Red and blue are where they were."""
    np.testing.assert_array_equal(predictors['mmdet'].predict(image, 1.1).picture, image)


def test_detections_are_named_by_the_data_set_of_the_config(predictors, image):
    record = predictors['mmdet'].predict(image, 0.5).record
    assert record['classes'] == [SHAPES[label] for label in record['labels']]
    assert len(record['labels']) == len(record['masks']) > 0
    assert {tuple(mask['size']) for mask in record['masks']} == {(96, 128)}


def test_shares_of_a_segmentation(predictors, image):
    prediction = predictors['mmseg'].predict(image, 0.5)
    assert prediction.label_map.shape == image.shape[:2]
    for share in prediction.record['shares']:
        assert share['class'] == ('background', *SHAPES)[share['label']]
        assert share['share'] == (prediction.label_map == share['label']).mean()
    assert sum(share['share'] for share in prediction.record['shares']) == pytest.approx(1)


def test_scores_of_a_classification(predictors, image):
    """Against the model alone, on the image resized and normalized by hand."""
    predictor = predictors['mmpretrain']
    top = predictor.predict(image, 0.5).record['top']
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)[..., ::-1]
    normed = (small - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    with torch.no_grad():
        batch = torch.from_numpy(normed).permute(2, 0, 1)[None].float().to(DEVICE)
        expected = predictor.inferencer.model(batch).softmax(1)[0].cpu()
    assert [entry['class'] for entry in top] == [
        SHAPES[i] for i in expected.argsort(descending=True)
    ]
    scores = torch.tensor([entry['score'] for entry in top])
    torch.testing.assert_close(scores, expected.sort(descending=True).values, atol=1e-5, rtol=0)


def test_a_head_with_more_classes_than_names(image):
    """As where num_classes was left at its default: numbers stand for the names."""
    cfg = Config.fromfile(find_config(NAMES['mmpretrain']))
    cfg.model.head.num_classes = 1000
    top = build_predictor(cfg, device=DEVICE).predict(image, 0.5).record['top']
    assert any(entry['label'] >= len(SHAPES) for entry in top)
    assert all(
        entry['class'] == (*SHAPES, *map(str, range(len(SHAPES), 1000)))[entry['label']]
        for entry in top
    )
    cfg = Config.fromfile(find_config(NAMES['mmdet']))
    for head in (cfg.model.roi_head.bbox_head, cfg.model.roi_head.mask_head):
        head.num_classes = 40
    torch.manual_seed(0)
    record = build_predictor(cfg, device=DEVICE).predict(image, 0.0).record
    assert max(record['labels']) >= len(SHAPES)
    assert str(max(record['labels'])) in record['classes']


@pytest.mark.parametrize(
    ('name', 'count', 'first'),
    [
        ('maskrcnn_spanetv2', 80, 'person'),
        ('upernet_spanetv2', 150, 'wall'),
        ('spanetv2', 1000, 'tench, Tinca tinca'),
    ],
)
def test_class_names_without_a_checkpoint_or_data(name, count, first):
    cfg = Config.fromfile(find_config(name))
    pytest.importorskip(cfg.default_scope)
    classes = dataset_meta(cfg)['classes']
    assert (len(classes), classes[0]) == (count, first)


@pytest.mark.parametrize('key', ['default_scope', 'test_dataloader'])
def test_a_config_that_lacks_what_inference_needs(key):
    cfg = Config.fromfile(find_config('spanetv2_shapes'))
    cfg.pop(key)
    with pytest.raises(InputError, match=key):
        build_predictor(cfg)


def test_deployed_predictors_see_the_same(image):
    pytest.importorskip('mmpretrain')
    torch.manual_seed(0)
    predictor = build_predictor(Config.fromfile(find_config(NAMES['mmpretrain'])), device=DEVICE)
    before = predictor.predict(image, 0.5).record['top']
    predictor.switch_to_deploy()
    assert predictor.inferencer.model.backbone.deployed
    after = predictor.predict(image, 0.5).record['top']
    assert [top['label'] for top in after] == [top['label'] for top in before]
    for one, other in zip(before, after, strict=True):
        assert other['score'] == pytest.approx(one['score'], rel=1e-4)
