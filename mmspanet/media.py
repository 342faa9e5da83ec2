"""Images, folders, globs and videos in; pictures, JSON and maps of classes out.

Shared by what predicts: tools/demo.py and mmspanet.runtime. Imports neither PyTorch nor MMEngine.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mmspanet.errors import InputError, WriteError
from mmspanet.files import make_folder, write_bytes, write_text

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
LARGEST_ASPECT = 100  # beyond, the libraries resize to nothing, or to gigabytes
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')
CONTAINERS = ('avi', 'matroska', 'mov')  # FFmpeg's demuxers of VIDEOS


@dataclass
class Prediction:
    """What was predicted for one image.

    Attributes:
        picture: The image with the prediction drawn into it, uint8 BGR of shape (H, W, 3); a
            classifier's is enlarged where the text would not fit.
        record: The prediction as JSON can hold it.
        label_map: A segmentor's classes by pixel, uint8 of shape (H, W); else None.
    """

    picture: np.ndarray
    record: dict[str, Any]
    label_map: np.ndarray | None = None


class Predictor(Protocol):
    """A model with all that its images need."""

    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """Predict for a uint8 BGR image of shape (H, W, 3), as OpenCV reads it.

        Args:
            image: The image.
            score: Detections below this score are not drawn.
        """


class Track(Protocol):
    """Passes on what it is given, one by one, and may show how far it is."""

    def __call__(self, items: Iterable, total: float, description: str) -> Iterable:
        """Return ``items``; ``total`` is their expected number."""


@dataclass
class Source:
    """An image or a video, and its name below the output folders."""

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether the file's suffix is one of :data:`VIDEOS`."""
        return self.path.suffix.lower() in VIDEOS


def find_sources(inputs: list[str], out_dir: Path) -> list[Source]:
    """Every image and video that the arguments name, with names that are told apart.

    Args:
        inputs: Files, folders and globs.
        out_dir: A folder that is left out: that of the results.

    Raises:
        InputError: If an argument names none.
    """
    found: list[Path] = []
    for name in inputs:
        matches = (
            [Path(name)] if Path(name).exists() else sorted(map(Path, glob(name, recursive=True)))
        )
        files = [file for match in matches for file in _files(match, out_dir)]
        if not files:
            raise InputError(
                f'{name} names no image and no video: give files that end in '
                f'{" ".join((*IMAGES, *VIDEOS))}, a folder of them, or a quoted glob.'
            )
        found += files
    folder = os.path.commonpath([os.path.abspath(path.parent) for path in found])
    return [Source(path, Path(os.path.relpath(path, folder))) for path in dict.fromkeys(found)]


def _files(path: Path, out_dir: Path) -> list[Path]:
    """The file itself, or those in a folder other than the results of an earlier run."""
    files = [path] if path.is_file() else sorted(path.rglob('*'))
    return [
        file
        for file in files
        if file.suffix.lower() in (*IMAGES, *VIDEOS)
        and file.is_file()
        and out_dir.resolve() not in file.resolve().parents
    ]


class Results:
    """The folders that a run writes.

    Args:
        out_dir: Its subfolders are ``pictures``, ``predictions`` and ``maps``.
    """

    def __init__(self, out_dir: Path):
        self.out_dir = out_dir

    def place(self, folder: str, name: Path) -> Path:
        """The path of a result, its folder made."""
        path = self.out_dir / folder / name
        make_folder(path.parent)
        return path

    def write_json(self, name: Path, record: dict) -> None:
        """Write a record below ``predictions``."""
        write_text(self.place('predictions', Path(f'{name}.json')), json.dumps(record))

    def write_image(self, folder: str, name: Path, image: np.ndarray) -> None:
        """Write an image in the format of its name's suffix."""
        path = self.place(folder, name)
        write_bytes(path, cv2.imencode(path.suffix, image)[1].tobytes())

    def write_map(self, name: Path, prediction: Prediction) -> None:
        """Write a map of classes below ``maps``, where there is one."""
        if prediction.label_map is not None:
            self.write_image('maps', name, prediction.label_map)


