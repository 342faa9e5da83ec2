"""Results drawn into images by OpenCV, in the colors and places of tools/demo.py.

The label map is MMSegmentation's to the pixel. Boxes, masks and text are Matplotlib's there, and
here OpenCV's: the same colors and opacity, other letters and line edges.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from mmspanet.runtime.results import Classes, Detections, LabelMap, name_of

Color = tuple[int, int, int]
FONT = cv2.FONT_HERSHEY_SIMPLEX
OPACITY = 0.8  # of boxes, masks and what is behind text: MMDetection's
MAP_OPACITY = 0.6  # of label maps: the demo's
LINE = 3  # pixels: MMDetection's
TEXT_COLOR = (200, 200, 200)
SMALLEST_PICTURE = 256  # pixels of the shorter side, for a classifier's text to be readable


def random_palette(count: int) -> list[Color]:
    """RGB colors of ``count`` classes without a palette: those of MMDetection."""
    return [
        tuple(color) for color in np.random.RandomState(42).randint(0, 256, (count, 3)).tolist()
    ]


def colors(palette: Sequence[Color], count: int) -> list[Color]:
    """BGR colors of ``count`` classes; random ones where the palette has less."""
    if len(palette) < count:
        palette = random_palette(count)
    return [(int(blue), int(green), int(red)) for red, green, blue in palette]


def detections(image: np.ndarray, found: Detections, palette: Sequence[Color]) -> np.ndarray:
    """Draw masks, boxes, and class and score in percent.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        found: What to draw.
        palette: RGB colors of the classes.

    Returns:
        The drawn image.
    """
    picture = image.copy()
    of_class = colors(palette, int(found.labels.max(initial=0)) + 1)
    if found.box_masks is not None:
        for i, label in enumerate(found.labels.tolist()):
            _draw_mask(picture, found.mask(i), _jittered(of_class[label], i))
    lines = picture.copy()
    for box, label in zip(found.boxes, found.labels.tolist(), strict=True):
        x1, y1, x2, y2 = (round(float(edge)) for edge in box)
        cv2.rectangle(lines, (x1, y1), (x2, y2), of_class[label], LINE)
    picture = cv2.addWeighted(lines, OPACITY, picture, 1 - OPACITY, 0)
    for i, box in enumerate(found.boxes):
        area = float((box[2] - box[0]) * (box[3] - box[1]))
        scale = min(max(0.5 + (area - 800) // (30_000 - 800), 0.5), 1.0)  # MMDetection's
        text = f'{found.classes[i]}: {round(float(found.scores[i]) * 100, 1)}'
        place = (round(float(box[0])) + LINE, round(float(box[1])) + LINE)
        _write(picture, text, place, 0.6 * scale, TEXT_COLOR, OPACITY)
    return picture


def _draw_mask(picture: np.ndarray, mask: np.ndarray, color: Color) -> None:
    """Blend a color into the picture where the mask is, with a white edge."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    painted = (picture[mask] * (1 - OPACITY) + np.array(color) * OPACITY).astype(np.uint8)
    picture[mask] = painted
    cv2.drawContours(picture, outlines, -1, (255, 255, 255), 1)


def _jittered(color: Color, seed: int) -> Color:
    """A color near the class's, to tell the objects of a class apart (MMDetection's way)."""
    direction = np.random.RandomState(seed).rand(3)
    moved = np.array(color) + (direction / np.linalg.norm(direction) - 0.5) * 0.5 * 255
    blue, green, red = np.clip(moved, 0, 255).astype(int).tolist()
    return blue, green, red


def _write(
    picture: np.ndarray,
    text: str,
    place: tuple[int, int],
    scale: float,
    color: Color,
    opacity: float,
) -> None:
    """Write a line on a dark ground whose top left is at ``place``."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    x, y = max(place[0], 0), max(place[1], 0)
    ground = picture[y : y + height + below, x : x + width]
    ground[:] = (ground * (1 - opacity)).astype(np.uint8)
    cv2.putText(picture, text, (x, y + height), FONT, scale, color, 1, cv2.LINE_AA)


def label_map(image: np.ndarray, found: LabelMap, palette: Sequence[Color]) -> np.ndarray:
    """Blend the classes' colors into the image, each with its name, as MMSegmentation does.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        found: What to draw.
        palette: RGB colors of the classes.

    Returns:
        The drawn image.
    """
    labels = np.unique(found.labels)[::-1].tolist()
    of_class = colors(palette, max(labels) + 1)
    painted = np.array(of_class, np.uint8)[found.labels]
    thickness = 1 if min(image.shape[:2]) < 300 else 2
    scale = min(image.shape[:2]) / 500
    for label in labels:
        x, y = _center(found.labels == label)
        text = name_of(found.names, label)
        (width, height), below = cv2.getTextSize(text, FONT, scale, thickness)
        corner = (x + width + below, y + height + below)
        cv2.rectangle(painted, (x, y), corner, of_class[label], -1)
        cv2.rectangle(painted, (x, y), corner, (0, 0, 0), thickness)
        white = (255, 255, 255)
        cv2.putText(painted, text, (x, y + height), FONT, scale, white, thickness, 2)
    return (image * (1 - MAP_OPACITY) + painted * MAP_OPACITY).astype(np.uint8)


def _center(mask: np.ndarray) -> tuple[int, int]:
    """The middle pixel (x, y) of the row that has most of a class, the first of several."""
    y = int(mask.sum(axis=1).argmax())
    columns = np.flatnonzero(mask[y])
    return int(columns[len(columns) // 2]), y


def classes(image: np.ndarray, found: Classes) -> np.ndarray:
    """Write the most probable class into the image, which is enlarged if it is small.

    Args:
        image: uint8 BGR of shape (H, W, 3).
        found: What to write.

    Returns:
        The image with its text.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_PICTURE:
        side = SMALLEST_PICTURE
        size = (side, side * height // width) if width < height else (side * width // height, side)
        image = cv2.resize(image, size)
    picture = image.copy()
    label = int(found.labels[0])
    name = f' ({found.names[label]})' if label < len(found.names) else ''
    text = f'Prediction: {label}, {found.probabilities[label]:.2f}{name}'
    width = picture.shape[1]
    (length, _), _ = cv2.getTextSize(text, FONT, 1.0, 1)
    scale = min(max(width / 500, 0.4), 0.95 * width / length)
    _write(picture, text, (width // 50, width // 50), scale, (255, 255, 255), 0.5)
    return picture
