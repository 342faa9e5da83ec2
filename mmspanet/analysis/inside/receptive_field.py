"""Effective receptive fields: which pixels the center of a feature map depends on.

After Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks" (NeurIPS 2016, arXiv 1701.04128): the gradient of the central
position with respect to the input, averaged over inputs. They sum the position's channels. Behind a
LayerNorm that sum is a constant and has no gradient, so here each image takes the channels with
random signs, and the squared gradients are averaged: an unbiased estimate of the sum over channels
of the squared gradient of each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import Drawing

from .blocks import as_map, record_outputs

CELL = 4  # pixels a side of the squares that gradients are kept for, the stride of most stems


@dataclass(frozen=True)
class ReceptiveField:
    """The effective receptive field of the central position of one block's output.

    Attributes:
        path: The block's path in the backbone.
        stage: From 1; a stage is a run of blocks of one map size.
        cell: Side in pixels of the squares that ``gradient`` has one entry for.
        gradient: Root mean square over images, of the sum over colors and a cell's pixels, of
            shape (H / cell, W / cell); the largest entry is 1.
    """

    path: str
    stage: int
    cell: int
    gradient: np.ndarray

    def area(self, share: float) -> float:
        """Find the smallest part of the image that holds ``share`` of the squared gradient.

        Both are fractions of 0 to 1.
        """
        energy = np.sort(self.gradient.ravel() ** 2)[::-1]
        within = np.cumsum(energy) / energy.sum()
        return float(np.searchsorted(within, share - 1e-9) + 1) / energy.size


def receptive_fields(
    backbone: nn.Module,
    blocks: Mapping[str, nn.Module],
    images: Iterable[Tensor],
    cell: int = CELL,
    seed: int = 0,
) -> list[ReceptiveField]:
    """Measure the effective receptive field of the center of each block's output.

    Takes one forward pass per image and one backward pass per block and image.

    Args:
        backbone: Called with each image.
        blocks: The blocks, see :func:`.blocks.stage_ends`.
        images: Normalized images of one size, (1, 3, H, W) each.
        cell: Side in pixels of the squares that the gradient is kept for.
        seed: Of the channels' random signs.

    Returns:
        One field per block, averaged over the images.

    Raises:
        ValueError: If there is no image.
    """
    generator = torch.Generator().manual_seed(seed)
    energies: dict[str, Tensor] = {}
    for image in images:
        given = image.detach().clone().requires_grad_()
        outputs = _central_outputs(backbone, blocks, given, generator)
        for i, (path, output) in enumerate(outputs.items()):
            more = i + 1 < len(outputs)
            (gradient,) = torch.autograd.grad(output, given, retain_graph=more)
            energy = _sum_over_cells(gradient.double().square().sum(dim=(0, 1)), cell)
            energies[path] = energies[path] + energy if path in energies else energy
    if not energies:
        raise ValueError('Give at least one image to average over.')
    return [
        ReceptiveField(path, stage, cell, (energy / energy.max()).sqrt().cpu().numpy())
        for stage, (path, energy) in enumerate(energies.items(), 1)
    ]


def _central_outputs(
    backbone: nn.Module,
    blocks: Mapping[str, nn.Module],
    image: Tensor,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Sum the channels of each output's central position with random signs."""
    size = (image.shape[2], image.shape[3])
    outputs: dict[str, Tensor] = {}

    def record(path: str, output: Any) -> None:
        maps = as_map(output, size)
        column = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2]
        signs = torch.randint(2, column.shape, generator=generator) * 2 - 1
        outputs[path] = (column * signs.to(column)).sum()

    with torch.enable_grad(), record_outputs(blocks, record):
        backbone(image)
    return outputs


def _sum_over_cells(energy: Tensor, cell: int) -> Tensor:
    # A last, cut cell is filled up with nothing.
    return F.avg_pool2d(energy[None], cell, ceil_mode=True, divisor_override=1)[0]


def draw_fields(models: Mapping[str, Sequence[ReceptiveField]]) -> Drawing:
    """Draw a row per model and a column per stage.

    Args:
        models: Fields by the model's title.
    """
    with plotting.style():
        columns = max(len(fields) for fields in models.values())
        figure = Figure(figsize=(2.3 * columns, 2.5 * len(models)))
        grid = figure.subplots(len(models), columns, squeeze=False)
        for row, (name, fields) in zip(grid, models.items(), strict=True):
            for axes, field in zip(row, fields, strict=False):
                image = _draw_field(axes, field)
            row[0].set_ylabel(name.replace(' (', '\n('))
            for axes in row[len(fields) :]:
                axes.remove()
        figure.colorbar(image, ax=figure.axes, label='log10 gradient', shrink=0.8)
    rows = [
        {
            'model': name,
            'stage': field.stage,
            'row in pixels': (i + 0.5) * field.cell,
            'column in pixels': (j + 0.5) * field.cell,
            'gradient, largest = 1': round(float(value), 5),
        }
        for name, fields in models.items()
        for field in fields
        for (i, j), value in np.ndenumerate(field.gradient)
    ]
    return Drawing(
        name='receptive_field',
        title='Effective receptive fields',
        figure=figure,
        rows=rows,
        shows=(
            'How strongly the central position at the end of each stage depends on each part of '
            'the image: the size of the gradient (Luo et al., NeurIPS 2016), averaged over images '
            'and random signs of the channels, over cells of 4 pixels. The colors are '
            'logarithmic: yellow is the largest value, dark blue a ten-thousandth of it. Above '
            'each map stands the smallest part of the image that holds half of the squared '
            'gradient.'
        ),
        shows_not=(
            'Which content the model uses: the gradient is a linear approximation at these '
            'images. With random weights the figure shows the architecture alone.'
        ),
    )


def _draw_field(axes: Axes, field: ReceptiveField) -> AxesImage:
    """Draw one field on a logarithmic color scale of four decades."""
    axes.grid(False)
    height, width = (n * field.cell for n in field.gradient.shape)
    image = axes.imshow(
        np.log10(np.maximum(field.gradient, 1e-4)),
        extent=(0, width, height, 0),
        cmap='cividis',
        vmin=-4,
        vmax=0,
        interpolation='nearest',
    )
    axes.set(xticks=[0, width], yticks=[0, height])
    axes.set_title(f'stage {field.stage}\nhalf in {100 * field.area(0.5):.2g} %')
    return image
