"""Whole models as one graph: images as they are read go in, what was found in them comes out.

Images are (B, H, W, 3), uint8, in OpenCV's order BGR. docs/deployment.md has the table of what goes
in and comes out.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.errors import InputError

from .nms import nms, soft_nms
from .parts import RegionHead, per_anchor, stages_of


class Normalization(nn.Module):
    """A model's data preprocessor in test mode, for tensors: order of channels, scale, padding.

    Args:
        preprocessor: MMEngine's ``ImgDataPreprocessor``, or MMPretrain's ``ClsDataPreprocessor``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        self.swaps = getattr(preprocessor, 'to_rgb', False) or getattr(
            preprocessor, '_channel_conversion', False
        )
        normalizes = preprocessor._enable_normalize
        self.register_buffer('mean', preprocessor.mean if normalizes else torch.zeros(3, 1, 1))
        self.register_buffer('std', preprocessor.std if normalizes else torch.ones(3, 1, 1))
        self.divisor = divisor(preprocessor)
        self.pad_value = float(preprocessor.pad_value)

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Images (B, H, W, 3), uint8, to (B, 3, H', W'), float32; H' and W' are padded.

        ``sizes``, (B, 2), are the height and width of each image; the rest counts as padding.
        """
        if self.swaps:
            images = images[..., [2, 1, 0]]
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        height, width = x.shape[2:]
        if sizes is not None:
            rows = torch.arange(height) < sizes[:, :1]
            columns = torch.arange(width) < sizes[:, 1:]
            inside = rows[:, None, :, None] & columns[:, None, None, :]
            x = torch.where(inside, x, torch.full((), self.pad_value))
        down, right = -height % self.divisor, -width % self.divisor
        if isinstance(down, int) and isinstance(right, int) and not down + right:
            return x
        return F.pad(x, (0, right, 0, down), value=self.pad_value)


def divisor(preprocessor: Any) -> int:
    """What the sides of the images are padded to a multiple of, in test mode."""
    if hasattr(preprocessor, 'size_divisor'):  # MMSegmentation's pads in tests on request only
        return (preprocessor.test_cfg or {}).get('size_divisor') or 1
    return preprocessor.pad_size_divisor


class EndToEndClassifier(nn.Module):
    """Probabilities of an ImageClassifier."""

    outputs = ('probabilities',)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalize = Normalization(model.data_preprocessor)
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, classes) of images (B, H, W, 3), uint8."""
        return self.model(self.normalize(images)).softmax(dim=1)