def check_aspect(image: np.ndarray) -> None:
    """Refuse what the libraries can not resize to their models' input.

    Raises:
        ValueError: If an image is too long for its width, or too wide for its height.
    """
    short, long = sorted(image.shape[:2])
    if long > LARGEST_ASPECT * short:
        raise ValueError(f'{long} to {short} pixels: its sides are more than {LARGEST_ASPECT} to 1')


def run_image(source: Source, predictor: Predictor, score: float, results: Results) -> bool:
    """Predict for one image, and return whether it could be read."""
    image = cv2.imread(str(source.path), cv2.IMREAD_COLOR)
    if image is None:
        return False
    check_aspect(image)
    prediction = predictor.predict(image, score)
    results.write_image('pictures', source.name, prediction.picture)
    results.write_map(Path(f'{source.name}.png'), prediction)
    record = dict(image=str(source.path), height=image.shape[0], width=image.shape[1])
    results.write_json(source.name, record | prediction.record)
    return True


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a file as one of :data:`CONTAINERS`; ``isOpened`` is false where it is none.

    FFmpeg goes by a file's content, and a playlist in it would show whatever files it names.
    """
    os.environ['OPENCV_FFMPEG_CAPTURE_OPTIONS'] = f'format_whitelist;{",".join(CONTAINERS)}'
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)


def frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames of an open video, one by one."""
    while True:
        is_frame, frame = video.read()
        if not is_frame:
            return
        yield frame


def run_video(
    source: Source, predictor: Predictor, score: float, results: Results, track: Track
) -> bool:
    """Predict for every frame of a video, write a video, and return whether it could be read."""
    video = open_video(source.path)
    rate = video.get(cv2.CAP_PROP_FPS) or 25.0
    count = video.get(cv2.CAP_PROP_FRAME_COUNT)
    name = source.name if source.name.suffix == '.mp4' else Path(f'{source.name}.mp4')
    place = results.place('pictures', name)
    temporary = place.with_name(f'.{place.stem}.part.mp4')
    records: list[dict] = []
    writer = None
    try:
        for frame in track(frames(video), total=count, description=source.name.name):
            check_aspect(frame)
            prediction = predictor.predict(frame, score)
            if writer is None:
                size = prediction.picture.shape[1::-1]
                code = cv2.VideoWriter.fourcc(*'mp4v')
                writer = cv2.VideoWriter(str(temporary), code, rate, size)
                if not writer.isOpened():
                    raise WriteError(f'{place} could not be opened: check the disk.')
            writer.write(prediction.picture)
            results.write_map(source.name / f'{len(records):06}.png', prediction)
            records.append(dict(frame=len(records)) | prediction.record)
    finally:
        video.release()
        if writer is not None:
            writer.release()
        if sys.exc_info()[0] is not None:
            temporary.unlink(missing_ok=True)
    if records:
        os.replace(temporary, place)
        results.write_json(source.name, dict(video=str(source.path), fps=rate, frames=records))
    return bool(records)


def _fault_in(source: Source, run_one: Callable[[], bool]) -> str | None:
    """Run one source, and return its name and the reason if that fails, else None."""
    try:
        return None if run_one() else str(source.path)
    except (InputError, WriteError):
        raise  # of the options or the disk, and so of all sources
    except Exception as error:  # an image that a library refuses, for a reason of its own
        if os.environ.get('MMSPANET_TRACEBACK') == '1':
            traceback.print_exc()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f'{source.path} ({reason[:200]})'


def run(
    sources: list[Source], predictor: Predictor, score: float, out_dir: Path, track: Track
) -> None:
    """Predict for every source.

    Args:
        sources: What :func:`find_sources` found.
        predictor: The model.
        score: Detections below this score are not drawn.
        out_dir: Folder of the results.
        track: Shows the progress, of the files and of the frames of each video.

    Raises:
        InputError: At the end, if there were files that could not be read.
        WriteError: If the disk does not take the results.
    """
    results = Results(out_dir)
    unread = []
    for source in track(sources, total=len(sources), description='files'):
        if source.is_video:
            run_one = partial(run_video, source, predictor, score, results, track)
        else:
            run_one = partial(run_image, source, predictor, score, results)
        fault = _fault_in(source, run_one)
        if fault is not None:
            unread.append(fault)
    print(f'{len(sources) - len(unread)} of {len(sources)} files done: see {out_dir}')
    if unread:
        raise InputError(f'These files could not be read: {" ".join(unread)}')
