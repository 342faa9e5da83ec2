"""Whole models in a file beside PyTorch: the same images, the config's own metrics."""

import copy
import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS
from mmengine.structures import InstanceData
from torch.nn import functional as F
from torchvision.datasets.folder import IMG_EXTENSIONS

from mmspanet.config_check import TASKS
from mmspanet.datasets.paths import check_data, part_datasets
from mmspanet.datasets.subset import subsample
from mmspanet.errors import InputError
from mmspanet.runtime.models import SMALLEST_PROBABILITY, slide
from mmspanet.runtime.notes import Window

from .export import Run
from .metadata import test_pipeline, window

SCORE = 0.05  # detections below it are not compared
NEAR = 1.0  # pixels by which the corners of one box may differ
TIE = 2e-3  # scores by which one detection may differ, or be on either side of SCORE
UNMATCHED = 0.01  # share of detections that ties in NMS may change
DIFFERENT = 1e-3  # of a class's probability, or on average of an image's label map
LOSS = dict(fp32=0.1, fp16=0.3, int8=1.0)  # points of a metric


@dataclass
class Report:
    """What the comparison found.

    Attributes:
        images: Number of images compared.
        skipped: Number of images that do not fit into the graph.
        detections: Number of detections above :data:`SCORE`, in either.
        unmatched: Those that the other has not, up to ties.
        padded: Those that PyTorch has not, or has in addition, where it pads images to the size of
            the graph, as filters and norms over whole maps see the padding.
        difference: Largest difference of a classifier's probability; of a segmentor's, the mean of
            the worst image.
        before: PyTorch's metrics, in the evaluator's units.
        after: The file's.
    """

    images: int = 0
    skipped: int = 0
    detections: int = 0
    unmatched: int = 0
    padded: int = 0
    difference: float = 0.0
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)

    def faults(self, precision: str) -> list[str]:
        """What is not as it has to be for a file of this precision; nothing if all is well."""
        found = []
        for name, (before, after) in self.points().items():
            limit = LOSS[precision]
            off = abs(before - after) if precision == 'fp32' else before - after
            if not off <= limit:  # NaN is a fault
                found.append(f'{name} is {after:.2f} instead of {before:.2f} (limit {limit})')
        if precision == 'fp32' and self.unmatched > UNMATCHED * self.detections:
            found.append(f'{self.unmatched} of {self.detections} detections differ')
        most = DIFFERENT if precision == 'fp32' else 1.0  # then NaN alone is a fault
        if not self.difference <= most:
            found.append(f'probabilities differ by {self.difference:.1e}')
        if not self.images:
            found.append('no image was compared')
        return found

    def points(self) -> dict[str, tuple[float, float]]:
        """Metrics in points, before and after; of COCO's the mean alone, in percent."""
        names = [n for n in self.before if n.endswith('_mAP')] or [
            n for n in self.before if n in ('mIoU', 'accuracy/top1')
        ]
        scale = 100 if any(n.endswith('_mAP') for n in names) else 1
        return {n: (self.before[n] * scale, self.after.get(n, math.nan) * scale) for n in names}

    def lines(self) -> Iterator[str]:
        """The report for people."""
        left_out = f', {self.skipped} of other sizes left out' if self.skipped else ''
        yield f'{self.images} images{left_out}'
        for name, (before, after) in self.points().items():
            yield f'{name}: {before:.2f} in PyTorch, {after:.2f} in the file'
        if self.detections:
            yield (
                f'detections above {SCORE}: {self.detections}, of which {self.unmatched} in one '
                'alone'
            )
            if self.padded:
                yield (
                    f'padding to the size of the graph changes {self.padded} of them in PyTorch, '
                    'too: --dynamic size leaves images as they are'
                )
        else:
            yield f'probabilities of the worst image differ by {self.difference:.1e}'


class Samples:
    """Images as the test pipeline makes them.

    Args:
        cfg: The config.
        folder: Images without labels; None takes the test data set.
        count: Number of images at most, taken at equal distances.

    Raises:
        InputError: If there are none.
    """

    def __init__(self, cfg: Config, folder: Path | None, count: int) -> None:
        self.evaluator = None
        if folder is None:
            check_data(cfg, ('test',))
            self.dataset: Any = DATASETS.build(cfg.test_dataloader.dataset)
            self.evaluator = cfg.test_evaluator
        else:
            paths = sorted(p for p in folder.rglob('*') if p.suffix.lower() in IMG_EXTENSIONS)
            steps = [s for s in test_pipeline(cfg) if 'Annotations' not in s['type']]
            pipeline = Compose(steps)
            self.dataset = _Folder(paths, pipeline)
        self.indexes = subsample(range(len(self.dataset)), count)
        if not self.indexes:
            raise InputError(f'{folder or "The test data set"} has no images.')

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.dataset[i] for i in self.indexes)


class _Folder:
    def __init__(self, paths: list[Path], pipeline: Any) -> None:
        self.paths = paths
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        path = str(self.paths[index])
        return self.pipeline(
            dict(img_path=path, img_id=index, seg_fields=[], reduce_zero_label=False)
        )


