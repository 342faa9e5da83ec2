"""An exported model predicts what tools/demo.py predicts with its checkpoint, image by image."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmspanet import runtime
from tests.helpers import ROOT, SHAPES_CONFIGS, run, shapes_options

SCORE_TIE, PIXELS, MASKS = 2e-3, 0.5, 0.02  # scores; of a corner; share of a mask's pixels


@pytest.fixture(scope='module')
def predictors(trained, shapes_root, tmp_path_factory):
    """``predictors(task)``: the demo's and the runtime's, of one checkpoint."""
    pytest.importorskip('onnxscript')
    from mmspanet.apis.inference import build_predictor

    def make(task):
        checkpoint = trained(task) / ('iter_4.pth' if task == 'seg' else 'epoch_1.pth')
        folder = tmp_path_factory.mktemp(task)
        run(
            ['tools/deployment/export.py', SHAPES_CONFIGS[task], checkpoint, '--end2end',
             '--out', folder, '--check-count', 1, *shapes_options(task, shapes_root)[1:]]
        )  # fmt: skip
        (file,) = folder.glob('*.onnx')
        cfg = Config.fromfile(ROOT / SHAPES_CONFIGS[task])
        return build_predictor(cfg, str(checkpoint), 'cpu'), runtime.load(file)

    return make


def images(root):
    """Of the data set, and one that the pipeline resizes."""
    found = [cv2.imread(str(path)) for path in sorted((root / 'coco/val2017').iterdir())]
    return [*found, cv2.resize(found[0], (170, 131))]


@pytest.mark.slow
def test_a_detector(predictors, shapes_root):
    coco = pytest.importorskip('pycocotools.mask')
    expected_of, found_of = predictors('det')
    compared = 0
    for image in images(shapes_root):
        expected = expected_of.predict(image, 0.5).record
        found = found_of.predict(image, 0.5).record
        assert sorted(found) == sorted(expected)
        worst = min(expected['scores'] + found['scores']) + SCORE_TIE  # what ends the list is a tie
        for mine, other in ((expected, found), (found, expected)):
            for i, score in enumerate(mine['scores']):
                if score > worst:
                    compared += 1
                    assert any(same(coco, mine, i, other, j) for j in range(len(other['scores'])))
    assert compared > 20


def same(coco, a, i, b, j) -> bool:
    """Whether two detections are one, up to rounding."""
    if a['classes'][i] != b['classes'][j] or abs(a['scores'][i] - b['scores'][j]) > SCORE_TIE:
        return False
    if np.abs(np.subtract(a['bboxes'][i], b['bboxes'][j])).max() > PIXELS:
        return False
    one, other = coco.decode(a['masks'][i]), coco.decode(b['masks'][j])
    return (one != other).sum() <= max(2, MASKS * max(one.sum(), other.sum()))


@pytest.mark.slow
def test_a_segmentor(predictors, shapes_root):
    expected_of, found_of = predictors('seg')
    expected, found = (
        np.stack([one.predict(image, 0.5).label_map for image in images(shapes_root)[:-1]])
        for one in (expected_of, found_of)
    )
    assert (expected != found).mean() < 1e-3  # ties of classes


@pytest.mark.slow
def test_a_classifier(predictors, shapes_root):
    expected_of, found_of = predictors('cls')
    for image in images(shapes_root):
        expected, found = (one.predict(image, 0.5).record for one in (expected_of, found_of))
        scores = [{c['class']: c['score'] for c in record['top']} for record in (expected, found)]
        assert scores[1] == pytest.approx(scores[0], abs=1e-4)
        assert json.dumps(found)  # plain numbers
