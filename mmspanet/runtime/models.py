"""Whole models: an image in, results in that image's coordinates out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmspanet.errors import InputError
from mmspanet.media import Prediction
from mmspanet.runtime import drawing
from mmspanet.runtime.notes import Notes, Window
from mmspanet.runtime.resize import Size, within
from mmspanet.runtime.results import Classes, Detections, LabelMap
from mmspanet.runtime.session import Session, open_session

SMALLEST_PROBABILITY = np.finfo(np.float32).tiny  # the logarithm of 0 is none


class Model(ABC):
    """An exported model with all that its images need.

    Args:
        session: The open graph.
        notes: What its file says about it.
    """

    def __init__(self, session: Session, notes: Notes):
        self.session, self.notes = session, notes

    def __call__(self, image: np.ndarray) -> Any:
        """Run one image: uint8 BGR of shape (H, W, 3), as ``cv2.imread`` reads it.

        Raises:
            InputError: If it is not such an array.
        """
        return self.batch([image])[0]

    @abstractmethod
    def batch(self, images: Sequence[np.ndarray]) -> list:
        """Run several images, each as :meth:`__call__` does; those of one size go together.

        An image's result does not depend on which others are given with it.
        """

    @abstractmethod
    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """Run one image and draw what was found: see :class:`mmspanet.media.Predictor`."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Check an image, and resize it as the config's test pipeline and the graph want it."""
        check_image(image)
        resized = self.notes.resize(image)
        if self.notes.size is None:
            return resized
        return self.notes.resize.to(
            resized, within((resized.shape[0], resized.shape[1]), self.notes.size)
        )

    def groups(self, images: Sequence[np.ndarray]) -> Iterator[list[int]]:
        """Indexes of images that can go through the graph together: of one size."""
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(images):
            by_size.setdefault(image.shape, []).append(i)
        for indexes in by_size.values():
            most = self.notes.batch or len(indexes)
            yield from (indexes[i : i + most] for i in range(0, len(indexes), most))


