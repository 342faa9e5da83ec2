"""The models that are looked at: built from an OpenMMLab config or by timm, with their weights."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmspanet import cli
from mmspanet.apis.build import build_model
from mmspanet.checkpoints import load, load_backbone
from mmspanet.config_check import input_size
from mmspanet.datasets.meta import metainfo
from mmspanet.datasets.paths import part_datasets
from mmspanet.errors import InputError

RANDOM = 'random weights'


@dataclass(frozen=True)
class Normalization:
    """What a network's data preprocessor does to pixel values.

    Attributes:
        mean, std: One value per channel, in the network's channel order, for pixels of 0 to 255.
        rgb: Whether the network takes RGB; else it takes BGR.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    rgb: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        """Turn RGB images, (B, 3, H, W) uint8, into the network's float32 input."""
        ordered = images if self.rgb else images.flip(1)
        mean, std = (ordered.new_tensor(v, dtype=torch.float32) for v in (self.mean, self.std))
        return (ordered.float() - mean[:, None, None]) / std[:, None, None]

    def pixels(self, inputs: Tensor) -> Tensor:
        """Turn a network's input, (B, 3, H, W), back into RGB images, uint8."""
        mean, std = (inputs.new_tensor(v) for v in (self.mean, self.std))
        values = inputs * std[:, None, None] + mean[:, None, None]
        ordered = values if self.rgb else values.flip(1)
        return ordered.round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Model:
    """A network in eval mode, without gradients to its weights.

    Attributes:
        name: What figures call it.
        network: The whole network; of a classifier, a call gives logits of shape (B, classes).
        backbone: The part whose blocks are looked at.
        weights: The checkpoint's path, or :data:`RANDOM`.
        normalize: What its images go through first.
        is_classifier: Whether the network ends in classes.
        classes: Their names; empty if unknown.
        input_size: The side, in pixels, of the images that it was made for.
    """

    name: str
    network: nn.Module
    backbone: nn.Module
    weights: str
    normalize: Normalization
    is_classifier: bool
    classes: tuple[str, ...]
    input_size: int

    @property
    def title(self) -> str:
        """The name, with a remark where the weights are random."""
        return f'{self.name} ({RANDOM})' if self.weights == RANDOM else self.name


def read_config(path: str) -> Config:
    """The config file at ``path``; ``mmpretrain::NAME`` and ``mmdet::NAME`` are the libraries'.

    Raises:
        InputError: If there is no such file, if it is not a valid config, or if the library does
            not have it.
    """
    if '::' not in path:
        return cli.load_model_config(path)
    try:
        return get_config(path)
    except Exception as error:  # the hub raises plain exceptions of many kinds
        raise InputError(f'The config {path} can not be read: {error}') from error


def build_from_config(
    cfg: Config, name: str, checkpoint: str | None = None, seed: int = 0
) -> Model:
    """Build the model of an mmdet, mmseg or mmpretrain config.

    Without ``checkpoint`` the weights are the config's own random initialization, drawn from
    ``seed``; a pretrained file that the config names for its backbone is not read.

    Raises:
        CheckpointError: If the checkpoint leaves weights of the backbone unset.
    """
    backbone = cfg.model.backbone
    if backbone.type == 'SwinTransformer' and cfg.default_scope == 'mmpretrain':
        backbone.pad_small_map = True  # or it refuses maps smaller than its windows
    torch.manual_seed(seed)
    with _quiet(MMLogger.get_current_instance()):  # it tells how each weight was drawn
        network = build_model(cfg)
        network.init_weights()
    if checkpoint is not None:
        load_backbone(network, checkpoint)
    return Model(
        name=name,
        network=network.eval().requires_grad_(False),
        backbone=network.backbone,
        weights=checkpoint or RANDOM,
        normalize=normalization(cfg),
        is_classifier=cfg.model.type == 'ImageClassifier',
        classes=_classes(cfg),
        input_size=max(input_size(backbone)),
    )


def build_timm(
    name: str, checkpoint: str | None = None, seed: int = 0, size: int | None = None
) -> Model:
    """Build a model of timm by its name there.

    Models of one image size are set to ``size``, in pixels, where timm knows how to.

    Raises:
        InputError: If timm has no such model.
    """
    import timm

    torch.manual_seed(seed)
    try:
        network: Any = timm.create_model(name)
    except RuntimeError as error:
        raise InputError(f'timm can not build {name!r}: {error}') from error
    if checkpoint is not None:
        load(network, checkpoint)  # timm's own reading would run code
    data = timm.data.resolve_model_data_config(network)
    own_size = data['input_size'][-1]
    if size not in (None, own_size) and hasattr(network, 'set_input_size'):
        network.set_input_size((size, size))
    return Model(
        name=name,
        network=network.eval().requires_grad_(False),
        backbone=network,
        weights=checkpoint or RANDOM,
        normalize=Normalization(
            tuple(255 * v for v in data['mean']), tuple(255 * v for v in data['std'])
        ),
        is_classifier=True,
        classes=(),
        input_size=own_size,
    )


def build(
    spec: str, checkpoint: str | None = None, seed: int = 0, size: int | None = None
) -> Model:
    """Build from ``spec``: a config's path, ``mmpretrain::NAME`` or ``timm:NAME``.

    ``size`` is that of the images that are to come; models of timm may need to know it.
    """
    if spec.startswith('timm:'):
        return build_timm(spec.removeprefix('timm:'), checkpoint, seed, size)
    stem = spec.replace('::', '/').split('/')[-1].removesuffix('.py')
    name = re.sub(r'_\d+xb\d+.*', '', stem)  # without batch, schedule and data set
    return build_from_config(read_config(spec), name, checkpoint, seed)


@contextmanager
def _quiet(logger: MMLogger) -> Iterator[None]:
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


def normalization(cfg: Config) -> Normalization:
    """What the data preprocessor of a config's model does to pixel values."""
    given = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor', {})
    rgb = bool(given.get('to_rgb') or given.get('bgr_to_rgb'))
    if given.get('mean') is None:
        return Normalization(rgb=rgb)
    return Normalization(tuple(given['mean']), tuple(given['std']), rgb)


def _classes(cfg: Config) -> tuple[str, ...]:
    for _, dataset in part_datasets(cfg, 'test'):
        return tuple(metainfo(dataset, cfg.default_scope).get('classes') or ())
    return tuple((cfg.get('metainfo') or {}).get('classes', ()))
