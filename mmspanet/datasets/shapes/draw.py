"""What is in an image of Shapes: outlines, textures, colors and backgrounds."""

from collections.abc import Callable

import cv2
import numpy as np

CLASSES = ('star', 'cross', 'ring', 'crescent', 'bolt')
SIZE = 128  # pixels a side

Rng = np.random.Generator

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


def draw_outline(label: int, center: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """Draw the filled outline of a class.

    Args:
        label: Index of the class in :data:`CLASSES`.
        center: x and y in pixels, (2,).
        radius: Of the circle around the outline, in pixels.
        angle: Of the rotation, in radians.

    Returns:
        The mask, (SIZE, SIZE) bool.
    """
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    polygons = _OUTLINES[CLASSES[label]]()
    # fillPoly takes fixed-point numbers (4 fractional bits) and leaves out what lies inside twice.
    points = [np.round((radius * p @ turn.T + center) * 16).astype(np.int32) for p in polygons]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, points, 1, shift=4)
    return mask.astype(bool)


# --- textures: (SIZE, SIZE) patterns in [0, 1], painted between two colors ------------------

_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float32)


def _wave(rng: Rng, period: tuple[float, float]) -> np.ndarray:
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    step = 2 * np.pi / rng.uniform(*period)
    return 0.5 + 0.5 * np.sin(step * (_X * np.cos(angle) + _Y * np.sin(angle)) + phase)


def smooth_noise(rng: Rng, cell: int) -> np.ndarray:
    """Uniform noise on a grid of ``cell`` pixels, interpolated to (SIZE, SIZE)."""
    grid = rng.random((SIZE // cell + 2, SIZE // cell + 2)).astype(np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def _shading(rng: Rng) -> np.ndarray:
    return _wave(rng, (120, 200))


def stripes(rng: Rng) -> np.ndarray:
    """A texture of stripes, 0 and 1, of any direction."""
    return (_wave(rng, (5, 9)) > 0.5).astype(np.float32)


def dots(rng: Rng) -> np.ndarray:
    """A texture of dots, 0 and 1, on a square lattice."""
    period = rng.uniform(5, 8)
    x, y = rng.uniform(0, period, 2)
    step = 2 * np.pi / period
    return (np.cos(step * (_X - x)) + np.cos(step * (_Y - y)) > 0.6).astype(np.float32)


def checks(rng: Rng) -> np.ndarray:
    """A texture of checkerboard squares, 0 and 1."""
    side, (x, y) = rng.uniform(4, 7), rng.uniform(0, 14, 2)
    return (((_X + x) // side + (_Y + y) // side) % 2).astype(np.float32)


def clouds(rng: Rng) -> np.ndarray:
    """A texture of soft blobs of several sizes."""
    return 0.6 * smooth_noise(rng, 32) + 0.3 * smooth_noise(rng, 12) + 0.1 * smooth_noise(rng, 4)


def _ripples(rng: Rng) -> np.ndarray:
    return 0.6 * _wave(rng, (12, 40)) + 0.4 * smooth_noise(rng, 16)


def _speckle(rng: Rng) -> np.ndarray:
    return 0.6 * smooth_noise(rng, 24) + 0.4 * rng.random((SIZE, SIZE)).astype(np.float32)


def _weave(rng: Rng) -> np.ndarray:
    return 0.5 * _wave(rng, (8, 24)) + 0.5 * _wave(rng, (8, 24))


def _patches(rng: Rng) -> np.ndarray:
    grid = rng.random((rng.integers(4, 9),) * 2).astype(np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


def _marble(rng: Rng) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(12 * smooth_noise(rng, 32) + 6 * smooth_noise(rng, 12))


OBJECT_TEXTURES = dict(star=_shading, cross=_shading, ring=stripes, crescent=dots, bolt=checks)
BACKGROUND_TEXTURES = dict(train=(clouds, _ripples, _speckle), val=(_weave, _patches, _marble))


def muted_color(rng: Rng) -> np.ndarray:
    """Draw a BGR color of little saturation, (3,) float."""
    return rng.uniform(50, 205) + rng.uniform(-30, 30, 3)


def vivid_color(rng: Rng) -> np.ndarray:
    """Draw a BGR color of high saturation and any hue, (3,) float."""
    return rng.permutation([rng.uniform(0, 60), rng.uniform(0, 255), rng.uniform(195, 255)])


def paint_texture(
    texture: Callable[[Rng], np.ndarray], rng: Rng, color: Callable[[Rng], np.ndarray]
) -> np.ndarray:
    """Paint a texture between two clearly different colors.

    Args:
        texture: Draws the pattern, such as :func:`clouds`.
        rng: Source of pattern and colors.
        color: Draws a color: :func:`muted_color` or :func:`vivid_color`.

    Returns:
        (SIZE, SIZE, 3) float, BGR, 0 to 255.
    """
    first, second = color(rng), color(rng)
    while not 40 < np.abs(first - second).mean() < 110:
        first, second = color(rng), color(rng)
    pattern = np.clip(texture(rng), 0, 1)[..., None]
    return first + (second - first) * pattern


def draw_background(rng: Rng, split: str) -> np.ndarray:
    """A BGR image, (SIZE, SIZE, 3) float, of a texture of ``split`` with clutter on it."""
    families = BACKGROUND_TEXTURES[split]
    image = paint_texture(families[rng.integers(len(families))], rng, muted_color)
    for _ in range(rng.integers(4, 10)):  # clutter: strokes and blobs, no outline of a class
        color = (vivid_color if rng.random() < 0.3 else muted_color)(rng).tolist()
        ends = rng.integers(0, SIZE, (2, 2)).tolist()
        if rng.random() < 0.6:
            cv2.line(image, ends[0], ends[1], color, int(rng.integers(1, 4)), cv2.LINE_AA)
        else:
            axes = rng.integers(2, 9, 2).tolist()
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(image, ends[0], axes, turn, 0, 360, color, -1, cv2.LINE_AA)
    return image
