"""The figures of a detector against pycocotools, scikit-learn's and hand-made cases."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmspanet.analysis.run import detection
from mmspanet.analysis.run.detection import Results

CLASSES = ('a', 'b', 'c', 'd')
SIDE = 200


def rle(box):
    x, y, width, height = (int(value) for value in box)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return coco_mask.encode(np.asfortranarray(mask))


@pytest.fixture(scope='module')
def results() -> Results:
    """30 images; detections near objects of the right and of wrong classes, and elsewhere."""
    rng = np.random.default_rng(0)
    images = [dict(id=10 + k, width=SIDE, height=SIDE) for k in range(30)]
    annotations, found = [], []

    def add(items, image, label, box, **more):
        box = [float(value) for value in np.round(box)]
        items.append(
            dict(image_id=image, category_id=int(label), bbox=box, segmentation=rle(box), **more)
        )

    for image in images[:-1]:  # the last one is empty
        for _ in range(rng.integers(0, 6)):
            label = rng.integers(0, 3)  # none of class d
            box = [*rng.integers(0, 100, 2), *rng.integers(8, 100, 2)]
            crowd = int(rng.random() < 0.1)
            add(annotations, image['id'], label, box, iscrowd=crowd)
            annotations[-1]['area'] = float(box[2] * box[3])
            for _ in range(rng.integers(0, 4)):
                near = np.abs(box + rng.normal(0, 8, 4)) + np.array((0, 0, 1, 1))
                guess = label if rng.random() < 0.7 else rng.integers(0, 4)
                add(found, image['id'], guess, near, score=float(rng.random()))
    for _ in range(40):
        box = [*rng.integers(0, 150, 2), *rng.integers(8, 50, 2)]
        image = int(rng.integers(10, 40))
        add(found, image, rng.integers(0, 4), box, score=float(rng.random()))
    return Results(CLASSES, dict(images=images, annotations=annotations), found)


def pycocotools_precision(results: Results, kind: str) -> np.ndarray:
    truth, found = COCO(), COCO()
    annotations = [dict(item, id=k) for k, item in enumerate(results.truth['annotations'], 1)]
    categories = [dict(id=k, name=name) for k, name in enumerate(CLASSES)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.dataset = dict(
            images=results.truth['images'], annotations=annotations, categories=categories
        )
        truth.createIndex()
        keys = ('image_id', 'category_id', 'score', 'bbox' if kind == 'bbox' else 'segmentation')
        found = truth.loadRes([{key: item[key] for key in keys} for item in results.found])
        run = COCOeval(truth, found, kind)
        run.evaluate()
        run.accumulate()
    return run.eval['precision'][..., -1]  # at most 100 detections


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_precision_is_that_of_pycocotools(results, kind):
    expected = pycocotools_precision(results, kind)
    actual = detection.evaluate(results, kind)
    np.testing.assert_allclose(actual.precision, expected, atol=1e-6)
    every = expected[:, :, 0, 0].mean()
    assert actual.average()[0] == pytest.approx(every, abs=1e-6)
    assert np.isnan(actual.average()[3])  # no object of class d


def test_ap_of_the_matches_is_that_of_pycocotools(results):
    expected = pycocotools_precision(results, 'bbox')[0, :, :3, 0].mean()
    matches = detection.match(results.objects, results.detections)
    ap, losses = detection.lost_to_errors(results.objects, results.detections, matches, 4)
    assert ap == pytest.approx(expected, abs=1e-6)
    assert set(losses) == set(detection.KINDS)
    assert min(losses.values()) >= 0


def test_score_curve_counts_what_is_above_the_score(results):
    objects, found = results.objects, results.detections
    matches = detection.match(objects, found)
    for label in (None, 0, 1):
        curve = detection.score_curve(objects, found, matches, label)
        own = np.ones(len(found.labels), bool) if label is None else found.labels == label
        there = ~objects.crowd & ((label is None) | (objects.labels == label))
        counted = own & (matches.kinds != detection.IGNORED)
        for score, precision, recall, f1 in zip(
            curve.scores, curve.precision, curve.recall, curve.f1, strict=True
        ):
            chosen = counted & (found.scores >= score)
            true = (matches.kinds[chosen] == detection.RIGHT).sum()
            expected = (true / chosen.sum(), true / there.sum())
            assert (precision, recall) == pytest.approx(expected, abs=1e-9)
            harmonic = 2 * true / (chosen.sum() + there.sum())
            assert f1 == pytest.approx(harmonic, abs=1e-9)
        assert curve.f1[curve.best] == curve.f1.max()


def test_no_detections(results):
    empty = Results(CLASSES, results.truth, [])
    evaluation = detection.evaluate(empty, 'bbox')
    np.testing.assert_array_equal(evaluation.average(0)[:3], 0)
    matches = detection.match(empty.objects, empty.detections)
    ap, losses = detection.lost_to_errors(empty.objects, empty.detections, matches, 4)
    assert (ap, losses['missed']) == (0, 1)
    assert detection.score_curve(empty.objects, empty.detections, matches).best == -1


def one_image(objects, found) -> Results:
    """Labels and boxes of objects; labels, boxes and scores of detections."""
    truth = [dict(image_id=1, category_id=label, bbox=box) for label, box in objects]
    guesses = [
        dict(image_id=1, category_id=label, bbox=box, score=score) for label, box, score in found
    ]
    images = [dict(id=1, width=SIDE, height=SIDE)]
    return Results(CLASSES, dict(images=images, annotations=truth), guesses)


BOX, SHIFTED, FAR = [0, 0, 10, 10], [6, 0, 10, 10], [50, 50, 10, 10]  # IoU of the first two 0.25


@pytest.mark.parametrize(
    ('objects', 'found', 'kind', 'before', 'loss'),
    [
        ([(0, BOX)], [(0, SHIFTED, 0.9)], 'localisation', 0, 1),
        ([(0, BOX)], [(1, BOX, 0.9)], 'classification', 0, 1),
        ([(0, BOX)], [(1, SHIFTED, 0.9)], 'both', 0, 0),
        ([(0, BOX)], [(0, BOX, 0.8), (0, BOX, 0.9)], 'duplicate', 1, 0),
        ([(0, BOX)], [(0, FAR, 0.9), (0, BOX, 0.8)], 'background', 0.5, 0.5),
        # Two objects, one found: precision 1 at recalls to 0.5, that is 51 of the 101.
        ([(0, BOX), (0, FAR)], [(0, BOX, 0.8)], 'missed', 51 / 101, 50 / 101),
        # The object of the misplaced one has a better one, so that it goes: precision 1/2 to 1.
        ([(0, BOX)], [(0, SHIFTED, 0.9), (0, BOX, 0.8)], 'localisation', 0.5, 0.5),
    ],
)
def test_kinds_of_errors(objects, found, kind, before, loss):
    """By hand, from the definitions of TIDE."""
    results = one_image(objects, found)
    matches = detection.match(results.objects, results.detections)
    ap, losses = detection.lost_to_errors(results.objects, results.detections, matches, 4)
    if kind != 'missed':
        assert kind in matches.kinds
    assert ap == pytest.approx(before)
    assert losses[kind] == pytest.approx(loss)


def test_only_the_best_of_misplaced_detections_is_mended():
    """Both are near one object: mended and gone; kept, the second would be a false one."""
    found = [(0, SHIFTED, 0.9), (0, [0, 6, 10, 10], 0.8), (0, FAR, 0.7)]
    results = one_image([(0, BOX), (0, FAR)], found)
    matches = detection.match(results.objects, results.detections)
    ap, losses = detection.lost_to_errors(results.objects, results.detections, matches, 4)
    assert ap + losses['localisation'] == pytest.approx(1)


def test_confusion_counts_each_object_and_each_detection_once():
    objects = [(0, BOX), (1, FAR), (2, [100, 100, 20, 20])]
    found = [
        (0, BOX, 0.9),  # right
        (2, FAR, 0.8),  # b taken for c
        (1, FAR, 0.7),  # comes too late
        (3, [150, 0, 9, 9], 0.6),  # background
        (2, [100, 100, 20, 20], 0.3),  # below the threshold
    ]
    results = one_image(objects, found)
    counts = detection.confusion(results.objects, results.detections, 4, 0.5)
    expected = np.zeros((5, 5), int)
    for place in ((0, 0), (1, 2), (4, 1), (4, 3), (2, 4)):
        expected[place] += 1
    np.testing.assert_array_equal(counts, expected)


def test_confusion_has_all_objects_and_detections(results):
    objects, found = results.objects, results.detections
    counts = detection.confusion(objects, found, 4, 0.4)
    there = np.bincount(objects.labels[~objects.crowd], minlength=4)
    np.testing.assert_array_equal(counts[:4].sum(1), there)
    shown = np.bincount(found.labels[found.scores >= 0.4], minlength=4)
    assert (counts[:, :4].sum(0) <= shown).all()  # less those in crowds
    assert counts[:, :4].sum() > 0.9 * shown.sum()


def test_image_scores(results):
    objects, found = results.objects, results.detections
    matches = detection.match(objects, found)
    scores = detection.image_scores(objects, found, matches, 30, 0.5)
    for image, score in enumerate(scores):
        these = found.of_image(image)
        these = these[(found.scores[these] >= 0.5) & (matches.kinds[these] != detection.IGNORED)]
        true = (matches.kinds[these] == detection.RIGHT).sum()
        there = (~objects.crowd[objects.of_image(image)]).sum()
        expected = 2 * true / (len(these) + there) if len(these) + there else np.nan
        np.testing.assert_allclose(score, expected)
