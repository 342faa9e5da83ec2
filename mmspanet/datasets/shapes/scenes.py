"""The images of Shapes: scenes of several objects, and portraits of one."""

from dataclasses import dataclass

import cv2
import numpy as np

from .draw import (
    CLASSES,
    OBJECT_TEXTURES,
    SIZE,
    Rng,
    clouds,
    draw_background,
    draw_outline,
    muted_color,
    paint_texture,
    vivid_color,
)


@dataclass(frozen=True)
class Instance:
    """One object of a scene.

    Attributes:
        label: Index of its class.
        mask: Its visible part, (SIZE, SIZE) bool.
        hidden: Share of the object that something covers, 0 to 1.
    """

    label: int
    mask: np.ndarray
    hidden: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the visible mask, in pixels."""
        x, y, width, height = cv2.boundingRect(self.mask.astype(np.uint8))
        return x, y, width, height


def make_scene(rng: Rng, split: str) -> tuple[np.ndarray, list[Instance]]:
    """Compose an image of 2 to 6 objects.

    Args:
        rng: Source of everything in it.
        split: ``train`` or ``val``, which have different backgrounds.

    Returns:
        The image, (SIZE, SIZE, 3) uint8 BGR, and its objects.
    """
    image = draw_background(rng, split)
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
        texture = paint_texture(OBJECT_TEXTURES[CLASSES[label]], rng, vivid_color)
        image[mask] = texture[mask]
    for i, mask in enumerate(whole):
        if visible[i].sum() == mask.sum() and rng.random() < 0.06:
            cover = _cover(rng, mask)
            shares = [(v & ~cover).sum() / m.sum() for v, m in zip(visible, whole, strict=True)]
            if min(shares) >= 0.5:
                visible = [v & ~cover for v in visible]
                image[cover] = paint_texture(clouds, rng, muted_color)[cover]
    instances = [
        Instance(label, v, 1 - v.sum() / m.sum())
        for label, v, m in zip(labels, visible, whole, strict=True)
    ]
    return add_camera_effects(rng, image), instances


def make_portrait(rng: Rng, split: str, label: int) -> np.ndarray:
    """Compose an image of one object that fills most of it.

    Args:
        rng: Source of everything in it.
        split: ``train`` or ``val``, which have different backgrounds.
        label: Index of the object's class.

    Returns:
        The image, (SIZE, SIZE, 3) uint8 BGR.
    """
    image = draw_background(rng, split)
    mask = draw_outline(
        label, rng.uniform(52, 76, 2), rng.uniform(34, 50), rng.uniform(0, 2 * np.pi)
    )
    texture = paint_texture(OBJECT_TEXTURES[CLASSES[label]], rng, vivid_color)
    image[mask] = texture[mask]
    return add_camera_effects(rng, image)


def _placed(
    rng: Rng, label: int, radius: float, whole: list[np.ndarray], visible: list[np.ndarray]
) -> np.ndarray | None:
    """A mask inside the image that leaves at least half of every earlier object in sight."""
    for _ in range(10):
        center = rng.uniform(radius, SIZE - radius, 2)
        mask = draw_outline(label, center, radius, rng.uniform(0, 2 * np.pi))
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


def add_camera_effects(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Soften the edges a little and add sensor noise; (SIZE, SIZE, 3), float to uint8."""
    image = cv2.GaussianBlur(image, (3, 3), 0.6) + rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)
