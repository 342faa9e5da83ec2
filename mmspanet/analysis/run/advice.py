"""What to try next: plain rules over the figures of a run, each with the setting that does it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config

from . import detection
from .logs import Log, metric_names

Hint = tuple[str, str]
"""A sentence, and the setting or the command that it is about."""

STILL_FALLING = 0.05  # of the loss, from the third to the last quarter of a training
FALLEN_BACK = 0.01  # of a metric of 0 to 1, from its best to its last value
GAP = 5.0  # points of pixel accuracy between training and validation
WAITING = 0.3  # share of an iteration that waits for data
FEW_SMALL, SMALL_SHARE = 0.6, 0.05  # AP of small objects over that of larger ones; their share
COSTLY = 0.03  # AP50 that a kind of error takes
BALANCED = "train_dataloader.dataset = dict(type='ClassBalancedDataset', oversample_thr=..., ...)"
TOO_SURE = 0.05  # mean confidence over accuracy


def from_log(log: Log, cfg: Config) -> list[Hint]:
    """Hints from the curves of a training."""
    hints: list[Hint] = []
    losses = np.array([row['loss'] for row in log.training if 'loss' in row])
    if len(losses) and not np.isfinite(losses).all():
        hints.append(('The loss became NaN or infinite: lower the learning rate, clip gradients.',
                      '--cfg-options optim_wrapper.clip_grad.max_norm=1.0'))  # fmt: skip
    elif len(losses) >= 8:
        quarters = [part.mean() for part in np.array_split(losses, 4)]
        fall = 1 - quarters[3] / quarters[2]
        if fall > STILL_FALLING:
            hints.append((
                f'The loss still fell by {100 * fall:.0f} % in the last quarter: train longer.',
                f'--cfg-options {_longer(cfg)}',
            ))  # fmt: skip
        if quarters[3] > 0.95 * quarters[0]:
            hints.append((
                'The loss hardly fell: try another learning rate, ten times lower or higher.',
                '--cfg-options optim_wrapper.optimizer.lr=...',
            ))  # fmt: skip
    hints += _from_validation(log, cfg)
    waiting = [row['data_time'] / row['time'] for row in log.training if row.get('time')]
    if waiting and np.median(waiting) > WAITING:
        hints.append((
            f'{100 * np.median(waiting):.0f} % of the time went to waiting for data: more workers.',
            '--cfg-options train_dataloader.num_workers=...',
        ))  # fmt: skip
    return hints


def _longer(cfg: Config) -> str:
    loop = cfg.get('train_cfg') or {}
    name = 'max_iters' if 'max_iters' in loop else 'max_epochs'
    return f'train_cfg.{name}={2 * loop.get(name, 0) or "..."}'


def _from_validation(log: Log, cfg: Config) -> list[Hint]:
    names = metric_names(log.validation)
    if not log.validation:
        if log.training and not log.test:
            interval = '--cfg-options train_cfg.val_interval=1'
            return [('The training was never validated: nothing tells when to stop.', interval)]
        return []
    if not names:
        return [(
            'No validation gave a metric: the model found nothing yet, or the results were only '
            'written down.',
            'longer training, or the log of the last validation',
        )]  # fmt: skip
    hints: list[Hint] = []
    watched = _watched(cfg, names)
    rows = [row for row in log.validation if watched in row]
    values = np.array([row[watched] for row in rows], float)
    scale = 100.0 if values.size and np.nanmax(values) > 1 else 1.0
    if len(values) > 1 and np.nanmax(values) - values[-1] > FALLEN_BACK * scale:
        best = rows[int(np.nanargmax(values))]['step']
        hints.append((
            f'{watched} was best at iteration {best} and fell since: keep the best checkpoint, and '
            'stop early or augment more.',
            "--cfg-options default_hooks.early_stop.type=EarlyStoppingHook "
            f'default_hooks.early_stop.monitor={watched}',
        ))  # fmt: skip
    trained = [row['decode.acc_seg'] for row in log.training if 'decode.acc_seg' in row]
    if trained and 'aAcc' in log.validation[-1]:
        gap = float(np.mean(trained[-max(1, len(trained) // 10) :])) - log.validation[-1]['aAcc']
        if gap > GAP:
            hints.append((
                f'Pixels are right {gap:.0f} points more often in training than in validation: '
                'augment more, or raise the weight decay.',
                '--cfg-options optim_wrapper.optimizer.weight_decay=...',
            ))  # fmt: skip
    return hints


def _watched(cfg: Config, names: Sequence[str]) -> str:
    """The metric that the best checkpoint is chosen by, or the first."""
    chosen = (cfg.get('default_hooks') or {}).get('checkpoint', {}).get('save_best')
    return chosen if chosen in names else names[0]


def for_detector(
    classes: Sequence[str],
    evaluation: detection.Evaluation,
    objects: detection.Objects,
    losses: Mapping[str, float],
) -> list[Hint]:
    """Hints from a detector's figures."""
    hints = missing_classes(classes, evaluation.average(0), 'AP50', BALANCED)
    areas = objects.boxes[:, 2] * objects.boxes[:, 3]
    small = float((areas < 32**2).mean()) if len(areas) else 0.0
    ap = [detection.known_mean(evaluation.average(size=k)) for k in range(4)]
    larger = max((value for value in ap[2:] if value == value), default=0.0)
    if small > SMALL_SHARE and ap[1] < FEW_SMALL * larger:
        hints.append((
            f'Small objects (under 32 x 32 px, {100 * small:.0f} % of all) are lost: AP '
            f'{ap[1]:.3f} against {larger:.3f}. Train and test at a larger scale, or with smaller '
            'anchors.',
            'the scale of Resize in train_pipeline and test_pipeline; '
            'model.rpn_head.anchor_generator.scales=[4]',
        ))  # fmt: skip
    remedies = dict(
        localisation=('a stronger box loss, or longer training',
                      '--cfg-options model.roi_head.bbox_head.loss_bbox.loss_weight=2.0'),
        classification=('more images of the classes confused (see the matrix)',
                        BALANCED),
        duplicate=('a lower IoU threshold of NMS',
                   '--cfg-options model.test_cfg.rcnn.nms.iou_threshold=0.4'),
        background=('more images without objects, or longer training',
                    '--cfg-options train_dataloader.dataset.filter_cfg.filter_empty_gt=False'),
        missed=('more proposals and a lower score threshold',
                '--cfg-options model.test_cfg.rpn.max_per_img=2000 '
                'model.test_cfg.rcnn.score_thr=0.01'),
    )  # fmt: skip
    worst = max(losses, key=lambda kind: losses[kind])
    if losses[worst] > COSTLY and worst in remedies:
        what, setting = remedies[worst]
        hints.append((
            f'The costliest errors are those of kind "{worst}", {100 * losses[worst]:.1f} points '
            f'of AP50: try {what}.', setting,
        ))  # fmt: skip
    return hints