class Detector(Model):
    """Boxes, and masks where the model has a mask head."""

    def batch(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """See :meth:`Model.batch`."""
        prepared = [self.prepare(image) for image in images]
        found: dict[int, Detections] = {}
        for group in self.groups(prepared):
            outputs = self.run(np.stack([prepared[i] for i in group]))
            for place, i in enumerate(group):
                one = {name: output[place] for name, output in outputs.items()}
                found[i] = self.read(one, prepared[i], images[i])
        return [found[i] for i in range(len(images))]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph on images of one size, put at the top left of a graph of fixed size."""
        count, height, width = images.shape[:3]
        sizes = np.array([(height, width)] * count, np.int64)
        if self.notes.size is not None:
            bottom, right = self.notes.size[0] - height, self.notes.size[1] - width
            images = np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)))
        return self.session.run(dict(images=images, sizes=sizes))

    def read(
        self, outputs: dict[str, np.ndarray], prepared: np.ndarray, image: np.ndarray
    ) -> Detections:
        """Bring the outputs for one image into its coordinates."""
        are_boxes = outputs['labels'] >= 0  # the rest fills up to the most of the batch
        factors = [p / n for p, n in zip(prepared.shape[1::-1], image.shape[1::-1], strict=True)]
        box_masks = outputs.get('masks')
        return Detections(
            size=(image.shape[0], image.shape[1]),
            boxes=outputs['boxes'][are_boxes] / np.array(factors * 2, np.float32),
            scores=outputs['scores'][are_boxes],
            labels=outputs['labels'][are_boxes].astype(np.int64),
            names=self.notes.classes,
            box_masks=None if box_masks is None else box_masks[are_boxes],
            mask_threshold=self.notes.mask_threshold,
        )

    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """Boxes above ``score`` are drawn, all are in the record."""
        found = self(image)
        picture = drawing.detections(image, found[found.scores > score], self.notes.palette)
        return Prediction(picture, found.record())


class Segmentor(Model):
    """A class for each pixel."""

    def batch(self, images: Sequence[np.ndarray]) -> list[LabelMap]:
        """See :meth:`Model.batch`."""
        prepared = [self.prepare(image) for image in images]
        found: dict[int, LabelMap] = {}
        for group in self.groups(prepared):
            maps = self.log_probabilities(np.stack([prepared[i] for i in group]))
            for i, by_class in zip(group, maps, strict=True):
                labels = best_class(by_class, (images[i].shape[0], images[i].shape[1]))
                found[i] = LabelMap(labels, self.notes.classes)
        return [found[i] for i in range(len(images))]

    def log_probabilities(self, images: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, averaged where windows overlap (:func:`slide`).

        Args:
            images: uint8 of shape (B, H, W, 3).

        Returns:
            float32 of shape (B, classes, H, W), up to a number per pixel.
        """
        if self.notes.window is None:
            return self.run(images)
        return slide(self.run, images, self.notes.window)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logarithms of the graph's probabilities for images or windows of one size.

        In a graph of fixed size, what is smaller has its last row and column repeated.
        """
        height, width = images.shape[1:3]
        if self.notes.size is not None:
            bottom, right = self.notes.size[0] - height, self.notes.size[1] - width
            images = np.pad(images, ((0, 0), (0, bottom), (0, right), (0, 0)), mode='edge')
        found = self.session.run(dict(images=np.ascontiguousarray(images)))['probabilities']
        return np.log(np.maximum(found[:, :, :height, :width], SMALLEST_PROBABILITY))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Of an image that windows slide over, the window has the size of the graph, not it."""
        if self.notes.window is None:
            return super().prepare(image)
        check_image(image)
        return self.notes.resize(image)

    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """A class for each pixel; ``score`` plays no part."""
        found = self(image)
        picture = drawing.label_map(image, found, self.notes.palette)
        return Prediction(picture, found.record(), found.labels)


class Classifier(Model):
    """One class for the whole image."""

    def batch(self, images: Sequence[np.ndarray]) -> list[Classes]:
        """See :meth:`Model.batch`."""
        prepared = [self.prepare(image) for image in images]
        found: dict[int, Classes] = {}
        for group in self.groups(prepared):
            feeds = dict(images=np.stack([prepared[i] for i in group]))
            for i, row in zip(group, self.session.run(feeds)['probabilities'], strict=True):
                found[i] = Classes(row, self.notes.classes)
        return [found[i] for i in range(len(images))]

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Check, resize and crop; a graph of fixed size takes the result stretched to its size."""
        check_image(image)
        resized = self.notes.resize(image)
        return self.notes.resize.to(resized, self.notes.size or resized.shape[:2])

    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """The five best classes; ``score`` plays no part."""
        found = self(image)
        return Prediction(drawing.classes(image, found), found.record())


MODELS: dict[str, type[Detector] | type[Segmentor] | type[Classifier]] = dict(
    detection=Detector, segmentation=Segmentor, classification=Classifier
)


def load(
    path: str | Path, device: str = 'cpu', threads: int | None = None
) -> Detector | Segmentor | Classifier:
    """Open a file of ``tools/deployment/export.py --end2end``.

    Args:
        path: The ``.onnx`` file, which needs onnxruntime, or the ``.xml`` file, which needs
            OpenVINO.
        device: ``cpu``, or another that the runtime has: ``cuda`` of onnxruntime, ``GPU`` of
            OpenVINO.
        threads: That the runtime may use; None leaves it to the runtime.

    Returns:
        The model, called with an image (see :meth:`Model.__call__`) or with several
        (:meth:`Model.batch`).

    Raises:
        InputError: If the file or the device can't be used, with what to do about it.
    """
    session = open_session(path, device, threads)
    notes = Notes.of(session.metadata, path)
    return MODELS[notes.task](session, notes)


def check_image(image: np.ndarray) -> None:
    """Refuse what is no picture.

    Raises:
        InputError: If it is not uint8 of shape (H, W, 3).
    """
    shape: tuple[int, ...] = getattr(image, 'shape', ())
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or image.dtype != np.uint8:
        raise InputError(
            'An image is a uint8 array of shape (H, W, 3), BGR, as cv2.imread gives it: this is '
            f'{getattr(image, "dtype", type(image).__name__)} of shape {tuple(shape)}.'
        )


def slide(
    run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, window: Window
) -> np.ndarray:
    """Logarithms of the probabilities, averaged where windows overlap.

    They differ from the logits by the same number for all classes of a pixel, and so do their
    averages: the best class is that of MMSegmentation's ``slide_inference``, which averages the
    logits.

    Args:
        run: Logarithms (B, classes, h, w) for windows (B, h, w, 3), at most ``window.crop`` large.
        images: uint8 of shape (B, H, W, 3).
        window: The windows.

    Returns:
        float32 of shape (B, classes, H, W).
    """
    (crop_height, crop_width), stride = window.crop, window.stride
    height, width = images.shape[1:3]
    sums = np.zeros((len(images), 1, height, width), np.float32)
    counts = np.zeros((height, width), np.float32)
    for bottom in ends(height, crop_height, stride[0]):
        for right in ends(width, crop_width, stride[1]):
            rows = slice(max(bottom - crop_height, 0), bottom)
            columns = slice(max(right - crop_width, 0), right)
            by_class = run(images[:, rows, columns])
            if sums.shape[1] != by_class.shape[1]:
                sums = np.repeat(sums, by_class.shape[1], axis=1)
            sums[:, :, rows, columns] += by_class
            counts[rows, columns] += 1
    return sums / counts


def ends(length: int, window: int, stride: int) -> list[int]:
    """Where windows end that slide over a side, as MMSegmentation places them."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(i * stride + window, length) for i in range(count)]


def best_class(by_class: np.ndarray, size: Size) -> np.ndarray:
    """The class of the largest value at each pixel, after a bilinear resize to ``size``.

    Args:
        by_class: float32 of shape (classes, h, w).
        size: Height and width of the image.

    Returns:
        uint8 of shape (H, W).
    """
    labels = np.zeros(size, np.uint8)
    best = np.full(size, -np.inf, np.float32)
    for label, values in enumerate(by_class):  # one at a time: 150 of a photograph take gigabytes
        resized = values if values.shape == size else cv2.resize(values, size[::-1])
        is_better = resized > best
        labels[is_better], best[is_better] = label, resized[is_better]
    return labels
