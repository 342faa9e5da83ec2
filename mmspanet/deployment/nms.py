"""Non-maximum suppression for graphs: outputs of fixed shapes, a whole batch at once.

The choice of boxes is a mask over the candidates instead of a list of them, so that no shape in
front of the last step depends on the data. In ONNX it is one ``NonMaxSuppression``, and soft
suppression one ``Scan``.
"""

from typing import Any

import torch
import torchvision
from torch import Tensor, library
from torch._higher_order_ops import scan


@library.custom_op('mmspanet::nms', mutates_args=())
def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, most: int
) -> Tensor:
    """Suppress boxes that overlap a better one of their class, in each group.

    Args:
        boxes: Boxes (G, N, 4): x1, y1, x2, y2. Boxes of different groups do not compete.
        scores: Scores (G, C, N); neither do those of different classes.
        iou_threshold: Boxes whose IoU with a better one is above it go.
        score_threshold: So do those whose score is not above it.
        most: Boxes that stay of each class of a group, at most.

    Returns:
        1 for each box that stays, 0 for the others: (G, C, N), float32.
    """
    stays = torch.zeros_like(scores, dtype=torch.float32)
    for group, label in torch.cartesian_prod(*map(torch.arange, scores.shape[:2])).tolist():
        own = scores[group, label]
        candidates = (own > score_threshold).nonzero()[:, 0]
        best = torchvision.ops.nms(boxes[group, candidates], own[candidates], iou_threshold)
        stays[group, label, candidates[best[:most]]] = 1
    return stays


@nms.register_fake
def _(
    boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, most: int
) -> Tensor:
    return torch.empty_like(scores, dtype=torch.float32)


def _onnx_nms(
    boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, most: int
) -> Any:
    from onnxscript import opset18

    op: Any = opset18
    places = op.NonMaxSuppression(  # (S, 3): group, class and box of each that stays
        boxes,
        scores,
        op.Constant(value_ints=[most]),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[score_threshold]),
    )
    count = op.Shape(places, start=0, end=1)
    none = op.Expand(op.Constant(value_float=0.0), op.Shape(scores))
    return op.ScatterND(none, places, op.Expand(op.Constant(value_float=1.0), count))


def translations() -> dict[Any, Any]:
    """For ``custom_translation_table`` of :func:`torch.onnx.export`."""
    return {torch.ops.mmspanet.nms.default: _onnx_nms}


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    most: int,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: str = 'linear',
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that overlap a better one of their class, as mmcv's ``soft_nms``.

    Args:
        boxes: Boxes (B, N, 4): x1, y1, x2, y2.
        scores: Scores (B, N); those that are not above 0 are no candidates.
        labels: Class of each box, (B, N).
        most: Boxes M that are taken of each image.
        iou_threshold: IoU from which on ``naive`` and ``linear`` lower a score.
        sigma: Of ``gaussian``.
        min_score: Boxes whose score falls below it go.
        method: ``'naive'``, ``'linear'`` or ``'gaussian'``.

    Returns:
        Scores (B, M), best first, 0 where no box is left; and the indices of their boxes, (B, M).
    """

    def take_the_best(state: Any, zero: Tensor) -> tuple[Any, tuple[Tensor, Tensor]]:
        left, boxes, areas, labels = state
        best, index = (left + zero).max(dim=1, keepdim=True)
        box = boxes.gather(1, index[..., None].expand(-1, -1, 4))
        sides = torch.minimum(box[..., 2:], boxes[..., 2:]) - torch.maximum(
            box[..., :2], boxes[..., :2]
        )
        common = sides.clamp(min=0).prod(dim=-1)
        iou = common / (areas.gather(1, index) + areas - common)
        if method == 'gaussian':
            weight = torch.exp(-(iou**2) / sigma)
        else:
            lowered = 1 - iou if method == 'linear' else torch.zeros_like(iou)
            weight = torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))
        left = torch.where(labels == labels.gather(1, index), left * weight, left)
        left = torch.where(left < min_score, torch.zeros_like(left), left)
        left = left.scatter(1, index, 0.0)
        found = best[:, 0].clone(), index[:, 0].clone()
        return (left, boxes.clone(), areas.clone(), labels.clone()), found

    # All that a turn reads is state, and it reads its input: OpenVINO counts values from around
    # a Scan wrongly, and turns by an input that is read.
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    state = (scores.clamp(min=0), boxes.clone(), areas, labels.clone())
    _, (best, index) = scan(take_the_best, state, torch.zeros(most))
    return best.T, index.T
