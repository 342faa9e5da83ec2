"""Boundary IoU of a segmentor (Cheng et al., CVPR 2021, arXiv 2103.16562)."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

SHARE = 0.02  # of the image's diagonal: the boundary's width, as in the paper


def boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """The positions of a mask, (H, W) bool, that are at most ``width`` pixels from its contour.

    The image's border is contour, too.
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (inner == 0)


def areas(
    predicted: np.ndarray, truth: np.ndarray, classes: int, void: int = 255
) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union of the boundaries of every class, in positions.

    Args:
        predicted: Label map, (H, W).
        truth: Label map of the same size; positions of ``void`` count for nothing.
        classes: Number of classes.
        void: Label of positions without a class.

    Returns:
        Two arrays of shape (classes,), int64.
    """
    width = max(1, round(SHARE * float(np.hypot(*truth.shape))))
    known = truth != void
    predicted = np.where(known, predicted, void)  # void has the same contour in both
    pairs = [
        (boundary(predicted == label, width) & known, boundary(truth == label, width) & known)
        for label in range(classes)
    ]
    intersection = np.array([(ours & theirs).sum() for ours, theirs in pairs])
    union = np.array([(ours | theirs).sum() for ours, theirs in pairs])
    return intersection, union


@METRICS.register_module()
class BoundaryIoU(BaseMetric):
    """The mean over classes of boundary IoU, as ``boundary_mIoU`` in percent."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch of MMSegmentation's samples."""
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            maps = (sample[key]['data'].squeeze() for key in ('pred_sem_seg', 'gt_sem_seg'))
            self.results.append(areas(*(label_map.cpu().numpy() for label_map in maps), classes))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metric of all images; a class that is nowhere counts for nothing."""
        intersection, union = np.sum(results, axis=0)
        with np.errstate(invalid='ignore'):
            return dict(boundary_mIoU=round(100 * float(np.nanmean(intersection / union)), 2))
