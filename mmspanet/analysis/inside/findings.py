"""What a classifier, a detector or a segmentor finds in an image, and the score that says so.

Each finding is explained by one number that the network computes, which Grad-CAM differentiates:

- a class of a classifier: its logit;
- a box of a detector with a RoI head, such as Mask R-CNN: the logit that the last stage of the box
  head gives the box's class, with the box held where it was detected;
- a class's region of a segmentor: the sum of the class's logits over the pixels that it was given
  (Vinogradova et al., "Towards Interpretable Semantic Segmentation via Gradient-weighted Class
  Activation Mapping", AAAI 2020, arXiv 2002.11434).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.analysis.models import Model
from mmspanet.errors import InputError

LOWEST_SCORE = 0.3  # of a box that is worth an explanation


@dataclass(frozen=True)
class Finding:
    """One thing that a network found in an image.

    Attributes:
        label: Name of its class, or its number.
        score: What it is held for probable with, 0 to 1; of a region, the mean over its pixels.
        region: Where it is, bool of shape (H, W): a box's inside, a region's pixels; of a class,
            which has no place, the whole image.
        network: Called with the input, (1, 3, H, W), it gives a batch of one.
        explained: Of what ``network`` gives for the one image, the number to differentiate.
    """

    label: str
    score: float
    region: np.ndarray
    network: nn.Module
    explained: Callable[[Tensor], Tensor]

    @property
    def has_place(self) -> bool:
        """Whether it is in a part of the image."""
        return not self.region.all()


def why_none(model: Model) -> str | None:
    """Say why findings of a model can not be explained; None if they can."""
    if model.is_classifier:
        return None
    if getattr(model.network, 'decode_head', None) is not None:
        return None
    head = getattr(model.network, 'roi_head', None)
    if head is not None and getattr(head, 'bbox_head', None) is not None:
        return None
    name = type(model.network).__name__
    return f'{name} is no classifier, no segmentor and no detector with a RoI head'


def findings(model: Model, image: Tensor, count: int = 1) -> list[Finding]:
    """The surest ``count`` boxes, the largest ``count`` regions, or the likeliest classes.

    Args:
        model: A classifier, a segmentor, or a detector with a RoI head.
        image: Its input, (1, 3, H, W).
        count: At most so many; a detector may find fewer.

    Raises:
        InputError: If the model is of another kind.
    """
    reason = why_none(model)
    if reason is not None:
        raise InputError(f'There is nothing to explain: {reason}.')
    with torch.no_grad():
        if model.is_classifier:
            return _classes(model, image, count)
        if getattr(model.network, 'roi_head', None) is not None:
            return _boxes(model, image, count)
        return _regions(model, image, count)


def _classes(model: Model, image: Tensor, count: int) -> list[Finding]:
    scores, labels = model.network(image)[0].softmax(dim=0).sort(descending=True)
    everywhere = np.ones(image.shape[2:], dtype=bool)
    return [
        Finding(_name(model, label), score, everywhere, model.network, _at(label))
        for score, label in zip(scores[:count].tolist(), labels[:count].tolist(), strict=True)
    ]


class _BoxLogits(nn.Module):
    """The logits that the last box head of a two-stage detector gives some boxes.

    Args:
        detector: Of MMDetection, with a RoI head.
        boxes: (N, 4): left, top, right and bottom in pixels of the input.
    """

    def __init__(self, detector: Any, boxes: Tensor) -> None:
        super().__init__()
        self.detector = detector
        self.boxes = boxes

    def forward(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, N, classes + 1)."""
        head = self.detector.roi_head
        extractor, box_head = _last(head.bbox_roi_extractor), _last(head.bbox_head)
        maps = self.detector.extract_feat(image)[: extractor.num_inputs]
        regions = extractor(maps, F.pad(self.boxes, (1, 0)))  # a RoI begins with its image, the 0th
        if head.with_shared_head:
            regions = head.shared_head(regions)
        return box_head(regions)[0][None]


def _boxes(model: Model, image: Tensor, count: int) -> list[Finding]:
    from mmdet.structures import DetDataSample

    size = (image.shape[2], image.shape[3])
    sample = DetDataSample(
        metainfo=dict(
            img_shape=size,
            ori_shape=size,
            pad_shape=size,
            batch_input_shape=size,
            scale_factor=(1.0, 1.0),
        )
    )
    network: Any = model.network
    found = network(image, [sample], mode='predict')[0].pred_instances
    best = found.scores.argsort(descending=True)[:count]
    best = best[found.scores[best] >= LOWEST_SCORE]
    logits = _BoxLogits(network, found.bboxes[best])
    return [
        Finding(_name(model, label), score, _inside(box, size), logits, _of_box(number, label))
        for number, (label, score, box) in enumerate(
            zip(
                found.labels[best].tolist(),
                found.scores[best].tolist(),
                found.bboxes[best].tolist(),
                strict=True,
            )
        )
    ]


class _PixelLogits(nn.Module):
    """A segmentor's logits, resized to its input.

    Args:
        segmentor: Of MMSegmentation.
    """

    def __init__(self, segmentor: Any) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, classes, H, W)."""
        logits = self.segmentor(image, mode='tensor')
        return F.interpolate(logits, image.shape[2:], mode='bilinear')


def _regions(model: Model, image: Tensor, count: int) -> list[Finding]:
    network = _PixelLogits(model.network)
    scores = network(image)[0].softmax(dim=0)
    highest, labels = scores.max(dim=0)
    found = []
    for label in labels.flatten().bincount().argsort(descending=True)[:count].tolist():
        region = labels == label
        if region.any():
            score = highest[region].mean().item()
            name = _name(model, label)
            found.append(
                Finding(name, score, region.cpu().numpy(), network, _over_region(label, region))
            )
    return found


def _at(label: int) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits[label]


def _of_box(number: int, label: int) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits[number, label]


def _over_region(label: int, region: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits[label][region].sum()


def _inside(box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centers a box holds."""
    left, top, right, bottom = box
    y, x = (np.arange(side) + 0.5 for side in size)
    return ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))


def _name(model: Model, label: int) -> str:
    return model.classes[label] if label < len(model.classes) else f'class {label}'


def _last(module: Any) -> Any:
    """Of a cascade's stages the last; else the one."""
    return module[-1] if isinstance(module, nn.ModuleList) else module
