"""What is kept of a prediction, and how two are compared."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmspanet.app import results
from mmspanet.app.results import Result

HEIGHT, WIDTH = 12, 16


class Predictor:
    """Gives a sample, and shows what it is given."""

    def __init__(self, sample):
        self.sample = sample

    def infer(self, image):
        return self.sample

    def show(self, image, sample, score):
        return SimpleNamespace(picture=image, sample=sample)


def detections():
    structures = pytest.importorskip('mmdet.structures')
    masks = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, 2:6, 3:9] = True
    masks[1, 6:, 10:] = True
    return structures.DetDataSample(
        metainfo=dict(ori_shape=(HEIGHT, WIDTH)),
        pred_instances=InstanceData(
            bboxes=torch.tensor([[3.0, 2, 9, 6], [10, 6, 16, 12], [0, 0, 1, 1]]),
            labels=torch.tensor([1, 0, 1]),
            scores=torch.tensor([0.9, 0.4, 0.01]),
            masks=masks,
        ),
    )


def shown(predictor, result, score):
    return result.show(predictor, np.zeros((HEIGHT, WIDTH, 3), np.uint8), score).sample


def test_boxes_and_masks_come_back_from_what_is_kept():
    sample = detections()
    expected = sample.clone().pred_instances
    predictor = Predictor(sample)
    result = results.predict(predictor, None)
    assert 'masks' not in result.sample.pred_instances
    for score, count in ((0.05, 2), (0.5, 1), (0.95, 0)):  # from the same, in any order
        found = shown(predictor, result, score).pred_instances
        assert len(found) == count
        torch.testing.assert_close(found.bboxes, expected.bboxes[:count])
        assert torch.equal(found.masks, expected.masks[:count])


def test_a_small_image_is_drawn_larger_with_its_boxes():
    predictor = Predictor(detections())
    result = results.predict(predictor, None)
    given = {}
    predictor.show = lambda image, sample, score: (
        given.update(image=image, sample=sample) or (SimpleNamespace(picture=image))
    )
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture = result.view(predictor, image, 0.05, smallest=40)
    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    np.testing.assert_array_equal(given['image'][::2, 1::2], image)
    found = given['sample'].pred_instances
    assert found.bboxes[0].tolist() == [6, 4, 18, 12]
    assert found.masks.shape == (2, 2 * HEIGHT, 2 * WIDTH)
    assert found.masks[0, 4:12, 6:18].all()
    assert found.masks[0].sum() == 4 * 24


def segments():
    structures = pytest.importorskip('mmseg.structures')
    logits = torch.zeros(3, HEIGHT, WIDTH)
    logits[1, :6] = 3.0
    logits[2, 6:] = 1.0
    return structures.SegDataSample(
        seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=logits.argmax(0)[None])
    )


def test_pixels_below_the_score_have_no_class():
    predictor = Predictor(segments())
    result = results.predict(predictor, None)
    assert 'seg_logits' not in result.sample
    high, low = (torch.tensor([0.0, 0, x]).softmax(0)[2].item() for x in (3, 1))
    for score, labels in (
        ((high + low) / 2, [1, results.NO_CLASS]),
        (low - 0.01, [1, 2]),
        (high + 0.01, [results.NO_CLASS] * 2),
    ):
        label_map = shown(predictor, result, score).pred_sem_seg.data[0]
        assert label_map[[0, -1], 0].tolist() == labels


def test_classes_are_listed_from_the_score():
    record = dict(top=[{'class': 'a', 'score': 0.8}, {'class': 'b', 'score': 0.1}])
    rows = results.table(SimpleNamespace(record=record), 0.5)
    assert rows == [['a', 0.8]]


class SampleOf(dict):
    """A data sample: its fields by name and as attributes."""

    __getattr__ = dict.__getitem__


def boxes(*rows):
    values = torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4)
    return InstanceData(
        bboxes=values,
        labels=torch.tensor([row[1] for row in rows], dtype=torch.long),
        scores=torch.tensor([row[2] for row in rows], dtype=torch.float32),
    )


@pytest.mark.parametrize(
    ('new', 'counts'),
    [
        ([([0, 0, 10, 10], 0, 0.9), ([20, 0, 30, 10], 1, 0.9)], '2 boxes before, 2 after; 2 are'),
        ([([0, 0, 10, 10], 1, 0.9), ([20, 0, 30, 10], 1, 0.9)], '2 boxes before, 2 after; 1 are'),
        ([([0, 0, 10, 4], 0, 0.9)], '2 boxes before, 1 after; 0 are'),
        ([([0, 0, 10, 10], 0, 0.4)], '2 boxes before, 0 after; 0 are'),
        ([], '2 boxes before, 0 after; 0 are'),
    ],
)
def test_boxes_that_stay_are_counted(new, counts):
    old = [([0, 0, 10, 10], 0, 0.9), ([20, 0, 30, 10], 1, 0.8)]
    samples = [SampleOf(pred_instances=boxes(*rows)) for rows in (old, new)]
    said = results.difference(*map(Result, samples), [], 0.5)
    assert said.startswith(counts)


def test_one_new_box_stands_for_one_old():
    old = [([0, 0, 10, 10], 0, 0.9), ([0, 0, 10, 9], 0, 0.8)]
    samples = [SampleOf(pred_instances=boxes(*rows)) for rows in (old, old[:1])]
    said = results.difference(*map(Result, samples), [], 0.5)
    assert said.startswith('2 boxes before, 1 after; 1 are')


def test_pixels_that_change_are_counted():
    maps = [SampleOf(pred_sem_seg=PixelData(data=torch.zeros(1, 4, 5).byte())) for _ in range(2)]
    maps[1].pred_sem_seg.data[0, 0, :3] = 2
    assert results.difference(*map(Result, maps), [], 0.5).startswith('15.0 %')


def test_what_becomes_of_a_class():
    scores = (torch.tensor([0.7, 0.3]), torch.tensor([0.4, 0.6]))
    old, new = (Result(SampleOf(pred_score=score)) for score in scores)
    said = results.difference(old, new, ['cat', 'dog'], 0.5)
    assert '0.70 to 0.40' in said
    assert 'dog (0.60)' in said
    assert 'stays' in results.difference(old, old, ['cat', 'dog'], 0.5)
