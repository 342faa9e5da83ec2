"""Shapes: a small synthetic data set in COCO, ADE20K or ImageNet layout.

Five classes of rotated and scaled outlines on cluttered, textured backgrounds,
128 px a side. Star and cross are painted alike, so only their outline tells
them apart; ring, crescent and bolt each have a texture of their own. About a
quarter of the instances is under 32 x 32 pixels, and a third is partly hidden.
Validation images come from other seeds and other background textures. The same
call writes the same files.

In the images of the cue-conflict test (Geirhos et al. 2019, arXiv 1811.12231) each class has a
texture of its own, and the outline of one class can carry that of another.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

CLASSES = ('star', 'cross', 'ring', 'crescent', 'bolt')
SIZE = 128  # pixels a side

Rng = np.random.Generator


@dataclass(frozen=True)
class Instance:
    """One object: its class index and its visible mask, (SIZE, SIZE) bool."""

    label: int
    mask: np.ndarray
    hidden: float  # share of the object that something covers, 0 to 1

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the visible mask, in pixels."""
        x, y, width, height = cv2.boundingRect(self.mask.astype(np.uint8))
        return x, y, width, height


# --- outlines: closed polygons within the unit circle, as (n, 2) arrays ---------------------


def _star() -> list[np.ndarray]:
    angle = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    return [np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)]


def _cross() -> list[np.ndarray]:
    a, b = 0.27, 0.96
    quarter = np.array([[a, b], [a, a], [b, a], [b, -a]])
    turns = [np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), k) for k in range(4)]
    return [np.concatenate([quarter[:3] @ turn.T for turn in reversed(turns)])]


def _ring() -> list[np.ndarray]:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return [circle, 0.58 * circle]


def _crescent() -> list[np.ndarray]:
    outer = np.linspace(0.22 * np.pi, 1.78 * np.pi, 30)
    inner = np.linspace(1.70 * np.pi, 0.30 * np.pi, 30)
    back = np.stack([0.68 * np.cos(inner) + 0.33, 0.74 * np.sin(inner)], axis=1)
    return [np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), back])]


def _bolt() -> list[np.ndarray]:
    half = np.array([[0.45, -1.0], [-0.65, 0.25], [-0.1, 0.25]])
    return [np.concatenate([half, -half])]


_OUTLINES = dict(star=_star, cross=_cross, ring=_ring, crescent=_crescent, bolt=_bolt)