def compare(
    run: Run,
    model: Any,
    cfg: Config,
    samples: Samples,
    size: tuple[int, int] | None,
) -> Report:
    """Run a file beside the model it is of.

    Args:
        run: The file, opened.
        model: The model in PyTorch, as it was trained.
        cfg: Its config.
        samples: The images.
        size: Height and width of a graph of fixed size.
    """
    task = TASKS[cfg.default_scope]
    report = Report()
    before, after = (_evaluator(samples, cfg) for _ in range(2))
    ids = []
    for sample in samples:
        if task == 'segmentation' and size and window(cfg.model.get('test_cfg')) is None:
            sample = _stretched(sample, size)
        image = sample['inputs'].permute(1, 2, 0).numpy()
        if size and not _fits(image.shape[:2], size, cfg):
            report.skipped += 1
            continue
        with torch.no_grad():
            (expected,) = model.test_step(pseudo_collate([copy.deepcopy(sample)]))
        reference = expected
        if task == 'detection' and size and tuple(image.shape[:2]) != tuple(size):
            reference = _on_canvas(model, sample, size)
            report.padded += _differing(expected.pred_instances, reference.pred_instances)
        actual = ADDERS[task](run, model, reference, image, size, report)
        report.images += 1
        ids.append(expected.metainfo.get('img_id'))
        for evaluator, result in ((before, expected), (after, actual)):
            if evaluator is not None:
                evaluator.process([result.cpu()], pseudo_collate([sample]))
    if before is not None and after is not None and report.images:
        report.before = evaluated(before, ids)
        report.after = evaluated(after, ids)
    return report


def _fits(shape: tuple[int, int], size: tuple[int, int], cfg: Config) -> bool:
    """Whether a graph of fixed size gives for an image what PyTorch does."""
    if TASKS[cfg.default_scope] == 'detection':  # it is padded
        return shape[0] <= size[0] and shape[1] <= size[1]
    if window(cfg.model.get('test_cfg')) is not None:  # the graph is one window of it
        return shape[0] >= size[0] and shape[1] >= size[1]
    return tuple(shape) == tuple(size)


