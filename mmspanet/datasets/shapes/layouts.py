"""Shapes on disk, in the layouts of COCO, ADE20K and ImageNet."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from mmspanet.errors import WriteError
from mmspanet.files import write_text

from .draw import CLASSES, SIZE, Rng
from .scenes import make_portrait, make_scene

SPLIT_SEEDS = dict(train=1, val=2)


def write_coco(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``<split>2017/`` and ``annotations/instances_<split>2017.json`` under ``root``."""
    folder = make_folder(root / f'{split}2017')
    images: list[dict] = []
    annotations: list[dict] = []
    for i, rng in numbered_generators(count, [seed, SPLIT_SEEDS[split]], f'COCO layout, {split}'):
        image, instances = make_scene(rng, split)
        name = f'{i + 1:012d}.jpg'
        write_image(folder / name, image)
        images.append(dict(id=i + 1, file_name=name, width=SIZE, height=SIZE))
        annotations += [
            dict(
                id=len(annotations) + k + 1,
                image_id=i + 1,
                category_id=instance.label + 1,
                bbox=list(instance.box),
                area=int(instance.mask.sum()),
                segmentation=encode_rle(instance.mask),
                iscrowd=0,
            )
            for k, instance in enumerate(instances)
        ]
    categories = [dict(id=k + 1, name=name) for k, name in enumerate(CLASSES)]
    record = dict(images=images, annotations=annotations, categories=categories)
    path = root / 'annotations' / f'instances_{split}2017.json'
    write_text(path, json.dumps(record))


def write_ade(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``images/`` and ``annotations/`` under ``root``; 0 is ignored, 1 the background."""
    name = dict(train='training', val='validation')[split]
    images, annotations = (
        make_folder(root / 'images' / name),
        make_folder(root / 'annotations' / name),
    )
    # MMSegmentation takes all that lie in the folder, those of an earlier, larger set, too.
    for old in [*images.glob(f'shapes_{split}_*'), *annotations.glob(f'shapes_{split}_*')]:
        old.unlink()
    for i, rng in numbered_generators(count, [seed, SPLIT_SEEDS[split]], f'ADE20K layout, {split}'):
        image, instances = make_scene(rng, split)
        labels = np.ones((SIZE, SIZE), np.uint8)
        for instance in instances:
            labels[instance.mask] = instance.label + 2
        write_image(images / f'shapes_{split}_{i + 1:08d}.jpg', image)
        write_image(annotations / f'shapes_{split}_{i + 1:08d}.png', labels)


def write_imagenet(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``<split>/<class>/`` and ``meta/<split>.txt`` under ``root``."""
    lines = []
    for i, rng in numbered_generators(
        count, [seed, SPLIT_SEEDS[split]], f'ImageNet layout, {split}'
    ):
        label = i % len(CLASSES)
        name = f'{CLASSES[label]}/{i + 1:08d}.jpg'
        make_folder((root / split / name).parent)
        write_image(root / split / name, make_portrait(rng, split, label))
        lines.append(f'{name} {label}\n')
    write_text(root / 'meta' / f'{split}.txt', ''.join(lines))


def encode_rle(mask: np.ndarray) -> dict:
    """Encode a bool mask, (H, W), in COCO's uncompressed run-length form.

    The runs go down the columns and begin with zeros. ``pycocotools.mask.encode`` writes the
    compressed form, which no annotation file of Shapes has had, and would make pycocotools a
    requirement of users without MMDetection.
    """
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(edges).tolist()
    return dict(size=list(mask.shape), counts=[0, *runs] if flat[0] else runs)


def numbered_generators(count: int, seeds: list[int], title: str) -> Iterator[tuple[int, Rng]]:
    """Yield ``count`` image numbers from 0, each with its own generator, behind a progress bar.

    Args:
        count: Number of images.
        seeds: Seeds of the set; an image's generator adds its number.
        title: Of the progress bar.
    """
    for i in track(range(count), title):
        yield i, np.random.default_rng([*seeds, i])


def make_folder(folder: Path) -> Path:
    """Make a folder and those above it where they are missing, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a BGR image, (H, W, 3), or a label map, (H, W), both uint8.

    Raises:
        WriteError: If the disk does not take it.
    """
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
        raise WriteError(f'{path} could not be written: check the disk and its permissions.')
