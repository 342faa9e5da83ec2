"""Images to begin with: scenes and portraits of Shapes, drawn at the start."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from mmspanet.datasets.shapes import make_portrait, make_scene
from mmspanet.errors import InputError
from mmspanet.media import IMAGES

COUNT = 4  # of each kind


def draw_examples(folder: Path) -> list[Path]:
    """Write scenes, which hold several objects, and portraits of one, as PNG."""
    rng = np.random.default_rng(7)
    images = [(f'scene {i + 1}', make_scene(rng, 'val')[0]) for i in range(COUNT)]
    images += [(f'portrait {i + 1}', make_portrait(rng, 'val', i)) for i in range(COUNT)]
    paths = []
    for name, image in images:
        path = folder / f'{name}.png'
        cv2.imwrite(str(path), image)
        paths.append(path)
    return paths


def copy_examples(source: Path, folder: Path) -> list[Path]:
    """Copy the first images of a folder, by their names.

    Raises:
        InputError: If it holds none.
    """
    found = sorted(p for p in source.rglob('*') if p.suffix.lower() in IMAGES)[: 2 * COUNT]
    if not found:
        raise InputError(f'There are no images in {source}: give a folder of images.')
    names = [f'{number}_{path.name}' for number, path in enumerate(found)]  # of several folders
    return [Path(shutil.copy(path, folder / name)) for path, name in zip(found, names, strict=True)]