def draw_outline(label: int, centre: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """Mask, (SIZE, SIZE) bool, of a class's outline at a place, size and rotation in radians."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    polygons = _OUTLINES[CLASSES[label]]()
    # fillPoly takes fixed-point numbers (4 fractional bits) and leaves out what lies inside twice.
    points = [np.round((radius * p @ turn.T + centre) * 16).astype(np.int32) for p in polygons]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, points, 1, shift=4)
    return mask.astype(bool)


# --- textures: (SIZE, SIZE) patterns in [0, 1], painted between two colours -----------------

_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float32)


def _wave(rng: Rng, period: tuple[float, float]) -> np.ndarray:
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    step = 2 * np.pi / rng.uniform(*period)
    return 0.5 + 0.5 * np.sin(step * (_X * np.cos(angle) + _Y * np.sin(angle)) + phase)


def _noise(rng: Rng, cell: int) -> np.ndarray:
    grid = rng.random((SIZE // cell + 2, SIZE // cell + 2)).astype(np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _shading(rng: Rng) -> np.ndarray:
    return _wave(rng, (120, 200))


def _stripes(rng: Rng) -> np.ndarray:
    return (_wave(rng, (5, 9)) > 0.5).astype(np.float32)


def _dots(rng: Rng) -> np.ndarray:
    period = rng.uniform(5, 8)
    x, y = rng.uniform(0, period, 2)
    step = 2 * np.pi / period
    return (np.cos(step * (_X - x)) + np.cos(step * (_Y - y)) > 0.6).astype(np.float32)


def _checks(rng: Rng) -> np.ndarray:
    side, (x, y) = rng.uniform(4, 7), rng.uniform(0, 14, 2)
    return (((_X + x) // side + (_Y + y) // side) % 2).astype(np.float32)


def _grain(rng: Rng) -> np.ndarray:
    return (_noise(rng, 3) > 0.5).astype(np.float32)


def _blotches(rng: Rng) -> np.ndarray:
    return (_noise(rng, 8) > 0.5).astype(np.float32)


def _clouds(rng: Rng) -> np.ndarray:
    return 0.6 * _noise(rng, 32) + 0.3 * _noise(rng, 12) + 0.1 * _noise(rng, 4)


def _ripples(rng: Rng) -> np.ndarray:
    return 0.6 * _wave(rng, (12, 40)) + 0.4 * _noise(rng, 16)


def _speckle(rng: Rng) -> np.ndarray:
    return 0.6 * _noise(rng, 24) + 0.4 * rng.random((SIZE, SIZE)).astype(np.float32)


def _weave(rng: Rng) -> np.ndarray:
    return 0.5 * _wave(rng, (8, 24)) + 0.5 * _wave(rng, (8, 24))


def _patches(rng: Rng) -> np.ndarray:
    grid = rng.random((rng.integers(4, 9),) * 2).astype(np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


def _marble(rng: Rng) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(12 * _noise(rng, 32) + 6 * _noise(rng, 12))


_OBJECT_TEXTURES = dict(star=_shading, cross=_shading, ring=_stripes, crescent=_dots, bolt=_checks)
_CUE_TEXTURES = dict(star=_grain, cross=_blotches, ring=_stripes, crescent=_dots, bolt=_checks)
_BACKGROUNDS = dict(train=(_clouds, _ripples, _speckle), val=(_weave, _patches, _marble))


def _muted(rng: Rng) -> np.ndarray:
    """A BGR colour of little saturation."""
    return rng.uniform(50, 205) + rng.uniform(-30, 30, 3)


def _vivid(rng: Rng) -> np.ndarray:
    """A BGR colour of high saturation and any hue."""
    return rng.permutation([rng.uniform(0, 60), rng.uniform(0, 255), rng.uniform(195, 255)])


def paint_texture(
    texture: Callable[[Rng], np.ndarray], rng: Rng, colour: Callable[[Rng], np.ndarray]
) -> np.ndarray:
    """A texture, (SIZE, SIZE, 3) float, between two colours of ``colour`` that differ clearly."""
    first, second = colour(rng), colour(rng)
    while not 40 < np.abs(first - second).mean() < 110:
        first, second = colour(rng), colour(rng)
    pattern = np.clip(texture(rng), 0, 1)[..., None]
    return first + (second - first) * pattern


def _background(rng: Rng, split: str) -> np.ndarray:
    families = _BACKGROUNDS[split]
    image = paint_texture(families[rng.integers(len(families))], rng, _muted)
    for _ in range(rng.integers(4, 10)):  # clutter: strokes and blobs, no outline of a class
        colour = (_vivid if rng.random() < 0.3 else _muted)(rng).tolist()
        ends = rng.integers(0, SIZE, (2, 2)).tolist()
        if rng.random() < 0.6:
            cv2.line(image, ends[0], ends[1], colour, int(rng.integers(1, 4)), cv2.LINE_AA)
        else:
            axes = rng.integers(2, 9, 2).tolist()
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(image, ends[0], axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
    return image


# --- scenes -----------------------------------------------------------------------------------


def make_scene(rng: Rng, split: str) -> tuple[np.ndarray, list[Instance]]:
    """A BGR image, (SIZE, SIZE, 3) uint8, with 2 to 6 objects, and the objects."""
    image = _background(rng, split)
    labels: list[int] = []
    whole: list[np.ndarray] = []
    visible: list[np.ndarray] = []
    wanted = rng.integers(2, 7)
    while len(labels) < wanted:
        label = int(rng.integers(len(CLASSES)))
        radius = rng.uniform(9, 14) if rng.random() < 0.27 else rng.uniform(18, 32)
        mask = _placed(rng, label, radius, whole, visible)
        if mask is None:
            continue
        visible = [v & ~mask for v in visible]
        labels, whole, visible = [*labels, label], [*whole, mask], [*visible, mask]
        texture = paint_texture(_OBJECT_TEXTURES[CLASSES[label]], rng, _vivid)
        image[mask] = texture[mask]
    for i, mask in enumerate(whole):
        if visible[i].sum() == mask.sum() and rng.random() < 0.06:
            cover = _cover(rng, mask)
            shares = [(v & ~cover).sum() / m.sum() for v, m in zip(visible, whole, strict=True)]
            if min(shares) >= 0.5:
                visible = [v & ~cover for v in visible]
                image[cover] = paint_texture(_clouds, rng, _muted)[cover]
    instances = [
        Instance(label, v, 1 - v.sum() / m.sum())
        for label, v, m in zip(labels, visible, whole, strict=True)
    ]
    return _finished(rng, image), instances


def make_portrait(rng: Rng, split: str, label: int) -> np.ndarray:
    """A BGR image, (SIZE, SIZE, 3) uint8, of one object that fills most of it."""
    image = _background(rng, split)
    mask = draw_outline(
        label, rng.uniform(52, 76, 2), rng.uniform(34, 50), rng.uniform(0, 2 * np.pi)
    )
    texture = paint_texture(_OBJECT_TEXTURES[CLASSES[label]], rng, _vivid)
    image[mask] = texture[mask]
    return _finished(rng, image)


def make_cue_portrait(rng: Rng, split: str, outline: int, texture: int) -> np.ndarray:
    """A BGR image, (SIZE, SIZE, 3) uint8, with the outline of one class and the texture of another.

    Each class has a texture of its own here, star and cross too. Compared with
    :func:`make_portrait` the textures are twice as coarse, dark on bright or bright on dark, and
    some outlines reach over the image's border: a balance of the cues in which small models
    ignore neither.
    """
    image = _background(rng, split)
    mask = draw_outline(
        outline, rng.uniform(38, 90, 2), rng.uniform(45, 75), rng.uniform(0, 2 * np.pi)
    )
    levels = np.array([[rng.uniform(0, 60)], [rng.uniform(195, 255)]])
    first, second = rng.permutation(levels + rng.uniform(-30, 30, (2, 3)))
    pattern = _CUE_TEXTURES[CLASSES[texture]](rng)[: SIZE // 2, : SIZE // 2]
    pattern = pattern.repeat(2, axis=0).repeat(2, axis=1)[..., None]
    image[mask] = (first + (second - first) * pattern)[mask]
    return _finished(rng, image)


def _placed(
    rng: Rng, label: int, radius: float, whole: list[np.ndarray], visible: list[np.ndarray]
) -> np.ndarray | None:
    """A mask inside the image that leaves at least half of every earlier object in sight."""
    for _ in range(10):
        centre = rng.uniform(radius, SIZE - radius, 2)
        mask = draw_outline(label, centre, radius, rng.uniform(0, 2 * np.pi))
        if all((v & ~mask).sum() >= 0.5 * m.sum() for v, m in zip(visible, whole, strict=True)):
            return mask
    return None


def _cover(rng: Rng, mask: np.ndarray) -> np.ndarray:
    """A blob over a part of an object."""
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(xs))
    axes = (rng.uniform(0.35, 0.6, 2) * np.sqrt(mask.sum())).astype(int) + 1
    cover = np.zeros((SIZE, SIZE), np.uint8)
    turn = float(rng.uniform(0, 180))
    cv2.ellipse(cover, (int(xs[i]), int(ys[i])), axes.tolist(), turn, 0, 360, 1, -1)
    return cover.astype(bool)


def _finished(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Soften the edges a little and add sensor noise."""
    image = cv2.GaussianBlur(image, (3, 3), 0.6) + rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


# --- the layouts -----------------------------------------------------------------------------

SPLIT_SEEDS = dict(train=1, val=2)


def write_coco(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``<split>2017/`` and ``annotations/instances_<split>2017.json`` under ``root``."""
    folder = _made(root / f'{split}2017')
    images: list[dict] = []
    annotations: list[dict] = []
    for i, rng in _each(count, [seed, SPLIT_SEEDS[split]], f'COCO layout, {split}'):
        image, instances = make_scene(rng, split)
        name = f'{i + 1:012d}.jpg'
        _write_image(folder / name, image)
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
    path = _made(root / 'annotations') / f'instances_{split}2017.json'
    path.write_text(json.dumps(record))


def write_ade(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``images/`` and ``annotations/`` under ``root``; 0 is ignored, 1 the background."""
    name = dict(train='training', val='validation')[split]
    images, annotations = _made(root / 'images' / name), _made(root / 'annotations' / name)
    # MMSegmentation takes all that lie in the folder, those of an earlier, larger set, too.
    for old in [*images.glob(f'shapes_{split}_*'), *annotations.glob(f'shapes_{split}_*')]:
        old.unlink()
    for i, rng in _each(count, [seed, SPLIT_SEEDS[split]], f'ADE20K layout, {split}'):
        image, instances = make_scene(rng, split)
        labels = np.ones((SIZE, SIZE), np.uint8)
        for instance in instances:
            labels[instance.mask] = instance.label + 2
        _write_image(images / f'shapes_{split}_{i + 1:08d}.jpg', image)
        _write_image(annotations / f'shapes_{split}_{i + 1:08d}.png', labels)


def write_imagenet(root: Path, split: str, count: int, seed: int = 0) -> None:
    """Write ``<split>/<class>/`` and ``meta/<split>.txt`` under ``root``."""
    lines = []
    for i, rng in _each(count, [seed, SPLIT_SEEDS[split]], f'ImageNet layout, {split}'):
        label = i % len(CLASSES)
        name = f'{CLASSES[label]}/{i + 1:08d}.jpg'
        _made((root / split / name).parent)
        _write_image(root / split / name, make_portrait(rng, split, label))
        lines.append(f'{name} {label}\n')
    (_made(root / 'meta') / f'{split}.txt').write_text(''.join(lines))


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
    for i, rng in _each(count, [seed, number], f'cue-conflict test, {name}'):
        outline, texture = pairs[i % len(pairs)]
        file = f'{CLASSES[outline]}/{i + 1:08d}-{CLASSES[texture]}.jpg'
        _made((root / name / file).parent)
        _write_image(root / name / file, make_cue_portrait(rng, split, outline, texture))
        lines.append(f'{file} {outline}\n')
    (_made(root / 'meta') / f'{name}.txt').write_text(''.join(lines))


def encode_rle(mask: np.ndarray) -> dict:
    """COCO's uncompressed run-length code of a bool mask: runs down the columns, zeros first."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(edges).tolist()
    return dict(size=list(mask.shape), counts=[0, *runs] if flat[0] else runs)


def _each(count: int, seeds: list[int], title: str) -> Iterable[tuple[int, Rng]]:
    """Image numbers, each with a generator of its own, behind a progress bar."""
    for i in track(range(count), title):
        yield i, np.random.default_rng([*seeds, i])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_image(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
        raise OSError(f'{path} could not be written: check the disk and its permissions.')
