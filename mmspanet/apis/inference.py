"""Predictions for single images by the libraries' own inferencers, in one form for all tasks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import Tensor

from mmspanet.checkpoints import load
from mmspanet.config_check import building_errors, library_of
from mmspanet.datasets.meta import metainfo, numbered
from mmspanet.datasets.paths import part_datasets
from mmspanet.errors import InputError
from mmspanet.media import Prediction
from mmspanet.models import find_spanetv2
from mmspanet.runtime.drawing import random_palette

SMALLEST_PICTURE = 256  # pixels of the shorter side, for a classifier's text to be readable


class Predictor(ABC):
    """A model with its test pipeline, called with one image at a time.

    Several predictors of different libraries live in one process: each is built in the scope
    of its library, whichever scope is the process's default at the time.

    Args:
        cfg: The config of a training or test run.
        checkpoint: Path or URL; None leaves the weights at random.
        device: Such as ``cuda:0``; None takes the accelerator if there is one.
    """

    inferencer: Any  # the library's own

    def __init__(self, cfg: Config, checkpoint: str | None = None, device: str | None = None):
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            self.build(cfg, device)
        trained_on: dict[str, Any] = {}
        if checkpoint is not None:
            trained_on = load(self.inferencer.model, checkpoint).get('dataset_meta') or {}
        self.name_classes(trained_on | dataset_meta(cfg))

    @abstractmethod
    def build(self, cfg: Config, device: str | None) -> None:
        """Make the library's inferencer, with random weights."""

    @property
    @abstractmethod
    def class_names(self) -> Sequence[str]:
        """The names that the record gives to classes, by their numbers."""

    @abstractmethod
    def name_classes(self, meta: dict[str, Any]) -> None:
        """Take over the names and colors of the classes, as far as they are known."""

    def switch_to_deploy(self, dtype: torch.dtype | None = None) -> None:
        """Bring the model's SPANetV2 into its faster deployed form, for good.

        Args:
            dtype: Half type of the backbone; the rest of the model keeps its own.
        """
        for backbone in find_spanetv2(self.inferencer.model).values():
            backbone.switch_to_deploy(dtype)

    def predict(self, image: np.ndarray, score: float) -> Prediction:
        """Predict for a uint8 BGR image of shape (H, W, 3), as OpenCV reads it.

        Args:
            image: The image.
            score: Detections below this score are not drawn.
        """
        return self.show(image, self.infer(image), score)

    @abstractmethod
    def infer(self, image: np.ndarray) -> Any:
        """The library's data sample for an image, which :meth:`show` takes."""

    @abstractmethod
    def show(self, image: np.ndarray, sample: Any, score: float) -> Prediction:
        """Draw what was inferred for an image, without another forward pass.

        Args:
            image: The image.
            sample: What :meth:`infer` gave for it.
            score: Detections below this score are not drawn.
        """

    def network_input(self, image: np.ndarray) -> Tensor:
        """What the network gets for an image: (1, 3, H, W), resized and normalized."""
        batch = next(iter(self.inferencer.preprocess([image], batch_size=1)))
        if isinstance(batch, (list, tuple)):  # MMDetection's has the image beside it
            batch = batch[1]
        return self.inferencer.model.data_preprocessor(batch)['inputs']


class Detector(Predictor):
    """Boxes and masks; the record is that of MMDetection's DetInferencer, with class names."""

    def build(self, cfg: Config, device: str | None) -> None:
        """Make MMDetection's inferencer."""
        from mmdet.apis import DetInferencer

        self.inferencer = DetInferencer(cfg, None, device, show_progress=False)

    def name_classes(self, meta: dict[str, Any]) -> None:
        """Without names, those of MMDetection's inferencer stay: COCO's."""
        self.meta = self.inferencer.model.dataset_meta | meta
        palette = self.meta['palette']
        if not isinstance(palette, str) and len(palette) < len(self.class_names):
            self.meta['palette'] = 'random'
        self.inferencer.visualizer.dataset_meta = self.meta

    @property
    def class_names(self) -> Sequence[str]:
        """Those of boxes."""
        return self.meta['classes']

    def infer(self, image: np.ndarray) -> Any:
        """Its ``pred_instances`` hold boxes and masks."""
        (sample,) = self.inferencer(image, return_datasamples=True)['predictions']
        return sample

    def show(self, image: np.ndarray, sample: Any, score: float) -> Prediction:
        """Boxes above ``score`` are drawn, all are in the record."""
        record = self.inferencer.pred2dict(sample)
        names = numbered(self.class_names, 1 + max(record['labels'], default=-1))
        visualizer = self.inferencer.visualizer
        if len(names) > len(self.class_names):  # the head has more classes than the config names
            visualizer.dataset_meta = self.meta | dict(classes=names, palette=None)
        picture = draw(visualizer, image, sample, pred_score_thr=score)
        record['classes'] = [names[label] for label in record['labels']]
        return Prediction(picture, record)


