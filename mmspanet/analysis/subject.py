"""What a study looks at: a model on a device, and the images that it is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.device import get_device
from rich.progress import track
from torch import Tensor, nn

from mmspanet.datasets.shapes import make_scene
from mmspanet.datasets.subset import subsample

from .images import (
    SIZE_POLICIES,
    Picture,
    batches,
    choose_images,
    crop,
    read_image,
)
from .inside.blocks import find_blocks, stage_ends
from .models import RANDOM, Model, build, read_config


class Subject:
    """A model and its images.

    Args:
        model: Moved to the device.
        pictures: At least one.
        device: Such as ``cuda:0``; None for the accelerator, if there is one.
    """

    def __init__(self, model: Model, pictures: Sequence[Picture], device: str | None = None):
        self.model = model
        self.pictures = pictures
        self.device = device or get_device()
        model.network.to(self.device)

    @cached_property
    def stage_ends(self) -> dict[str, nn.Module]:
        """The last block of every stage, by its path in the backbone."""
        backbone = self.model.backbone
        return stage_ends(backbone, find_blocks(backbone), self.input_of(self.pictures[0]))

    def input_of(self, picture: Picture) -> Tensor:
        """Turn one image into the model's input, (1, 3, H, W)."""
        return self.model.normalize(picture.pixels[None].to(self.device))

    def some(self, count: int, title: str) -> Iterator[tuple[Picture, Tensor]]:
        """Yield ``count`` of the images, each with the model's input, behind a progress bar."""
        for picture in track(subsample(self.pictures, count), f'{title}, {self.model.name}'):
            yield picture, self.input_of(picture)

    def batches(self, batch_size: int, title: str) -> Iterator[Tensor]:
        """Yield the model's input for all images, (B, 3, H, W), behind a progress bar."""
        given = list(batches(self.pictures, batch_size))
        for batch in track(given, f'{title}, {self.model.name}'):
            yield self.model.normalize(batch.to(self.device))


def make_subjects(
    models: Sequence[tuple[str, str | None]],
    folder: Path | None,
    count: int,
    policy: str,
    size: int | None,
    seed: int,
    device: str | None,
) -> list[Subject]:
    """Build models and read the images that all of them are shown, once.

    Args:
        models: Specs, see :func:`.models.build`, and checkpoints; None for random weights.
        folder: Of the images; None for the test data set of the first model's config.
        count: Number of images.
        policy: Key of :data:`.images.SIZE_POLICIES`.
        size: Side of the images in pixels; None for the size that the first model was made for.
        seed: Of random weights.
        device: See :class:`Subject`.

    Raises:
        InputError: If a model can not be built, or there are no images.
        CheckpointError: If a checkpoint does not fit its model.
    """
    first = models[0][0]
    cfg = None if first.startswith('timm:') else read_config(first)
    paths = choose_images(folder, cfg, count)
    built: list[Model] = []
    side = size
    for spec, checkpoint in models:
        built.append(build(spec, checkpoint, seed, side))
        side = side or built[0].input_size
    assert side is not None  # there is a model
    pictures = [read_image(path, SIZE_POLICIES[policy], side) for path in paths]
    return [Subject(model, pictures, device) for model in told_apart(built)]


def told_apart(models: Sequence[Model]) -> list[Model]:
    """Models whose names repeat get that of their weights, for figures to tell them apart."""
    titles = [model.title for model in models]
    return [
        replace(model, name=f'{model.name}, {"/".join(Path(model.weights).parts[-2:])}')
        if titles.count(model.title) > 1 and model.weights != RANDOM
        else model
        for model in models
    ]


def make_scene_subject(
    spec: str,
    checkpoint: str | None,
    image: Path | None,
    size: int | None,
    seed: int,
    device: str | None,
) -> Subject:
    """Build a model that is shown one image, by default a scene of Shapes.

    Args:
        spec: The model, see :func:`.models.build`.
        checkpoint: Its weights; None for random ones.
        image: Path of the image; None for a scene, which ``seed`` draws.
        size: Side of the image in pixels; None for the size that the model was made for.
        seed: Of random weights and of the scene.
        device: See :class:`Subject`.
    """
    model = build(spec, checkpoint, seed)
    size = size or model.input_size
    if image is not None:
        return Subject(model, [read_image(image, crop, size)], device)
    scene, _ = make_scene(np.random.default_rng(seed), 'val')
    resized = cv2.resize(scene, (size, size), interpolation=cv2.INTER_CUBIC)
    pixels = torch.from_numpy(resized[..., ::-1].copy()).permute(2, 0, 1)
    return Subject(model, [Picture('a scene of Shapes', pixels)], device)