class EndToEndSegmentor(nn.Module):
    """Label maps and probabilities of an EncoderDecoder, for images of a whole pass each."""

    outputs = ('labels', 'probabilities')

    def __init__(self, model: Any) -> None:
        super().__init__()
        if model.out_channels == 1:
            raise InputError(
                'A segmentor with one output channel has no probability for each class: export '
                'it without --end2end.'
            )
        self.normalize = Normalization(model.data_preprocessor)
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of images (B, H, W, 3), uint8: labels (B, H, W), uint8, and (B, classes, H, W)."""
        height, width = images.shape[1:3]
        x = self.normalize(images)
        logits = self.model.encode_decode(x, [dict(img_shape=x.shape[2:])])
        logits = logits[:, :, :height, :width]
        return logits.argmax(dim=1).to(torch.uint8), logits.softmax(dim=1)


class OneStageDetector(nn.Module):
    """Boxes of a detector whose dense head predicts in MMDetection's common way."""

    outputs = ('boxes', 'scores', 'labels')

    def __init__(self, model: Any) -> None:
        super().__init__()
        from mmdet.models.dense_heads import GFLHead
        from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

        head = type(model.bbox_head)
        own = head._predict_by_feat_single
        self.integrates = own is GFLHead._predict_by_feat_single
        if head.predict_by_feat is not BaseDenseHead.predict_by_feat or not (
            own is BaseDenseHead._predict_by_feat_single or self.integrates
        ):
            raise InputError(
                f'{head.__name__} has its own way from maps to boxes, which --end2end does not '
                'know: export it without --end2end, up to the maps of its head.'
            )
        _check_nms(model.test_cfg.nms)
        self.normalize = Normalization(model.data_preprocessor)
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Boxes (B, N, 4), scores (B, N) and labels (B, N) of images (B, H, W, 3), uint8."""
        head, cfg = self.model.bbox_head, self.model.test_cfg
        maps = head(self.model.extract_feat(self.normalize(images, sizes)))
        logits, offsets, *factors = maps
        priors = head.prior_generator.grid_priors([m.shape[2:] for m in logits], device='cpu')
        found = [
            self._of_level(*level)
            for level in zip(
                logits,
                offsets,
                *(factors or [[None] * len(logits)]),
                priors,
                head.prior_generator.strides,
                strict=True,
            )
        ]
        boxes, scores, labels = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        boxes = clip(boxes, sizes, head.bbox_coder)
        scores = _without_small(scores, boxes, cfg.get('min_bbox_size', -1))
        most = cfg.max_per_img
        best = Candidates(boxes, scores, labels, head.num_classes).best(cfg.nms, 0.0, most)
        return _trim(*best)

    def _of_level(
        self,
        logits: Tensor,
        offsets: Tensor,
        factor: Tensor | None,
        priors: Tensor,
        stride: tuple[int, int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best pairs of box and class: boxes (B, K, 4), scores (B, K) and labels (B, K)."""
        head, cfg = self.model.bbox_head, self.model.test_cfg
        values = per_anchor(logits, head.cls_out_channels)
        scores = values.sigmoid() if head.use_sigmoid_cls else values.softmax(-1)[..., :-1]
        classes = scores.shape[-1]
        pairs = scores.flatten(1)
        pairs = torch.where(pairs > cfg.get('score_thr', 0), pairs, -torch.ones(()))
        best, index = pairs.topk(_at_most(pairs.shape[1], cfg.get('nms_pre', -1)))
        place, labels = index // classes, index % classes
        if self.integrates:
            distances = per_anchor(offsets, 4 * (head.reg_max + 1))
            batch, count, _ = distances.shape
            distances = head.integral(distances.reshape(batch * count, -1)) * stride[0]
            values = distances.reshape(batch, count, 4)
            priors = head.anchor_center(priors)
        else:
            values = per_anchor(offsets, head.bbox_coder.encode_size)
        boxes = decode(head.bbox_coder, priors[place], take(values, place))
        if factor is not None:
            factors = per_anchor(factor, 1)[..., 0].sigmoid().gather(1, place)
            best = torch.where(best > 0, best * factors, best)
        return boxes, best, labels


