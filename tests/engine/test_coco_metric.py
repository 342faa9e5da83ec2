"""faster-coco-eval in MMDetection's metric: the figures are pycocotools'."""

import json

import numpy as np
import pytest
import torch

from mmspanet.engine.coco_metric import use_faster_coco_eval

pytest.importorskip('faster_coco_eval')
coco_metric = pytest.importorskip('mmdet.evaluation.metrics.coco_metric')
coco_masks = pytest.importorskip('pycocotools.mask')

HEIGHT, WIDTH, CLASSES = 100, 120, ('a', 'b', 'c')


def random_box(rng):
    """x1, y1, x2, y2 of a small or a large box."""
    size = rng.uniform(4, (WIDTH - 4, HEIGHT - 4)) * rng.choice([0.2, 1])
    corner = rng.uniform(0, (WIDTH, HEIGHT) - size)
    return np.concatenate([corner, corner + size])


def encoded(box):
    x1, y1, x2, y2 = box.round().astype(int).clip(0)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order='F')
    mask[y1:y2, x1:x2] = 1
    return coco_masks.encode(mask)


def annotation(number, image, box, rng):
    is_crowd = rng.random() < 0.1
    x1, y1, x2, y2 = box.tolist()
    code = encoded(box)
    polygons = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return dict(
        id=number,
        image_id=image,
        category_id=int(rng.integers(1, 4)),
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=(x2 - x1) * (y2 - y1),
        iscrowd=int(is_crowd),
        segmentation=code | dict(counts=code['counts'].decode()) if is_crowd else polygons,
    )


@pytest.fixture(scope='module')
def content():
    """Annotations of a few images, crowds among them."""
    rng = np.random.default_rng(0)
    images = [dict(id=i, width=WIDTH, height=HEIGHT, file_name=f'{i}.jpg') for i in range(12)]
    of = [i for i in range(12) for _ in range(rng.integers(0, 9))]
    return dict(
        images=images,
        annotations=[annotation(n, i, random_box(rng), rng) for n, i in enumerate(of, start=1)],
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)],
    )


def predictions(content):
    """Most of the objects, moved by some pixels, and boxes of nothing; many scores are equal."""
    rng = np.random.default_rng(1)
    for image in content['images']:
        boxes, labels = [], []
        for entry in content['annotations']:
            if entry['image_id'] == image['id'] and rng.random() < 0.8:
                x, y, width, height = np.array(entry['bbox']) + rng.normal(0, 2, 4)
                boxes.append(np.array([x, y, x + max(width, 1), y + max(height, 1)]))
                labels.append(entry['category_id'] - 1)
        for _ in range(rng.integers(0, 5)):
            boxes.append(random_box(rng))
            labels.append(int(rng.integers(0, 3)))
        instances = dict(
            bboxes=torch.tensor(np.array(boxes).reshape(-1, 4)),
            scores=torch.tensor(rng.random(len(boxes)).round(1)),
            labels=torch.tensor(labels, dtype=torch.long),
            masks=[encoded(box) for box in boxes],
        )
        yield dict(img_id=image['id'], pred_instances=instances, ori_shape=(HEIGHT, WIDTH))


def figures(content, path, options):
    path.write_text(json.dumps(content))
    metric = coco_metric.CocoMetric(ann_file=str(path), classwise=True, **options)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, list(predictions(content)))
    return metric.evaluate(len(content['images']))


@pytest.mark.parametrize(
    'options',
    [
        dict(metric=['bbox', 'segm']),
        dict(metric='bbox', proposal_nums=(1, 3, 100)),
        dict(metric='proposal'),
        dict(metric='segm', metric_items=['mAP', 'mAP_50', 'AR@100', 'AR_l@1000']),
    ],
)
def test_the_figures_are_those_of_pycocotools(content, options, tmp_path, monkeypatch):
    path = tmp_path / 'annotations.json'
    expected = figures(content, path, options)
    assert max(expected.values()) > 0.1
    monkeypatch.setattr(coco_metric, 'COCOeval', coco_metric.COCOeval)  # put back at the end
    assert use_faster_coco_eval()
    assert coco_metric.COCOeval.__mro__[1].__module__.startswith('faster_coco_eval')
    assert figures(content, path, options) == pytest.approx(expected, abs=1e-4)
