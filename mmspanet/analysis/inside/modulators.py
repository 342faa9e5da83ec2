"""The modulators of SPAM over an image: where each stage lets its query pass.

SPAM returns ``y = Wo (q * m)``; the modulator m, of shape (B, C, H, W), multiplies the query at
every position and channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from mmspanet.analysis import plotting
from mmspanet.analysis.images import Picture
from mmspanet.analysis.plotting import Drawing
from mmspanet.errors import InputError

from .blocks import record_outputs
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
    """Measure the modulator of the last SPAM block of every stage.

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
    maps: dict[int, ModulatorMap] = {}

    def record(path: str, m: Tensor) -> None:
        stage, block = (int(part) for part in path.split('.'))
        strength = m[0].double().square().mean(dim=0).sqrt().cpu().numpy()
        maps[stage] = ModulatorMap(stage, block, strength)

    with torch.no_grad(), record_outputs(reduces, record):
        find_backbone(model)(image)
    return list(maps.values())


def draw_modulators(pictures: Sequence[Picture], maps: Sequence[Sequence[ModulatorMap]]) -> Drawing:
    """Draw a row per image: the image, then the modulator of each stage, each on its own scale.

    Args:
        pictures: At least one.
        maps: Of each picture, see :func:`modulator_maps`.
    """
    with plotting.style():
        columns = len(maps[0]) + 1
        figure = Figure(figsize=(1.6 * columns, 1.7 * len(pictures)))
        grid = figure.subplots(len(pictures), columns, squeeze=False)
        for row, picture, of_picture in zip(grid, pictures, maps, strict=True):
            plotting.draw_pixels(row[0], picture.pixels, picture.name)
            for axes, modulator in zip(row[1:], of_picture, strict=True):
                axes.grid(False)
                image = axes.imshow(modulator.strength, cmap='cividis', interpolation='nearest')
                axes.set_title(f'stage {modulator.stage}, block {modulator.block}')
                axes.set_axis_off()
                figure.colorbar(image, ax=axes, shrink=0.8)
    rows = [
        {
            'image': picture.name,
            'stage': modulator.stage,
            'block': modulator.block,
            'row': i,
            'column': j,
            'root mean square of m': round(float(value), 6),
        }
        for picture, of_picture in zip(pictures, maps, strict=True)
        for modulator in of_picture
        for (i, j), value in np.ndenumerate(modulator.strength)
    ]
    return Drawing(
        name='modulators',
        title='Modulators over images',
        figure=figure,
        rows=rows,
        shows=(
            'The modulator m of y = Wo (q * m) in the last SPAM block of each stage: its root '
            'mean square over the channels at every position. Each map has its own color scale.'
        ),
        shows_not='What the mixer passes on: that depends on sign, channel and query, too.',
    )
