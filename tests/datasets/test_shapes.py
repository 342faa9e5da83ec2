"""The synthetic data set is as hard as it is said to be, and the same at every call."""

import json

import cv2
import numpy as np
import pytest

from mmspanet.datasets import shapes
from mmspanet.datasets.shapes import draw, layouts


@pytest.fixture(scope='module')
def scenes():
    return {
        split: [shapes.make_scene(np.random.default_rng([0, seed, i]), split) for i in range(150)]
        for split, seed in shapes.SPLIT_SEEDS.items()
    }


@pytest.mark.parametrize('split', ['train', 'val'])
def test_composition(scenes, split):
    instances = [instance for _, found in scenes[split] for instance in found]
    assert all(image.shape == (128, 128, 3) for image, _ in scenes[split])
    assert {len(found) for _, found in scenes[split]} == {2, 3, 4, 5, 6}
    small = [max(instance.box[2:]) < 32 for instance in instances]
    assert 0.22 <= np.mean(small) <= 0.32
    hidden = [instance.hidden > 0.05 for instance in instances]
    assert 0.33 <= np.mean(hidden) <= 0.5
    assert max(instance.hidden for instance in instances) <= 0.6
    assert set(np.bincount([i.label for i in instances]) > 80) == {True}


def test_star_and_cross_differ_only_in_outline():
    textures = draw.OBJECT_TEXTURES
    assert textures['star'] is textures['cross']
    assert len(set(textures.values())) == len(shapes.CLASSES) - 1


def test_validation_has_other_backgrounds():
    assert not set(draw.BACKGROUND_TEXTURES['train']) & set(draw.BACKGROUND_TEXTURES['val'])


def test_run_length_code():
    masks = pytest.importorskip('pycocotools.mask')
    rng = np.random.default_rng(0)
    for density in (0.0, 0.1, 0.9, 1.0):
        mask = rng.random((9, 7)) < density
        code = layouts.encode_rle(mask)
        assert sum(code['counts']) == mask.size
        decoded = masks.decode(masks.frPyObjects(code, *code['size']))
        assert (decoded.astype(bool) == mask).all()


def test_boxes_filled_as_masks_score_little(tmp_path):
    """Mask AP of the true boxes, each filled: what a box detector without masks could reach."""
    coco = pytest.importorskip('pycocotools.coco')
    mask = pytest.importorskip('pycocotools.mask')
    cocoeval = pytest.importorskip('pycocotools.cocoeval')
    shapes.write_coco(tmp_path, 'val', 100)
    truth = coco.COCO(str(tmp_path / 'annotations/instances_val2017.json'))
    results = []
    for annotation in truth.dataset['annotations']:
        x, y, width, height = annotation['bbox']
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        results.append(
            dict(
                image_id=annotation['image_id'],
                bbox=annotation['bbox'],
                category_id=annotation['category_id'],
                segmentation=mask.frPyObjects([corners], 128, 128)[0],
                score=1.0,
            )
        )
    scores = {}
    for kind in ('segm', 'bbox'):
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        scores[kind] = evaluation.stats[0]
    assert scores['bbox'] > 0.95
    assert scores['segm'] <= 0.30


def test_same_files_at_every_call(tmp_path):
    for run in ('a', 'b'):
        shapes.write_coco(tmp_path / run / 'coco', 'train', 5)
        shapes.write_ade(tmp_path / run / 'ade', 'val', 5)
        shapes.write_imagenet(tmp_path / run / 'imagenet', 'train', 5)
    files = sorted(p.relative_to(tmp_path / 'a') for p in (tmp_path / 'a').rglob('*.*'))
    assert len(files) == 5 + 1 + 10 + 5 + 1
    for file in files:
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes(), file


def test_another_seed_gives_other_images():
    images = [shapes.make_scene(np.random.default_rng([seed, 1, 0]), 'train')[0] for seed in (0, 1)]
    assert not np.array_equal(*images)


def test_layouts_agree_with_the_scenes(tmp_path, scenes):
    shapes.write_coco(tmp_path / 'coco', 'val', 3)
    shapes.write_ade(tmp_path / 'ade', 'val', 3)
    record = json.loads((tmp_path / 'coco/annotations/instances_val2017.json').read_text())
    for i in range(3):
        found = scenes['val'][i][1]
        labels = [a['category_id'] for a in record['annotations'] if a['image_id'] == i + 1]
        assert labels == [instance.label + 1 for instance in found]
        path = tmp_path / f'ade/annotations/validation/shapes_val_{i + 1:08d}.png'
        expected = np.ones((128, 128), np.uint8)
        for instance in found:
            expected[instance.mask] = instance.label + 2
        assert (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == expected).all()


def test_a_smaller_set_leaves_nothing_of_a_larger_one(tmp_path):
    for count in (3, 1):
        shapes.write_ade(tmp_path, 'train', count)
    files = sorted(path.name for path in tmp_path.rglob('*.*'))
    assert files == ['shapes_train_00000001.jpg', 'shapes_train_00000001.png']


def test_imagenet_layout(tmp_path):
    shapes.write_imagenet(tmp_path, 'val', 10)
    lines = (tmp_path / 'meta/val.txt').read_text().splitlines()
    assert lines[1] == 'cross/00000002.jpg 1'
    assert all((tmp_path / 'val' / line.split()[0]).is_file() for line in lines)