def for_segmentor(rows: Sequence[Mapping[str, Any]]) -> list[Hint]:
    """Hints from the rows of :func:`mmspanet.analysis.run.segmentation.per_class`."""
    values = np.array([row['iou'] for row in rows], float)
    names = [row['class_'] for row in rows]
    weights = '--cfg-options model.decode_head.loss_decode.class_weight=[...]'
    hints = missing_classes(names, values, 'IoU', weights)
    edge = np.nanmean([row['accuracy_boundary'] for row in rows])
    inside = np.nanmean([row['accuracy_inside'] for row in rows])
    if inside - edge > 0.15:
        hints.append((
            f'Pixels near boundaries are right in {100 * edge:.0f} %, those inside in '
            f'{100 * inside:.0f} %: train and test at a larger scale.',
            'the scale of Resize and crop_size in train_pipeline',
        ))  # fmt: skip
    return hints


def for_classifier(
    rows: Sequence[Mapping[str, Any]], confidence: float, accuracy: float
) -> list[Hint]:
    """Hints from per-class rows, and from the mean confidence beside the accuracy."""
    values = np.array([row['recall'] for row in rows], float)
    hints = missing_classes([row['class_'] for row in rows], values, 'recall',
                            BALANCED)  # fmt: skip
    if confidence - accuracy > TOO_SURE:
        hints.append((
            f'The classifier is too sure: mean confidence {confidence:.3f}, accuracy '
            f'{accuracy:.3f}. Smooth the labels.',
            '--cfg-options model.head.loss.type=LabelSmoothLoss '
            'model.head.loss.label_smooth_val=0.1 model.head.loss.mode=original',
        ))  # fmt: skip
    elif accuracy - confidence > TOO_SURE:
        hints.append((
            f'The classifier is not sure enough: mean confidence {confidence:.3f}, accuracy '
            f'{accuracy:.3f}. Train longer, or smooth the labels less.',
            '--cfg-options model.head.loss.label_smooth_val=0.05',
        ))  # fmt: skip
    return hints


def missing_classes(
    names: Sequence[str], values: np.ndarray, metric: str, setting: str
) -> list[Hint]:
    """A hint where classes that are there are not found at all."""
    lost = [name for name, value in zip(names, values, strict=True) if value == 0]
    if not lost:
        return []
    shown = ', '.join(lost[:5]) + (f' and {len(lost) - 5} more' if len(lost) > 5 else '')
    return [(f'Never found ({metric} 0): {shown}. Look at their labels, and show them more often.',
             setting)]  # fmt: skip
