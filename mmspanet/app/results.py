"""What a model said of an image, kept small, and how it differs from what it said of another."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmspanet.apis.inference import Prediction, Predictor

LOWEST_SCORE = 0.05  # of what is kept; the slider begins there
NO_CLASS = 255  # in a map of classes
SAME_BOX = 0.5  # intersection over union from which two boxes are taken for one


@dataclass(frozen=True)
class Result:
    """What a model said of one image, without anything that a drawing does not need.

    Attributes:
        sample: The library's data sample: masks run-length coded; of a segmentor's logits only
            the highest probability at each pixel.
    """

    sample: Any

    def show(self, predictor: Predictor, image: np.ndarray, score: float) -> Prediction:
        """Draw what reaches a score into the image, without a forward pass."""
        return predictor.show(image, _unpacked(self.sample, score), score)

    def view(
        self, predictor: Predictor, image: np.ndarray, score: float, smallest: int
    ) -> np.ndarray:
        """The picture for a screen, uint8 RGB: an image of few pixels is enlarged beneath it.

        Args:
            predictor: See :meth:`show`.
            image: See :meth:`show`.
            score: See :meth:`show`.
            smallest: The longer side is enlarged up to so many pixels, by a whole number.
        """
        factor = max(smallest // max(image.shape[:2]), 1)
        large = image.repeat(factor, axis=0).repeat(factor, axis=1)
        picture = predictor.show(large, _unpacked(self.sample, score, factor), score).picture
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def predict(predictor: Predictor, image: np.ndarray) -> Result:
    """Run a model on an image, uint8 BGR of shape (H, W, 3)."""
    return Result(_packed(predictor.infer(image).cpu()))


def _packed(sample: Any) -> Any:
    if 'pred_instances' in sample:
        from mmdet.structures.mask import encode_mask_results

        found = sample.pred_instances
        found = found[found.scores >= LOWEST_SCORE]
        if 'masks' in found:
            masks = found.pop('masks').numpy()
            found.codes = encode_mask_results(list(masks))
        sample.pred_instances = found
    elif 'pred_sem_seg' in sample:
        logits = sample.seg_logits.data
        del sample.seg_logits
        # Of two classes, a segmentor may compute the logit of one.
        high = logits.sigmoid() if len(logits) == 1 else logits.softmax(dim=0)
        sample.certainty = high.amax(dim=0).half().numpy()
        sample.pred_sem_seg.data = sample.pred_sem_seg.data.byte()
    return sample


def _unpacked(sample: Any, score: float, factor: int = 1) -> Any:
    """What reaches the score, in the library's form again, and ``factor`` times as large."""
    sample = sample.clone()
    if 'pred_instances' in sample:
        from pycocotools import mask

        found = sample.pred_instances
        found = found[found.scores >= score]
        if 'codes' in found:
            codes = found.pop('codes')
            height, width = sample.ori_shape
            masks = mask.decode(codes) if codes else np.zeros((height, width, 0))
            found.masks = _enlarged(torch.from_numpy(masks.astype(bool)).permute(2, 0, 1), factor)
        found.bboxes = found.bboxes * factor
        sample.pred_instances = found
    elif 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.data.clone()
        labels[0][torch.from_numpy(sample.certainty < score)] = NO_CLASS
        sample.pred_sem_seg = type(sample.pred_sem_seg)(data=_enlarged(labels, factor))
    return sample


def _enlarged(maps: Tensor, factor: int) -> Tensor:
    return maps.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def table(prediction: Prediction, score: float) -> list[list[Any]]:
    """What a prediction says, a row each: a class's name and its score or its share."""
    record = prediction.record
    if 'shares' in record:
        return [[entry['class'], round(entry['share'], 3)] for entry in record['shares']]
    if 'top' in record:
        found = [(entry['class'], entry['score']) for entry in record['top']]
    else:
        found = list(zip(record['classes'], record['scores'], strict=True))
    return [[name, round(value, 3)] for name, value in found if value >= score]


def difference(before: Result, after: Result, names: list[str], score: float) -> str:
    """One sentence: what became of the prediction.

    Args:
        before: Of the image or the model as it is.
        after: Of the changed one.
        names: Of the classes.
        score: Boxes below it don't count.
    """
    old, new = before.sample, after.sample
    if 'pred_instances' in old:
        return _boxes_that_stay(old.pred_instances, new.pred_instances, score)
    if 'pred_sem_seg' in old:
        share = (old.pred_sem_seg.data != new.pred_sem_seg.data).double().mean().item()
        return f'{100 * share:.1f} % of the pixels change their class.'
    was, now = int(old.pred_score.argmax()), int(new.pred_score.argmax())
    first, second = old.pred_score[was].item(), new.pred_score[was].item()
    answer = f'The score of {names[was]} goes from {first:.2f} to {second:.2f}'
    if was == now:
        return f'{answer}, and it stays the class.'
    return f'{answer}: the class becomes {names[now]} ({new.pred_score[now].item():.2f}).'


def _boxes_that_stay(old: Any, new: Any, score: float) -> str:
    from torchvision.ops import box_iou

    old, new = (found[found.scores >= score] for found in (old, new))
    overlap = box_iou(old.bboxes, new.bboxes) * (old.labels[:, None] == new.labels)
    stay = 0
    for row in range(len(old) if len(new) else 0):  # each of the new ones is taken once
        best = int(overlap[row].argmax())
        if overlap[row, best] >= SAME_BOX:
            overlap[:, best] = 0
            stay += 1
    return (
        f'{len(old)} boxes before, {len(new)} after; {stay} are in both: of the same class, and '
        f'with an IoU of {SAME_BOX} or more. Scores from {score:g} count.'
    )
