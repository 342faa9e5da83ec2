"""Images as a config's test pipeline resizes them, and into the size of a fixed graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Size = tuple[int, int]  # height and width in pixels

_CV2 = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


@dataclass(frozen=True)
class Resize:
    """The steps of a test pipeline that change the number of pixels.

    Attributes:
        scale: Width and height in pixels; with ``edge`` the length of that edge; None leaves an
            image as it is.
        keep_ratio: Let the image fit into ``scale``, whichever way it lies, in its own proportions.
        edge: ``short``, ``long``, ``width`` or ``height``: the edge that ``scale`` is for.
        interpolation: The libraries' name of it, such as ``bilinear``.
        backend: ``cv2`` or ``pillow``, which smooths what it makes smaller.
        crop: Height and width that are cut out of the middle afterwards, or None.
    """

    scale: tuple[int, int] | int | None = None
    keep_ratio: bool = False
    edge: str | None = None
    interpolation: str = 'bilinear'
    backend: str = 'cv2'
    crop: Size | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> 'Resize':
        """Read what the metadata of a file has.

        Raises:
            TypeError: If it has a key that is none of the attributes.
            ValueError: If it names an interpolation, a backend or an edge that is not known, or
                sizes that are none.
        """
        found = cls(**{key: value for key, value in record.items() if value is not None})
        if found.interpolation not in _CV2 or found.backend not in ('cv2', 'pillow'):
            raise ValueError(f'no resizing by {found.backend}, {found.interpolation}')
        sides = dict(crop=None if found.crop is None else pair(found.crop))
        if found.edge is None:
            sides['scale'] = None if found.scale is None else pair(found.scale)
        elif found.edge not in ('short', 'long', 'width', 'height') or not _is_side(found.scale):
            raise ValueError(f'no resizing of the edge {found.edge} to {found.scale}')
        return cls(**(vars(found) | sides))

    def size(self, image_size: Size) -> Size:
        """Height and width before the crop, as MMCV and MMPretrain round them."""
        height, width = image_size
        if self.scale is None:
            return image_size
        if self.edge is not None:
            return self._size_by_edge(height, width)
        assert isinstance(self.scale, tuple)
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        long, short = max(self.scale), min(self.scale)
        factor = min(long / max(height, width), short / min(height, width))
        return int(height * factor + 0.5), int(width * factor + 0.5)

    def _size_by_edge(self, height: int, width: int) -> Size:
        assert isinstance(self.scale, int)
        by_width = dict(short=width < height, long=width > height, width=True, height=False)
        if by_width[self.edge or 'height']:
            return int(self.scale * height / width), self.scale
        return self.scale, int(self.scale * width / height)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Resize and crop an image of shape (H, W, 3)."""
        size = self.size((image.shape[0], image.shape[1]))
        resized = self.to(image, (max(size[0], 1), max(size[1], 1)))
        return resized if self.crop is None else _center(resized, self.crop)

    def to(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Resize an image to a height and width by the pipeline's interpolation."""
        if image.shape[:2] == size:
            return image
        if self.backend == 'pillow':
            from PIL import Image

            method = Image.Resampling[self.interpolation.upper()]
            return np.array(Image.fromarray(image).resize(size[::-1], method))
        return cv2.resize(image, size[::-1], interpolation=_CV2[self.interpolation])


def _is_side(value: Any) -> bool:
    return type(value) is int and value > 0


def pair(sides: Any) -> tuple[int, int]:
    """Two positive integers of a file's metadata.

    Raises:
        ValueError: If they are none.
    """
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(map(_is_side, sides)):
        raise ValueError(f'{sides} is no pair of sides')
    return sides[0], sides[1]


def _center(image: np.ndarray, crop: Size) -> np.ndarray:
    """The middle of an image, or all of a side that is shorter than the crop."""
    top, left = (max(0, round((n - c) / 2)) for n, c in zip(image.shape[:2], crop, strict=True))
    return image[top : top + crop[0], left : left + crop[1]]


def within(size: Size, limit: Size) -> Size:
    """Height and width in the same proportions that fit into a graph of fixed size."""
    factor = min(1.0, limit[0] / size[0], limit[1] / size[1])
    height, width = (
        max(1, min(n, int(s * factor + 0.5))) for s, n in zip(size, limit, strict=True)
    )
    return height, width
