"""A large image by tiles: every object once, whole, in the coordinates of the image."""

import numpy as np
import pytest

from mmspanet import runtime
from mmspanet.errors import InputError
from mmspanet.runtime.tiles import merge
from tests.runtime import graphs
from tests.runtime.graphs import GREEN


@pytest.fixture
def detector(tmp_path):
    return runtime.load(graphs.detector(tmp_path / 'a.onnx'))


def test_an_image_of_one_tile_is_as_without_tiles(detector, picture):
    expected = detector(picture)
    found = runtime.TiledDetector(detector, 200, 50)(picture)
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), value)


def test_an_object_at_the_border_of_tiles_is_found_once_and_whole(detector):
    """Five tiles a side; each of four objects lies in several, and in one it is whole."""
    image = np.zeros((400, 400, 3), np.uint8)
    boxes = [[90, 90, 130, 130], [300, 20, 330, 45], [20, 350, 50, 390], [215, 240, 245, 262]]
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2, 1] = 255
    found = runtime.TiledDetector(detector, 120, 50)(image)
    assert sorted(found.boxes.tolist()) == sorted(boxes)
    assert found.size == (400, 400)
    x1, y1, x2, y2 = map(int, found.boxes[0])
    assert found.mask(0)[(y1 + y2) // 2, (x1 + x2) // 2]


def detections(boxes, scores, labels=None):
    return runtime.Detections(
        (100, 100), np.float32(boxes).reshape(-1, 4), np.float32(scores),
        np.array([0] * len(scores) if labels is None else labels), graphs.NAMES,
    )  # fmt: skip


def test_the_part_of_an_object_goes_and_the_whole_stays():
    whole = detections([[70, 10, 90, 30]], [0.6])
    part = detections([[0, 10, 10, 30]], [0.5])  # the same object, cut at 80
    found = merge([whole, part], [(0, 0), (0, 80)], (100, 180))
    assert found.boxes.tolist() == [[70, 10, 90, 30]]


def test_boxes_of_one_tile_or_of_two_classes_do_not_compete():
    """The model's own suppression has let the first two stay."""
    one = detections([[10, 10, 50, 50], [20, 20, 30, 30]], [0.5, 0.9])
    other = detections([[10, 10, 50, 50]], [0.7], [2])
    found = merge([one, other], [(0, 0), (0, 0)], (100, 100))
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.5])
    assert found.labels.tolist() == [0, 2, 0]


def test_what_was_suppressed_suppresses_nothing():
    """a over b over c, in three tiles: b goes with a, and so c stays."""
    tiles = [detections([[x, 0, x + 20, 20]], [s]) for x, s in ((0, 0.9), (9, 0.8), (18, 0.7))]
    found = merge(tiles, [(0, 0)] * 3, (100, 100))
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_nothing_found(detector):
    found = runtime.TiledDetector(detector, 40, 10)(np.zeros((100, 90, 3), np.uint8))
    assert len(found) == 0
    assert found.masks.shape == (0, 100, 90)


@pytest.mark.parametrize('overlap', [-1, 40, 41])
def test_an_overlap_that_leaves_no_step_is_refused(detector, overlap):
    with pytest.raises(InputError, match=f'overlap of {overlap}'):
        runtime.TiledDetector(detector, 40, overlap)


def test_drawn_by_the_same_call(detector, picture):
    tiled = runtime.TiledDetector(detector, 80, 40)
    assert GREEN in tiled.predict(picture, 0.5).record['bboxes']
