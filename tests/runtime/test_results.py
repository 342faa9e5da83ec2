"""Masks, their encoding and the drawings, against the libraries' own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from mmspanet.runtime import Classes, Detections, LabelMap, drawing, masks
from tests.runtime import graphs

BOXES = [
    [10.3, 20.7, 60.2, 70.9],
    [-8.5, -3.2, 30.1, 25.0],  # over the edges
    [90.0, 80.0, 119.9, 130.6],
    [40.2, 40.1, 40.9, 40.8],  # less than a pixel
    [5.0, 50.0, 5.0, 70.0],  # of no width
    [0.0, 0.0, 120.0, 100.0],
]


@pytest.mark.parametrize('box', BOXES)
def test_masks_are_pasted_as_mmdetection_does(box):
    head = pytest.importorskip('mmdet.models.roi_heads.mask_heads.fcn_mask_head')
    torch = pytest.importorskip('torch')
    cells = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    values, place = head._do_paste_mask(
        torch.from_numpy(cells)[None, None], torch.tensor([box]), 100, 120
    )
    expected = np.zeros((100, 120), np.float32)
    expected[place] = values[0].numpy()
    differ = masks.paste(cells, np.array(box), (100, 120), 0.5) != (expected >= 0.5)
    assert np.abs(expected[differ] - 0.5).max(initial=0) < 1e-5  # ties with the threshold
    assert differ.sum() <= 1


@pytest.mark.parametrize('box', [[-40, 10, -20, 30], [10, 110, 20, 140]])
def test_a_box_outside_has_an_empty_mask(box):
    assert not masks.paste(graphs.disc(), np.float32(box), (100, 120), 0.5).any()


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=90)))
def test_masks_are_encoded_as_pycocotools_does(mask):
    coco = pytest.importorskip('pycocotools.mask')
    assert masks.encode(mask) == _encoded(coco, mask)


@pytest.mark.parametrize('mean', [1, 3, 30, 1000, 30_000])
def test_short_and_long_runs_are_encoded(mean):
    """Differences of runs take one to several characters, of both signs."""
    coco = pytest.importorskip('pycocotools.mask')
    runs = np.random.default_rng(mean).geometric(1 / mean, size=120_000 // mean + 2)
    mask = np.repeat(np.arange(len(runs)) % 2 == 0, runs)
    mask = np.resize(mask, (300, 400)).T
    assert masks.encode(mask) == _encoded(coco, mask)


def _encoded(coco, mask: np.ndarray) -> dict:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=found['size'], counts=found['counts'].decode())


def test_a_label_map_is_drawn_as_mmsegmentation_draws_it():
    visualization = pytest.importorskip('mmseg.visualization')
    torch = pytest.importorskip('torch')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    labels = np.kron(rng.integers(0, 3, (6, 8)), np.ones((20, 20), int)).astype(np.uint8)
    visualizer = visualization.SegLocalVisualizer(alpha=0.6)
    visualizer.set_dataset_meta(list(graphs.NAMES), [list(color) for color in graphs.PALETTE])
    data = PixelData(data=torch.from_numpy(labels)[None].long())
    visualizer.add_datasample(
        'one', image[..., ::-1].copy(), SegDataSample(pred_sem_seg=data), draw_gt=False
    )
    drawn = drawing.label_map(image, LabelMap(labels, graphs.NAMES), graphs.PALETTE)
    np.testing.assert_array_equal(drawn, visualizer.get_image()[..., ::-1])


def detections(count: int = 2) -> Detections:
    boxes = np.float32([[10, 10, 50, 40], [60, 20, 90, 80], [5, 5, 7, 9]])[:count]
    return Detections(
        (100, 100), boxes, np.float32([0.9, 0.6, 0.1])[:count], np.arange(count),
        graphs.NAMES, np.repeat(graphs.disc()[None], count, axis=0),
    )  # fmt: skip


def test_detections_are_drawn_in_the_colors_of_their_classes():
    picture = drawing.detections(np.zeros((100, 100, 3), np.uint8), detections(), graphs.PALETTE)
    red, green, blue = graphs.PALETTE[1]
    np.testing.assert_allclose(picture[50, 60], np.array([blue, green, red]) * 0.8, atol=1)  # line
    inside = picture[55, 75].astype(int)  # MMDetection's jitter is at most a quarter of 255
    assert np.abs(inside - np.array([blue, green, red]) * 0.8).max() < 64
    assert not picture[95, 95].any()


def test_nothing_found_draws_nothing():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    none = detections()[np.zeros(2, bool)]
    np.testing.assert_array_equal(drawing.detections(image, none, ()), image)
    assert none.masks.shape == (0, 100, 100)
    assert none.record() == dict(labels=[], scores=[], bboxes=[], masks=[], classes=[])


def test_boxes_beyond_the_image_and_classes_without_names_are_drawn():
    found = detections(3)
    found.boxes[0] = [-50, -50, -10, -20]
    found.boxes[1] = [95, 95, 140, 150]
    found.names = ()
    assert found.classes == ['0', '1', '2']
    assert drawing.detections(np.zeros((100, 100, 3), np.uint8), found, ()).any()


def test_the_picture_of_a_class_is_enlarged_for_its_text():
    found = Classes(np.float32([0.2, 0.5, 0.3]), graphs.NAMES)
    assert found.labels.tolist() == [1, 2, 0]
    image = np.zeros((40, 60, 3), np.uint8)
    picture = drawing.classes(image, found)
    assert picture.shape == (256, 384, 3)
    assert picture.any()
    assert not image.any()
