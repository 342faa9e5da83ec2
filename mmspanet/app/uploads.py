"""Files that strangers upload: told apart, bounded and decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmspanet.errors import InputError
from mmspanet.media import IMAGES, VIDEOS, check_aspect, open_video

MOST_BYTES = 25 * 2**20  # of a file; the server refuses more while they are sent
MOST_PIXELS = 50_000_000  # of an image or a frame, so 150 MB once decoded
LONGEST_SIDE = 1600  # pixels; larger images are shrunk to it
LONGEST_FRAME_SIDE = 640  # pixels; the same for videos
MOST_FRAMES = 100  # of a video; the rest is left out
FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')  # of Pillow, for the endings in IMAGES


@dataclass(frozen=True)
class Upload:
    """A file in the server's temporary folder.

    Attributes:
        path: The file.
    """

    path: Path

    @property
    def is_video(self) -> bool:
        """Whether its name ends as a video's."""
        return self.path.suffix.lower() in VIDEOS

    def images(self) -> Iterator[np.ndarray]:
        """The image, or the frames of the video: uint8 BGR of shape (H, W, 3).

        Raises:
            InputError: If the file is too large, broken, or neither an image nor a video.
        """
        if not self.path.is_file():
            raise InputError('The file is no longer here: upload it again.')
        if self.path.stat().st_size > MOST_BYTES:
            raise InputError(f'The file has over {MOST_BYTES >> 20} MB: choose a smaller one.')
        if self.is_video:
            yield from _frames(self.path)
        elif self.path.suffix.lower() in IMAGES:
            yield _image(self.path)
        else:
            endings = ' '.join((*IMAGES, *VIDEOS))
            raise InputError(f'{self.path.name} is no image and no video: choose one of {endings}.')


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=FORMATS) as file:
            _check_size(file.width, file.height)
            file.load()  # a file that is cut short fails here
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f'{path.name} has too many pixels: shrink it.') from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f'{path.name} is broken, or no image: choose another file.') from error
    # The pixels are OpenCV's, as in training and in tools/demo.py.
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'{path.name} can not be decoded: save it as PNG or JPEG.')
    return _shrunk(_checked(image), LONGEST_SIDE)


def _frames(path: Path) -> Iterator[np.ndarray]:
    video = open_video(path)
    try:
        _check_size(
            *(int(video.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        )
        for number in range(MOST_FRAMES):
            is_frame, frame = video.read()
            if not is_frame:
                if number == 0:
                    raise InputError(f'{path.name} is broken, or no video: choose another file.')
                return
            yield _shrunk(_checked(frame), LONGEST_FRAME_SIDE)
    finally:
        video.release()


def frame_rate(path: Path) -> float:
    """Frames per second of a video, 25 if it does not say."""
    video = open_video(path)
    try:
        rate = video.get(cv2.CAP_PROP_FPS)
    finally:
        video.release()
    return rate if 0 < rate <= 240 else 25.0


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        most = MOST_PIXELS // 1_000_000
        raise InputError(f'{width} x {height} pixels are over {most} millions: shrink the image.')


def _checked(image: np.ndarray) -> np.ndarray:
    try:
        check_aspect(image)
    except ValueError as error:
        raise InputError(f'The image has {error}: cut it.') from error
    return image


def _shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
