"""Pictures of a run's page: the truth beside the prediction, and batches as they are augmented."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as coco_mask
from torch import Tensor

from mmspanet.analysis.page import Picture
from mmspanet.datasets.paths import leaf_datasets
from mmspanet.datasets.subset import subsample
from mmspanet.errors import InputError

Pixels = NDArray[np.uint8]

PANEL = 420  # longer side of a panel in pixels
GAP = 6  # pixels between panels
OPACITY = 0.45


def palette(count: int) -> NDArray[np.uint8]:
    """Colors of classes that are told apart as well as so many can be, of shape (count, 3), RGB."""
    known = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167)]
    known += [(0, 114, 178), (240, 228, 66)]
    hues = np.arange(max(0, count - len(known))) * 0.61803399 % 1  # golden ratio: far apart
    hsv = np.stack([hues * 179, 150 + 90 * (np.arange(len(hues)) % 2), np.full(len(hues), 225)], 1)
    more = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0] if len(hues) else []
    return np.array([*known, *map(tuple, more)], np.uint8)[:count]


def read_rgb(path: str) -> Pixels | None:
    """An image file as RGB of shape (H, W, 3), turned as its EXIF mark says; None if unread."""
    if not Path(path).is_file():  # of which OpenCV warns
        return None
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[..., ::-1])


def fit(image: Pixels) -> tuple[Pixels, float]:
    """The image with :data:`PANEL` as its longer side, and the scale."""
    scale = PANEL / max(image.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8), scale


def beside(*panels: Pixels) -> Pixels:
    """Panels of one size from left to right."""
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.hstack(parts)


def draw_objects(
    image: Pixels,
    items: Sequence[dict[str, Any]],
    classes: Sequence[str],
    marked: Sequence[bool] | None = None,
) -> Pixels:
    """An image with boxes, masks, names and scores.

    Args:
        image: RGB.
        items: In COCO's form, with labels as ids of categories; ``segmentation`` and ``score``
            where there are any.
        classes: Names of the classes.
        marked: Which to draw with a double frame.
    """
    canvas, scale = fit(image)
    colors = palette(len(classes)).tolist()
    names = []
    for item in items:
        if item.get('segmentation'):
            mask = _mask(item['segmentation'], *image.shape[:2])
            size = canvas.shape[1::-1]
            inside = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
            tint = np.array(colors[item['category_id']])
            canvas[inside] = ((1 - OPACITY) * canvas[inside] + OPACITY * tint).astype(np.uint8)
    for index, item in enumerate(items):
        x, y, width, height = (round(value * scale) for value in item['bbox'])
        color = colors[item['category_id']]
        cv2.rectangle(canvas, (x, y), (x + width, y + height), color, 2)
        if marked is not None and marked[index]:
            cv2.rectangle(canvas, (x - 3, y - 3), (x + width + 3, y + height + 3), (255, 0, 0), 2)
        text = classes[item['category_id']]
        if 'score' in item:
            text += f' {item["score"]:.2f}'
        names.append((text, (x, y), color))
    return _named(canvas, names)


def _mask(segmentation: Any, height: int, width: int) -> NDArray[np.uint8]:
    if isinstance(segmentation, list):
        codes = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.decode(coco_mask.merge(codes))
    if isinstance(segmentation['counts'], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(segmentation)


def _named(canvas: Pixels, names: Sequence[tuple[str, tuple[int, int], Sequence[int]]]) -> Pixels:
    """The picture with names above places, on their colors."""
    image = Image.fromarray(canvas)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for text, (x, y), color in names:
        _, _, width, height = pen.textbbox((0, 0), text, font)
        x = int(np.clip(x, 0, max(0, image.width - width - 4)))
        y = int(np.clip(y - height - 3, 0, image.height - height - 3))
        pen.rectangle((x, y, x + width + 4, y + height + 3), fill=tuple(color))
        pen.text((x + 2, y), text, 'black' if sum(color) > 330 else 'white', font)
    return np.asarray(image)


def draw_labels(image: Pixels, labels: NDArray[np.uint8], colors: NDArray[np.uint8]) -> Pixels:
    """An image tinted by a map of labels; labels beyond the colors stay as they are.

    Args:
        image: RGB.
        labels: Of shape (H, W).
        colors: Of shape (classes, 3), RGB.
    """
    table = np.zeros((256, 3), np.float32)
    table[: len(colors)] = colors
    share = np.zeros(256, np.float32)
    share[: len(colors)] = 0.6
    weight = share[labels][..., None]
    tinted = (1 - weight) * image + weight * table[labels]
    return fit(tinted.astype(np.uint8))[0]


def augmented(cfg: Config, count: int, seed: int = 0) -> list[Picture]:
    """Training images as the pipeline hands them to the model.

    Args:
        cfg: The config of the run.
        count: Number of images, from equal distances in the data set.
        seed: Of the augmentation.
    """
    scope = cfg.get('default_scope')
    init_default_scope(scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    np.random.seed(seed)  # what the transforms draw from
    classes = dataset.metainfo.get('classes') or ()
    swaps = _reads_bgr(cfg.train_dataloader.dataset)
    return [
        _packed_picture(dataset[place], classes, scope, swaps)
        for place in subsample(range(len(dataset)), count)
    ]


def _reads_bgr(dataset: ConfigDict) -> bool:
    """Whether images come as OpenCV reads them."""
    for _, leaf in leaf_datasets(dataset, ''):
        for step in leaf.get('pipeline', []):
            if step.get('type', '').endswith('LoadImageFromFile'):
                return step.get('color_type', 'color') == 'color' and not step.get('to_rgb')
    return True


def _packed_picture(item: Any, classes: Sequence[str], scope: str, swaps: bool) -> Picture:
    if not isinstance(item['inputs'], Tensor):
        raise InputError(
            'The training pipeline gives several images at once, of which no pictures are made.'
        )
    pixels = item['inputs'].numpy().transpose(1, 2, 0)
    if pixels.dtype != np.uint8:  # normalized by the pipeline: stretched to what can be seen
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    image = np.ascontiguousarray(pixels[..., ::-1] if swaps else pixels)
    sample = item['data_samples']
    size = f'{image.shape[1]} x {image.shape[0]} px'
    if scope == 'mmdet':
        found = sample.gt_instances
        boxes = found.bboxes.tensor if hasattr(found.bboxes, 'tensor') else found.bboxes
        items: list[dict[str, Any]] = []
        for index, (box, label) in enumerate(zip(boxes.tolist(), found.labels, strict=True)):
            x1, y1, x2, y2 = box
            entry = dict(bbox=[x1, y1, x2 - x1, y2 - y1], category_id=int(label))
            if 'masks' in found:
                mask = np.asfortranarray(found.masks.to_ndarray()[index])
                entry['segmentation'] = coco_mask.encode(mask)
            items.append(entry)
        return Picture(draw_objects(image, items, classes), size)
    if scope == 'mmseg':
        labels = sample.gt_sem_seg.data[0].numpy().astype(np.uint8)
        return Picture(draw_labels(image, labels, palette(len(classes))), size)
    names = ', '.join(classes[int(k)] if classes else str(int(k)) for k in sample.gt_label)
    return Picture(fit(image)[0], f'{names}, {size}')