class TwoStageDetector(nn.Module):
    """Boxes and masks of Faster R-CNN, Mask R-CNN and their cascades."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        from mmdet.models.dense_heads import RPNHead
        from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
        from mmdet.models.roi_heads.bbox_heads.bbox_head import BBoxHead
        from mmdet.models.roi_heads.mask_heads import FCNMaskHead
        from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

        head = model.roi_head
        box_heads, box_extractors = stages_of(head.bbox_head), stages_of(head.bbox_roi_extractor)
        mask_heads = stages_of(head.mask_head) if head.with_mask else []
        mask_extractors = stages_of(head.mask_roi_extractor) if head.with_mask else []
        known = (
            type(model.rpn_head) is RPNHead
            and type(head) in (StandardRoIHead, CascadeRoIHead)
            and all(type(e) is SingleRoIExtractor for e in box_extractors + mask_extractors)
            and all(
                type(b)._predict_by_feat_single is BBoxHead._predict_by_feat_single
                and not b.custom_cls_channels
                for b in box_heads
            )
            and all(type(m).predict_by_feat is FCNMaskHead.predict_by_feat for m in mask_heads)
            and not getattr(head, 'with_semantic', False)
        )
        if not known:
            raise InputError(
                f'{type(model).__name__} with {type(head).__name__} has steps between its heads '
                'that --end2end does not know: export its backbone with --part backbone.'
            )
        for cfg in (model.test_cfg.rpn.nms, model.test_cfg.rcnn.nms):
            _check_nms(cfg)
        self.normalize = Normalization(model.data_preprocessor)
        self.model: Any = model
        pairs = zip(box_extractors, box_heads, strict=True)
        self.boxes: Any = nn.ModuleList(RegionHead(e, b) for e, b in pairs)
        pairs = zip(mask_extractors, mask_heads, strict=True)
        self.masks: Any = nn.ModuleList(RegionHead(e, m) for e, m in pairs)
        self.outputs = ('boxes', 'scores', 'labels', *(['masks'] if mask_heads else []))

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Boxes (B, N, 4), scores (B, N), labels (B, N) and masks (B, N, h, w), if any."""
        levels = self.model.extract_feat(self.normalize(images, sizes))
        boxes, scores, labels = self._detect(levels, *self._propose(levels, sizes), sizes)
        if not self.masks:
            return boxes, scores, labels
        batch, count = labels.shape
        rois = as_rois(boxes)
        stages = [m.head(m.regions(rois, levels)).sigmoid() for m in self.masks]
        masks = torch.stack(stages).mean(dim=0) if len(stages) > 1 else stages[0]
        if masks.shape[1] > 1:
            own = labels.clamp(min=0).reshape(-1, 1, 1, 1).expand(-1, 1, *masks.shape[2:])
            masks = masks.gather(1, own)
        return boxes, scores, labels, masks.reshape(batch, count, *masks.shape[2:])

    def _propose(self, levels: tuple[Tensor, ...], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The RPN's boxes (B, P, 4) and whether there is one at all, (B, P)."""
        head, cfg = self.model.rpn_head, self.model.test_cfg.rpn
        logits, deltas = head(levels)
        anchors = head.prior_generator.grid_priors([m.shape[2:] for m in logits], device='cpu')
        boxes, scores, level = [], [], []
        for i, (own_anchors, own_logits, own_deltas) in enumerate(
            zip(anchors, logits, deltas, strict=True)
        ):
            values = per_anchor(own_logits, head.cls_out_channels)
            rates = values.sigmoid() if head.use_sigmoid_cls else values.softmax(-1)[..., :-1]
            rates = rates[..., 0]
            best, index = rates.topk(_at_most(rates.shape[1], cfg.get('nms_pre', -1)))
            own = take(per_anchor(own_deltas, head.bbox_coder.encode_size), index)
            boxes.append(decode(head.bbox_coder, own_anchors[index], own))
            scores.append(best)
            level.append(torch.full_like(index, i))
        all_boxes = clip(torch.cat(boxes, dim=1), sizes, head.bbox_coder)
        all_scores = _without_small(
            torch.cat(scores, dim=1), all_boxes, cfg.get('min_bbox_size', -1)
        )
        candidates = Candidates(all_boxes, all_scores, torch.cat(level, dim=1), len(levels))
        chosen, _, labels = candidates.best(cfg.nms, 0.0, cfg.max_per_img)
        return chosen, labels >= 0

    def _detect(
        self, levels: tuple[Tensor, ...], boxes: Tensor, there: Tensor, sizes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, N, 4), scores (B, N) and labels (B, N) from proposals (B, P, 4)."""
        cfg = self.model.test_cfg.rcnn
        batch, count, _ = boxes.shape
        *earlier, last = self.boxes
        sums = torch.zeros(())
        for stage in earlier:
            logits, deltas = stage.head(stage.regions(as_rois(boxes), levels))
            sums = sums + logits
            values = deltas.reshape(batch * count, -1, 4)
            if not stage.head.reg_class_agnostic:
                own = logits[:, :-1].argmax(dim=1)
                values = values.gather(1, own[:, None, None].expand(-1, 1, 4))
            refined = decode(stage.head.bbox_coder, boxes, values.reshape(batch, count, 4))
            boxes = clip(refined, sizes, stage.head.bbox_coder)
        logits, deltas = last.head(last.regions(as_rois(boxes), levels))
        logits = (sums + logits) / len(self.boxes) if earlier else logits
        scores = logits.softmax(dim=-1)[:, :-1].reshape(batch, count, -1).transpose(1, 2)
        scores = torch.where(there[:, None], scores, torch.zeros(()))  # (B, classes, P)
        values = deltas.reshape(batch, count, -1, 4).transpose(1, 2)  # (B, classes or 1, P, 4)
        priors = boxes[:, None].expand_as(values)
        found = decode(last.head.bbox_coder, priors, values)
        found = clip(found.flatten(1, 2), sizes, last.head.bbox_coder).reshape(values.shape)
        best = best_by_class(found, scores, cfg.nms, cfg.score_thr, cfg.max_per_img)
        return _trim(*best)


class Candidates:
    """Boxes of a batch with a class each, among which the best are chosen.

    Args:
        boxes: Boxes (B, N, 4).
        scores: Scores (B, N); below 0 where there is no box.
        labels: Class of each box, (B, N).
        classes: Number of classes.
    """

    def __init__(self, boxes: Tensor, scores: Tensor, labels: Tensor, classes: int) -> None:
        self.boxes = boxes
        self.scores = scores
        self.labels = labels
        self.classes = classes

    def best(self, cfg: Any, threshold: float, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best boxes by class, best first, as mmcv's ``batched_nms`` takes them.

        Args:
            cfg: The model's settings of NMS.
            threshold: Scores up to it are none.
            most: Boxes M of an image, at most.

        Returns:
            Boxes (B, M, 4), scores (B, M) and labels (B, M): 0, 0 and -1 where there is none.
        """
        agnostic = cfg.get('class_agnostic', False)
        if cfg.get('type', 'nms') == 'soft_nms':
            above = torch.where(self.scores > threshold, self.scores, torch.zeros(()))
            labels = torch.zeros_like(self.labels) if agnostic else self.labels
            scores, index = soft_nms(self.boxes, above, labels, most, **_of_soft_nms(cfg))
            return self._chosen(scores, index)
        by_class = self.scores[:, None]
        if not agnostic:
            own = self.labels[:, None] == torch.arange(self.classes)[:, None]
            by_class = torch.where(own, by_class, -torch.ones(()))  # (B, classes, N)
        stays = nms(self.boxes, by_class, _iou(cfg), threshold, most).sum(dim=1)
        return self.take_the_best(stays, most)

    def take_the_best(self, stays: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """The boxes of which ``stays``, (B, N), is above 0, best first; see :meth:`best`."""
        scores = torch.where(stays > 0, self.scores, torch.zeros(()))
        return self._chosen(*scores.topk(_at_most(scores.shape[1], most)))

    def _chosen(self, scores: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        there = scores > 0
        boxes = torch.where(there[..., None], take(self.boxes, index), torch.zeros(()))
        labels = self.labels.gather(1, index)
        return boxes, scores, torch.where(there, labels, torch.full_like(labels, -1))


def best_by_class(
    boxes: Tensor, scores: Tensor, cfg: Any, threshold: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best of boxes that have a score of every class, as MMDetection's ``multiclass_nms``.

    Args:
        boxes: Boxes of each class, (B, C, P, 4), or one for all, (B, 1, P, 4).
        scores: Scores (B, C, P).
        cfg: The model's settings of NMS.
        threshold: Scores up to it are none.
        most: Boxes M of an image, at most.

    Returns:
        See :meth:`Candidates.best`.
    """
    batch, classes, count = scores.shape
    every = boxes.expand(-1, classes, -1, -1).flatten(1, 2)
    labels = torch.arange(classes)[:, None].expand(-1, count).flatten().expand(batch, -1)
    candidates = Candidates(every, scores.flatten(1), labels, classes)
    if cfg.get('type', 'nms') == 'soft_nms' or cfg.get('class_agnostic', False):
        return candidates.best(cfg, threshold, most)
    if boxes.shape[1] == 1:
        stays = nms(boxes[:, 0], scores, _iou(cfg), threshold, most)
    else:  # a group of its own for each class of each image
        groups = scores.reshape(batch * classes, 1, count)
        stays = nms(boxes.flatten(0, 1), groups, _iou(cfg), threshold, most)
    return candidates.take_the_best(stays.reshape(batch, classes * count), most)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Of values (B, N, D) those at ``index``, (B, K): (B, K, D)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))


def decode(coder: Any, priors: Tensor, values: Tensor) -> Tensor:
    """Boxes from priors and a head's values, any shape of leading sides; not clipped."""
    flat = coder.decode(
        priors.reshape(-1, priors.shape[-1]), values.reshape(-1, values.shape[-1]), max_shape=None
    )
    return flat.reshape(*values.shape[:-1], 4)


def clip(boxes: Tensor, sizes: Tensor, coder: Any) -> Tensor:
    """Boxes (B, N, 4) clipped to images of ``sizes``, (B, 2), where the coder clips."""
    if not getattr(coder, 'clip_border', True):
        return boxes
    limits = sizes.flip(1).repeat(1, 2).to(boxes.dtype)[:, None]
    return torch.minimum(boxes.clamp(min=0), limits)


def as_rois(boxes: Tensor) -> Tensor:
    """Boxes (B, N, 4) as regions (B * N, 5) with the image's index in front."""
    index = torch.arange(boxes.shape[0], dtype=boxes.dtype)[:, None, None]
    return torch.cat([index.expand(-1, boxes.shape[1], 1), boxes], dim=2).flatten(0, 1)


def _trim(boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As many boxes as the fullest image has, at least one: masks of none cost as much."""
    most = (labels >= 0).sum(dim=1).max().clamp(min=1).item()
    torch._check(most >= 1)
    torch._check(most <= labels.shape[1])
    return boxes[:, :most], scores[:, :most], labels[:, :most]


def _without_small(scores: Tensor, boxes: Tensor, smallest: float) -> Tensor:
    """Scores (B, N), -1 of boxes with a side up to ``smallest`` pixels; below 0 that is none."""
    if smallest < 0:
        return scores
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.where((sides > smallest).all(dim=-1), scores, -torch.ones(()))


def _at_most(count: Any, most: int) -> Any:
    return torch.sym_min(count, most) if most > 0 else count


def _check_nms(cfg: Any) -> None:
    name = cfg.get('type', 'nms')
    if name not in ('nms', 'soft_nms'):
        raise InputError(f'--end2end knows nms and soft_nms, not {name}: change model.test_cfg.')


def _iou(cfg: Any) -> float:
    return float(cfg.get('iou_threshold', cfg.get('iou_thr')))


def _of_soft_nms(cfg: Any) -> dict[str, Any]:
    options = {key: cfg[key] for key in ('sigma', 'min_score', 'method') if key in cfg}
    return options | dict(iou_threshold=_iou(cfg))


def end2end(model: Any) -> Any:
    """The whole model as one module, for what --end2end exports.

    Raises:
        InputError: If no sound graph of it is known.
    """
    if hasattr(model, 'decode_head'):
        if not hasattr(model, 'encode_decode'):
            raise InputError(f'{type(model).__name__} has no graph: export its backbone.')
        return EndToEndSegmentor(model)
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        return TwoStageDetector(model)
    if hasattr(model, 'bbox_head') and not hasattr(model, 'encoder'):
        return OneStageDetector(model)
    if hasattr(model, 'head') and hasattr(model, 'backbone'):
        return EndToEndClassifier(model)
    raise InputError(
        f'{type(model).__name__} has no graph that ONNX can hold: export its backbone with '
        '--part backbone.'
    )