def _stretched(sample: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """A segmentor's image in the size of the graph; its label map stays as large as it is."""
    image = sample['inputs'][None].float()
    resized = F.interpolate(image, size, mode='bilinear', antialias=True).round()
    sample['data_samples'].set_metainfo(dict(img_shape=tuple(size)))
    return sample | dict(inputs=resized[0].to(torch.uint8))


def detection_feeds(image: np.ndarray, size: tuple[int, int] | None) -> dict[str, np.ndarray]:
    """Inputs of a detector for an image (H, W, 3), at the top left of a graph of fixed size."""
    height, width = image.shape[:2]
    canvas = np.zeros((*(size or (height, width)), 3), np.uint8)
    canvas[:height, :width] = image
    return dict(images=canvas[None], sizes=np.array([[height, width]], np.int64))


def training_images(cfg: Config, count: int) -> Iterator[np.ndarray]:
    """Images (H, W, 3) of the training set, uint8 BGR, as the test pipeline makes them."""
    check_data(cfg, ('train',))
    (_, dataset), *_ = part_datasets(cfg, 'train')
    steps = [s for s in test_pipeline(cfg) if 'Annotations' not in s['type']]
    images = DATASETS.build(dataset | dict(pipeline=steps))
    for i in subsample(range(len(images)), count):
        yield images[i]['inputs'].permute(1, 2, 0).numpy()


def feeds_of_all(
    images: Iterator[np.ndarray], cfg: Config, size: tuple[int, int] | None
) -> Iterator[dict[str, np.ndarray]]:
    """Inputs of a graph for images: of a segmentor's the middle, where they are larger.

    Raises:
        InputError: If no image fits into a graph of fixed size.
    """
    task = TASKS[cfg.default_scope]
    fitting = 0
    for image in images:
        if task == 'segmentation' and size:
            image = _middle(image, size)
        if size and not _fits(image.shape[:2], size, cfg):
            continue
        fitting += 1
        if task == 'detection':
            yield detection_feeds(image, size)
        else:
            yield dict(images=np.ascontiguousarray(image[None]))
    if size and not fitting:
        raise InputError(
            f'No training image fits into a graph of {size[0]} x {size[1]} pixels: give another '
            '--size, or leave it free with --dynamic size.'
        )


def _middle(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    top, left = (max(n - m, 0) // 2 for n, m in zip(image.shape, size, strict=False))
    return image[top : top + size[0], left : left + size[1]]


def _detections(
    run: Run, model: Any, expected: Any, image: np.ndarray, size: Any, report: Report
) -> Any:
    feeds = detection_feeds(image, size)
    boxes, scores, labels, *masks = (torch.from_numpy(found[0]) for found in run(feeds))
    there = labels >= 0
    found = InstanceData(bboxes=boxes[there], scores=scores[there], labels=labels[there])
    meta = expected.metainfo
    if masks:
        own = masks[0][there].float()
        head: Any = model.roi_head.mask_head
        head = head[-1] if isinstance(head, torch.nn.ModuleList) else head
        if len(own):
            found.masks = head._predict_by_feat_single(  # this scales the boxes, too
                own[:, None].expand(-1, head.num_classes, -1, -1),
                found.bboxes,
                found.labels,
                meta,
                model.roi_head.test_cfg,
                rescale=True,
                activate_map=True,
            )
        else:
            found.masks = torch.zeros(0, *meta['ori_shape'][:2], dtype=torch.bool)
    else:
        found.bboxes = found.bboxes / found.bboxes.new_tensor(meta['scale_factor']).repeat(2)
    reference = expected.pred_instances
    report.detections += int((reference.scores > SCORE).sum() + (found.scores > SCORE).sum())
    report.unmatched += _differing(reference, found)
    actual = expected.clone()
    actual.pred_instances = found
    return actual


@torch.no_grad()
def _on_canvas(model: Any, sample: dict[str, Any], size: tuple[int, int]) -> Any:
    """What a detector finds in an image that is padded to the size of the graph, in PyTorch."""
    preprocessor = model.data_preprocessor
    data = preprocessor(pseudo_collate([copy.deepcopy(sample)]), False)
    missing = [
        side + -side % preprocessor.pad_size_divisor - own
        for side, own in zip(size, data['inputs'].shape[2:], strict=True)
    ]
    images = F.pad(data['inputs'], (0, missing[1], 0, missing[0]), value=preprocessor.pad_value)
    (found,) = model.predict(images, data['data_samples'])
    return found


def _differing(one: InstanceData, other: InstanceData) -> int:
    """Number of detections that one of two results has alone, up to ties."""
    return unmatched(one, other) + unmatched(other, one)


def unmatched(wanted: InstanceData, given: InstanceData) -> int:
    """Number of detections above :data:`SCORE` that ``given`` has not, up to ties."""
    mine = wanted[wanted.scores > SCORE + TIE]
    left = torch.ones(len(given), dtype=torch.bool)
    missing = 0
    for box, score, label in zip(mine.bboxes, mine.scores, mine.labels, strict=True):
        same = (
            left
            & (given.labels == label)
            & ((given.scores - score).abs() <= TIE)
            & ((given.bboxes - box).abs().amax(dim=1) <= NEAR)
        ).nonzero()
        if len(same):
            left[same[0]] = False
        else:
            missing += 1
    return missing


def _label_map(
    run: Run, model: Any, expected: Any, image: np.ndarray, size: Any, report: Report
) -> Any:
    labels = None
    if windows := window(model.test_cfg):
        sliding = Window.of(windows)
        by_class = slide(lambda cut: _logarithms(run, cut)[0], image[None], sliding)
    else:
        by_class, labels = _logarithms(run, image[None])
    logits = torch.from_numpy(by_class)
    shape = tuple(expected.metainfo['ori_shape'][:2])
    if logits.shape[2:] != shape:  # of logarithms, the classes' order is that of logits
        logits = F.interpolate(
            logits, shape, mode='bilinear', align_corners=model.decode_head.align_corners
        )
        labels = None
    found = logits.argmax(dim=1) if labels is None else torch.from_numpy(labels).long()
    reference = expected.seg_logits.data.softmax(dim=0)
    off = (logits[0].softmax(dim=0) - reference).abs().mean(dim=0)
    report.difference = float(np.maximum(report.difference, off.mean().item()))
    actual = expected.clone()
    actual.pred_sem_seg.data = found
    return actual


def _logarithms(run: Run, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a segmentor's probabilities (B, classes, H, W) for images (B, H, W, 3); and its labels."""
    labels, probabilities = run(dict(images=np.ascontiguousarray(images)))
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)), labels


def _class(
    run: Run, model: Any, expected: Any, image: np.ndarray, size: Any, report: Report
) -> Any:
    (probabilities,) = run(dict(images=np.ascontiguousarray(image[None])))
    scores = torch.from_numpy(probabilities[0]).float()
    off = (scores - expected.pred_score).abs().max().item()
    report.difference = float(np.maximum(report.difference, off))  # keeps NaN
    actual = expected.clone()
    return actual.set_pred_score(scores).set_pred_label(scores.argmax())


ADDERS = dict(detection=_detections, segmentation=_label_map, classification=_class)


def _evaluator(samples: Samples, cfg: Config) -> Evaluator | None:
    if samples.evaluator is None:
        return None
    evaluator = Evaluator(copy.deepcopy(samples.evaluator))
    evaluator.dataset_meta = samples.dataset.metainfo
    return evaluator


def evaluated(evaluator: Evaluator, ids: list[Any]) -> dict[str, float]:
    """The finite metrics of a part of a data set, in the evaluator's own units.

    Args:
        evaluator: It was given the results.
        ids: ``img_id`` of each image that it was given; None for data sets without.
    """
    for metric in evaluator.metrics:
        if hasattr(metric, 'img_ids') and ids[0] is not None:
            metric.img_ids = ids  # COCO's would miss the objects of all the other images
    with redirect_stdout(io.StringIO()), _quiet():  # tables of each metric
        found = evaluator.evaluate(len(ids))
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


@contextmanager
def _quiet() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
