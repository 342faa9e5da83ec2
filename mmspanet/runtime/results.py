"""What the models find, in the coordinates of the image that they were given."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmspanet.runtime import masks


@dataclass
class Detections:
    """Boxes, best first, and their masks.

    Attributes:
        size: Height and width of the image in pixels.
        boxes: float32 of shape (N, 4): x1, y1, x2, y2 in pixels.
        scores: float32 of shape (N,).
        labels: Indexes of the classes, int64 of shape (N,).
        names: Names of the classes, of all that the model knows.
        box_masks: Probabilities within each box, float32 of shape (N, 28, 28); None without a mask
            head.
        mask_threshold: Lowest probability of a pixel of a mask.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    box_masks: np.ndarray | None = None
    mask_threshold: float = 0.5

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: Any) -> 'Detections':
        """Those that an index array, a mask or a slice chooses."""
        return Detections(
            self.size,
            self.boxes[chosen],
            self.scores[chosen],
            self.labels[chosen],
            self.names,
            None if self.box_masks is None else self.box_masks[chosen],
            self.mask_threshold,
        )

    @property
    def classes(self) -> list[str]:
        """The class of each box by name, or its number where the file has no names."""
        return [name_of(self.names, label) for label in self.labels.tolist()]

    def mask(self, index: int) -> np.ndarray:
        """Paste one mask: bool of shape (H, W).

        Raises:
            ValueError: If the model has no mask head.
        """
        if self.box_masks is None:
            raise ValueError('The model has no mask head.')
        return masks.paste(self.box_masks[index], self.boxes[index], self.size, self.mask_threshold)

    @property
    def masks(self) -> np.ndarray | None:
        """All masks, bool of shape (N, H, W), pasted anew at each call; None without a mask head.

        Of a large image with many boxes this takes gigabytes: :meth:`mask` makes one at a time.
        """
        if self.box_masks is None:
            return None
        pasted = np.zeros((len(self), *self.size), bool)
        for i in range(len(self)):
            pasted[i] = self.mask(i)
        return pasted

    def record(self) -> dict[str, Any]:
        """For JSON, as tools/demo.py has it; masks are COCO's run lengths."""
        found: dict[str, Any] = dict(
            labels=self.labels.tolist(), scores=self.scores.tolist(), bboxes=self.boxes.tolist()
        )
        if self.box_masks is not None:
            found['masks'] = [masks.encode(self.mask(i)) for i in range(len(self))]
        return found | dict(classes=self.classes)


@dataclass
class LabelMap:
    """A class for each pixel.

    Attributes:
        labels: Indexes of the classes, uint8 of shape (H, W).
        names: Names of the classes, of all that the model knows.
    """

    labels: np.ndarray
    names: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """For JSON, as tools/demo.py has it: each class's share of the image, largest first."""
        labels, counts = np.unique(self.labels, return_counts=True)
        by_size = sorted(zip(counts.tolist(), labels.tolist(), strict=True), reverse=True)
        shares = [
            {'label': label, 'class': name_of(self.names, label), 'share': count / self.labels.size}
            for count, label in by_size
        ]
        return dict(shares=shares)


@dataclass
class Classes:
    """How probable each class is for an image.

    Attributes:
        probabilities: float32 of shape (classes,).
        names: Names of the classes.
        labels: Indexes of the classes, most probable first, int64 of shape (classes,).
    """

    probabilities: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.argsort(-self.probabilities, kind='stable')

    def record(self) -> dict[str, Any]:
        """For JSON, as tools/demo.py has it: the five with the highest scores."""
        top = [
            {
                'label': label,
                'class': name_of(self.names, label),
                'score': float(self.probabilities[label]),
            }
            for label in self.labels[:5].tolist()
        ]
        return dict(top=top)


def name_of(names: tuple[str, ...], label: int) -> str:
    """A class's name, or its number where it has none."""
    return names[label] if label < len(names) else str(label)