class Segmentor(Predictor):
    """Classes by pixel; the record holds each class's share of the image, largest first."""

    def build(self, cfg: Config, device: str | None) -> None:
        """Make MMSegmentation's inferencer."""
        from mmseg.apis import MMSegInferencer

        self.inferencer = MMSegInferencer(cfg, None, device=device)
        self.inferencer.show_progress = False
        self.inferencer.visualizer.alpha = 0.6

    def name_classes(self, meta: dict[str, Any]) -> None:
        """Without names, those of MMSegmentation's inferencer stay: Cityscapes'."""
        self.meta = self.inferencer.model.dataset_meta | meta
        count = len(self.meta['classes'])
        if len(self.meta['palette']) != count:
            self.meta['palette'] = random_palette(count)
        self.inferencer.visualizer.set_dataset_meta(self.meta['classes'], self.meta['palette'])

    @property
    def class_names(self) -> Sequence[str]:
        """Those of pixels."""
        return self.meta['classes']

    def infer(self, image: np.ndarray) -> Any:
        """Its ``pred_sem_seg`` holds a class for each pixel."""
        return self.inferencer(image, return_datasamples=True)

    def show(self, image: np.ndarray, sample: Any, score: float) -> Prediction:
        """A class for each pixel, or none where the map has a number beyond the classes.

        ``score`` plays no part.
        """
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        labels, counts = np.unique(label_map, return_counts=True)
        by_size = sorted(zip(counts.tolist(), labels.tolist(), strict=True), reverse=True)
        shares = [
            dict(
                label=label, **{'class': self.meta['classes'][label]}, share=count / label_map.size
            )
            for count, label in by_size
            if label < len(self.meta['classes'])
        ]
        picture = draw(self.inferencer.visualizer, image, sample)
        return Prediction(picture, dict(shares=shares), label_map)


class Classifier(Predictor):
    """One class; the record holds the five with the highest scores."""

    def build(self, cfg: Config, device: str | None) -> None:
        """Make MMPretrain's inferencer."""
        from mmpretrain import ImageClassificationInferencer
        from mmpretrain.visualization import UniversalVisualizer

        # MMPretrain leaves a model on the CPU without a device.
        self.inferencer = ImageClassificationInferencer(cfg, False, device or get_device())
        self.visualizer = UniversalVisualizer()

    def name_classes(self, meta: dict[str, Any]) -> None:
        """Classes without names are called by their numbers."""
        count = self.inferencer.model.head.num_classes
        self.classes = numbered(meta.get('classes') or (), count)

    @property
    def class_names(self) -> Sequence[str]:
        """Those of images."""
        return self.classes

    def infer(self, image: np.ndarray) -> Any:
        """Its ``pred_score`` holds a score for each class."""
        (batch,) = self.inferencer.preprocess([image])
        (sample,) = self.inferencer.forward(batch)
        return sample

    def show(self, image: np.ndarray, sample: Any, score: float) -> Prediction:
        """The five best classes; ``score`` plays no part."""
        scores, labels = sample.pred_score.topk(min(5, len(sample.pred_score)))
        top = [
            dict(label=label, **{'class': self.classes[label]}, score=score)
            for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
        ]
        resize = SMALLEST_PICTURE if min(image.shape[:2]) < SMALLEST_PICTURE else None
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        picture = self.visualizer.visualize_cls(rgb, sample, self.classes, resize=resize)
        return Prediction(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), dict(top=top))


PREDICTORS: dict[str, type[Predictor]] = dict(
    mmdet=Detector, mmseg=Segmentor, mmpretrain=Classifier
)


def build_predictor(
    cfg: Config, checkpoint: str | None = None, device: str | None = None
) -> Predictor:
    """Build the predictor that fits a config's default scope.

    Args:
        cfg: The config of a training or test run.
        checkpoint: Path or URL; None leaves the weights at random.
        device: Such as ``cuda:0``; None takes the accelerator if there is one.

    Raises:
        InputError: If the config is of no library that we know, or has no test data set.
    """
    library = library_of(cfg)
    if not list(part_datasets(cfg, 'test')):
        raise InputError('The config needs a test_dataloader: its pipeline prepares the images.')
    with building_errors('The model can not be built'):
        return PREDICTORS[library](cfg, checkpoint, device)


def dataset_meta(cfg: Config) -> dict[str, Any]:
    """Class names and colors of the test data set, without reading its files.

    The inferencers take them from the checkpoint, and where it has none, such as the authors'
    and every random model, name the classes of COCO or Cityscapes instead.
    """
    (_, dataset), *_ = part_datasets(cfg, 'test')
    meta = metainfo(dataset, cfg.default_scope)
    return {key: meta[key] for key in ('classes', 'palette') if meta.get(key)}


def draw(visualizer: Any, image: np.ndarray, sample: Any, **options: Any) -> np.ndarray:
    """Draw a sample into an image with a library's visualizer.

    Args:
        visualizer: Of MMDetection or MMSegmentation.
        image: uint8 BGR of shape (H, W, 3).
        sample: The library's data sample.
        options: Further arguments of ``add_datasample``.

    Returns:
        The drawn image, uint8 BGR.
    """
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    visualizer.add_datasample('prediction', rgb, sample.cpu(), draw_gt=False, **options)
    return cv2.cvtColor(visualizer.get_image(), cv2.COLOR_RGB2BGR)
