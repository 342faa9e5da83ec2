"""Draw what a run on Shapes learned, its learning curve and its predictions, and sum it up."""

import argparse
import json
import pickle
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from pycocotools import mask as coco_mask

from mmspanet.datasets.shapes import CLASSES, SIZE

matplotlib.use('Agg')
from matplotlib import pyplot as plt

COLORS = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (0, 94, 213), (167, 121, 204)]  # BGR
ZOOM = 3  # the pictures' pixels per image pixel


def read_scalars(work_dir: Path) -> list[dict]:
    """The logged values of the newest training run in ``work_dir`` (MMEngine's scalars.json)."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    records = [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]
    training = [record for record in records if any('loss' in row for row in record)]
    if not training:
        raise SystemExit(f'error: {work_dir} holds no log of a training: run tools/train.py first.')
    return training[-1]


def draw_learning_curve(scalars: list[dict], metrics: dict, path: Path) -> None:
    """The training losses against the iteration, and the AP of the test in the title."""
    training = [row for row in scalars if 'loss' in row]
    iterations = [row['step'] for row in training]
    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    for key in ('loss', 'loss_cls', 'loss_bbox', 'loss_mask'):
        axes.plot(iterations, [row[key] for row in training], label=key)
    box, mask = metrics['coco/bbox_mAP'], metrics['coco/segm_mAP']
    title = f'after training: box AP {box:.3f}, mask AP {mask:.3f} (0.50:0.95, held-out images)'
    axes.set(xlabel='iteration', ylabel='training loss', ylim=(0, None), title=title)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def outlined(
    image: np.ndarray, masks: list[dict], labels: list[int], texts: list[str]
) -> np.ndarray:
    """The enlarged image with each object's mask tinted, outlined and named."""
    canvas = cv2.resize(image, (ZOOM * SIZE, ZOOM * SIZE), interpolation=cv2.INTER_CUBIC)
    for code, label, text in zip(masks, labels, texts, strict=True):
        mask = coco_mask.decode(code)
        mask = cv2.resize(mask, canvas.shape[:2], interpolation=cv2.INTER_NEAREST)
        color = COLORS[label]
        inside = mask.astype(bool)
        canvas[inside] = (0.6 * canvas[inside] + 0.4 * np.array(color)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, color, 2)
        x, y, _, _ = cv2.boundingRect(mask)
        for thickness, ink in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            place = (x, max(y - 4, 12))
            cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, thickness)
    return canvas


def draw_predictions(
    predictions: list[dict], annotation_file: Path, path: Path, count: int, threshold: float
) -> None:
    """The first held-out images in pairs: the truth on the left, the prediction on the right."""
    record = json.loads(annotation_file.read_text())
    names = {image['id']: image['file_name'] for image in record['images']}
    pairs = []
    for prediction in predictions[:count]:
        image_id = prediction['img_id']
        image = cv2.imread(str(annotation_file.parents[1] / 'val2017' / names[image_id]))
        assert image is not None, f'{names[image_id]} can not be read'
        truth = [a for a in record['annotations'] if a['image_id'] == image_id]
        labels = [a['category_id'] - 1 for a in truth]
        codes = [coco_mask.frPyObjects(a['segmentation'], SIZE, SIZE) for a in truth]
        left = outlined(image, codes, labels, [CLASSES[k] for k in labels])
        found = prediction['pred_instances']
        kept = np.flatnonzero(found['scores'].numpy() > threshold)
        labels = [int(found['labels'][k]) for k in kept]
        texts = [f'{CLASSES[int(found["labels"][k])]} {found["scores"][k]:.2f}' for k in kept]
        right = outlined(image, [found['masks'][k] for k in kept], labels, texts)
        pairs.append(cv2.copyMakeBorder(np.hstack([left, right]), 4, 4, 4, 4, cv2.BORDER_CONSTANT))
    rows = [np.hstack(pairs[i : i + 2]) for i in range(0, len(pairs) - 1, 2)]
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', type=Path, help='folder of the training run')
    parser.add_argument('predictions', type=Path, help='.pkl file of tools/test.py --out')
    parser.add_argument(
        '--annotations',
        type=Path,
        default=Path('data/shapes/coco/annotations/instances_val2017.json'),
        help='annotation file of the held-out images',
    )
    parser.add_argument('--count', type=int, default=8, help='number of images to draw')
    parser.add_argument('--threshold', type=float, default=0.5, help='least score to draw')
    args = parser.parse_args()
    scalars = read_scalars(args.work_dir)
    curve, pictures = args.work_dir / 'learning_curve.png', args.work_dir / 'predictions.png'
    with open(args.predictions, 'rb') as file:  # written by our own test run
        predictions = pickle.load(file)
    draw_predictions(predictions, args.annotations, pictures, args.count, args.threshold)
    tests = sorted(args.work_dir.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
    metrics = json.loads(tests[-1].read_text())
    draw_learning_curve(scalars, metrics, curve)
    losses = [row['loss'] for row in scalars if 'loss' in row]
    print(f'training loss    {losses[0]:.2f} -> {losses[-1]:.2f}')
    print(f'box AP           {metrics["coco/bbox_mAP"]:.3f} (COCO 0.50:0.95, held-out images)')
    print(f'mask AP          {metrics["coco/segm_mAP"]:.3f}')
    print(f'pictures         {pictures} (left of each pair: truth, right: prediction)')
    print(f'learning curve   {curve}')


if __name__ == '__main__':
    main()
