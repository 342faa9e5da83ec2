"""The images of the cue-conflict test: the outline of one class with the texture of another.

After Geirhos et al. 2019 (arXiv 1811.12231). Each class of Shapes has a texture of its own here,
so that outline and texture both tell the class, or tell different ones.
"""

from itertools import permutations
from pathlib import Path

import numpy as np

from mmspanet.datasets.shapes.draw import (
    CLASSES,
    SIZE,
    Rng,
    checks,
    dots,
    draw_background,
    draw_outline,
    smooth_noise,
    stripes,
)
from mmspanet.datasets.shapes.layouts import make_folder, numbered_generators, write_image
from mmspanet.datasets.shapes.scenes import add_camera_effects
from mmspanet.files import write_text


def _grain(rng: Rng) -> np.ndarray:
    return (smooth_noise(rng, 3) > 0.5).astype(np.float32)


def _blotches(rng: Rng) -> np.ndarray:
    return (smooth_noise(rng, 8) > 0.5).astype(np.float32)


CUE_TEXTURES = dict(star=_grain, cross=_blotches, ring=stripes, crescent=dots, bolt=checks)


def make_cue_portrait(rng: Rng, split: str, outline: int, texture: int) -> np.ndarray:
    """A BGR image, (SIZE, SIZE, 3) uint8, with the outline of one class and the texture of another.

    Each class has a texture of its own here, star and cross too. Compared with
    :func:`make_portrait` the textures are twice as coarse, dark on bright or bright on dark, and
    some outlines reach over the image's border: a balance of the cues in which small models
    ignore neither.
    """
    image = draw_background(rng, split)
    mask = draw_outline(
        outline, rng.uniform(38, 90, 2), rng.uniform(45, 75), rng.uniform(0, 2 * np.pi)
    )
    levels = np.array([[rng.uniform(0, 60)], [rng.uniform(195, 255)]])
    first, second = rng.permutation(levels + rng.uniform(-30, 30, (2, 3)))
    pattern = CUE_TEXTURES[CLASSES[texture]](rng)[: SIZE // 2, : SIZE // 2]
    pattern = pattern.repeat(2, axis=0).repeat(2, axis=1)[..., None]
    image[mask] = (first + (second - first) * pattern)[mask]
    return add_camera_effects(rng, image)


# The sets of the cue-conflict test: background textures, seed, and the classes of outline and
# texture of their images, in turn.
_MATCHED = [(label, label) for label in range(len(CLASSES))]
CUE_SETS: dict[str, tuple[str, int, list[tuple[int, int]]]] = dict(
    train=('train', 3, _MATCHED),
    val=('val', 4, _MATCHED),
    conflict=('val', 5, list(permutations(range(len(CLASSES)), 2))),
)


def write_cues(root: Path, name: str, count: int, seed: int = 0) -> None:
    """Write one of ``CUE_SETS`` as ``<name>/<class>/`` and ``meta/<name>.txt`` under ``root``.

    In ``train`` and ``val`` outline and texture are of the same class, in ``conflict`` they are
    of different ones. The class of folder and list is the outline's; the file names end in
    ``-<texture>.jpg``.
    """
    split, number, pairs = CUE_SETS[name]
    lines = []
    for i, rng in numbered_generators(count, [seed, number], f'cue-conflict test, {name}'):
        outline, texture = pairs[i % len(pairs)]
        file = f'{CLASSES[outline]}/{i + 1:08d}-{CLASSES[texture]}.jpg'
        make_folder((root / name / file).parent)
        write_image(root / name / file, make_cue_portrait(rng, split, outline, texture))
        lines.append(f'{file} {outline}\n')
    write_text(root / 'meta' / f'{name}.txt', ''.join(lines))
