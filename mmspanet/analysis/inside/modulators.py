"""The modulators of SPAM over an image: where each stage lets its query through.

SPAM returns ``y = Wo (q * m)``; the modulator m, of shape (B, C, H, W), multiplies the query at
every position and channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from mmspanet.analysis import plotting
from mmspanet.errors import InputError

from .blocks import watched
from .spam_response import SPAMS, find_backbone


@dataclass(frozen=True)
class ModulatorMap:
    """The size of one block's modulator over one image.

    Attributes:
        stage: From 1.
        block: From 1, within the stage.
        strength: Root mean square of m over the channels, (H, W).
    """

    stage: int
    block: int
    strength: np.ndarray


def modulator_maps(model: nn.Module, image: Tensor) -> list[ModulatorMap]:
    """The modulator of the last SPAM block of every stage.

    Args:
        model: A SPANetV2, or a model with one as its backbone.
        image: One normalized image, (1, 3, H, W).

    Raises:
        InputError: If the model has no SPAM mixer.
    """
    reduces: dict[str, nn.Module] = {}
    for number, stage in enumerate(find_backbone(model).stages, 1):
        for block, module in enumerate(stage.children(), 1):
            for part in module.modules():
                if isinstance(part, SPAMS):
                    reduces[f'{number}.{block}'] = part.reduce  # m is what it returns
    if not reduces:
        raise InputError('The model has no SPAM mixer: choose a SPANetV2 with SPAM in a stage.')
    seen: dict[int, ModulatorMap] = {}

    def see(path: str, m: Tensor) -> None:
        stage, block = (int(part) for part in path.split('.'))
        strength = m[0].double().square().mean(dim=0).sqrt().cpu().numpy()
        seen[stage] = ModulatorMap(stage, block, strength)

    with torch.no_grad(), watched(reduces, see):
        find_backbone(model)(image)
    return list(seen.values())


def draw_map(axes: Axes, modulator: ModulatorMap) -> Any:
    """One map, its positions as squares; the drawn image."""
    axes.grid(False)
    image = axes.imshow(modulator.strength, cmap='cividis', interpolation='nearest')
    axes.set_title(f'stage {modulator.stage}, block {modulator.block}')
    axes.set_axis_off()
    return image


def draw_picture(axes: Axes, picture: Tensor, title: str) -> None:
    """An image of shape (3, H, W), uint8 RGB, without ticks."""
    axes.grid(False)
    axes.imshow(picture.permute(1, 2, 0).numpy())
    axes.set_title(title, fontsize=7)
    axes.set_axis_off()


def draw_modulators(
    pictures: Sequence[Tensor], names: Sequence[str], maps: Sequence[Sequence[ModulatorMap]]
) -> Figure:
    """A row per image: the image, then the modulator of each stage, each on its own scale."""
    with plotting.style():
        columns = len(maps[0]) + 1
        figure = Figure(figsize=(1.6 * columns, 1.7 * len(pictures)))
        rows = figure.subplots(len(pictures), columns, squeeze=False)
        for row, picture, name, own in zip(rows, pictures, names, maps, strict=True):
            draw_picture(row[0], picture, name)
            for axes, modulator in zip(row[1:], own, strict=True):
                figure.colorbar(draw_map(axes, modulator), ax=axes, shrink=0.8)
    return figure


def table(names: Sequence[str], maps: Sequence[Sequence[ModulatorMap]]) -> list[dict[str, Any]]:
    """What :func:`draw_modulators` draws, one row per position."""
    return [
        {
            'image': name,
            'stage': modulator.stage,
            'block': modulator.block,
            'row': i,
            'column': j,
            'root mean square of m': round(float(value), 6),
        }
        for name, own in zip(names, maps, strict=True)
        for modulator in own
        for (i, j), value in np.ndenumerate(modulator.strength)
    ]
