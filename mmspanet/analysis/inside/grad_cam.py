"""Grad-CAM and its kin, by the grad-cam package (pytorch_grad_cam).

A layer's maps are weighted by the gradient of the number that explains a finding
(:mod:`.findings`), summed over channels, and negative values are cut. The methods of
:data:`METHODS` differ in the weights:

- grad-cam: the gradient's mean over all positions (Selvaraju et al., "Grad-CAM: Visual Explanations
  from Deep Networks via Gradient-based Localization", ICCV 2017, arXiv 1610.02391);
- hires-cam: the gradient at each position (Draelos and Carin, "Use HiResCAM instead of Grad-CAM
  for faithful explanations of convolutional neural networks", arXiv 2011.08891);
- layer-cam: its positive part at each position (Jiang et al., "LayerCAM: Exploring Hierarchical
  Class Activation Maps for Localization", IEEE TIP 2021).

XGrad-CAM is left out: it divides by the sum of a map, which may be near zero where maps have both
signs, as the ends of our stages do.

One mean over all positions forgets where a box is, so boxes and regions take hires-cam by default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from mmspanet.analysis import plotting
from mmspanet.analysis.images import Picture
from mmspanet.analysis.plotting import Drawing
from mmspanet.errors import InputError

from .blocks import as_map
from .findings import Finding

STEP = 4  # pixels between the values that are kept
# Names of the methods and of their classes in pytorch_grad_cam.
METHODS = {
    'grad-cam': 'GradCAM',
    'hires-cam': 'HiResCAM',
    'layer-cam': 'LayerCAM',
}


@dataclass(frozen=True)
class Activation:
    """Where a layer holds evidence for a finding.

    Attributes:
        finding: What is explained.
        method: A key of :data:`METHODS`.
        strength: At every fourth pixel, (H / 4, W / 4), from 0 to 1.
    """

    finding: Finding
    method: str
    strength: np.ndarray

    @property
    def share_inside(self) -> float:
        """The share of the strength that lies in the finding's region, 0 to 1.

        The "energy-based pointing game" of Wang et al., "Score-CAM" (CVPR Workshops 2020).
        """
        inside = self.finding.region[STEP // 2 :: STEP, STEP // 2 :: STEP]
        return float(self.strength[inside].sum() / max(self.strength.sum(), 1e-12))


def grad_cam(
    finding: Finding, layer: nn.Module, image: Tensor, method: str | None = None
) -> Activation:
    """Compute the evidence of one layer for one finding.

    Args:
        finding: See :func:`.findings.findings`.
        layer: A block; for a class the usual choice is the last. If a class token makes the
            decision, take the first norm of the last block: the gradient at the patches of its
            output is 0.
        image: The normalized image that it was found in, (1, 3, H, W).
        method: A key of :data:`METHODS`; None takes grad-cam for a class and hires-cam for what
            has a place.

    Raises:
        InputError: If the package is not installed.
    """
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise InputError("Grad-CAM needs the package grad-cam: pip install 'grad-cam'.") from error
    method = method or ('hires-cam' if finding.has_place else 'grad-cam')
    size = (image.shape[2], image.shape[3])
    # The package differentiates from the input on; the weights need no gradient.
    leaf = image.detach().clone().requires_grad_()
    with (
        torch.enable_grad(),
        getattr(pytorch_grad_cam, METHODS[method])(
            finding.network, [layer], lambda output: as_map(output, size)
        ) as cam,
    ):
        # The map is upsampled bilinearly: every fourth pixel holds all of it.
        strength = cam(leaf, targets=[finding.explained])[0][STEP // 2 :: STEP, STEP // 2 :: STEP]
    return Activation(finding, method, strength)


@dataclass(frozen=True)
class Explained:
    """One finding in an image, with its evidence at some layers.

    Attributes:
        picture: The image.
        activations: Of the layers, in their order.
    """

    picture: Picture
    activations: Sequence[Activation]


def draw_cams(layers: Sequence[str], rows: Sequence[Explained]) -> Drawing:
    """Draw a row per finding: the image with its outline, then its map at each layer.

    Args:
        layers: Names of the layers.
        rows: At least one.
    """
    with plotting.style():
        figure = Figure(figsize=(1.6 * len(layers) + 2.2, 1.9 * len(rows)))
        grid = figure.subplots(len(rows), len(layers) + 1, squeeze=False)
        for axes_row, row in zip(grid, rows, strict=True):
            finding = row.activations[0].finding
            title = f'{row.picture.name}\n{finding.label} ({finding.score:.2f})'
            plotting.draw_pixels(axes_row[0], row.picture.pixels, title)
            _draw_outline(axes_row[0], finding)
            for axes, layer, activation in zip(axes_row[1:], layers, row.activations, strict=True):
                image = _draw_overlay(axes, row.picture.pixels, activation, layer)
                _draw_outline(axes, finding)
        methods = ', '.join(dict.fromkeys(a.method for row in rows for a in row.activations))
        figure.colorbar(image, ax=grid, label=f'{methods}, largest = 1', shrink=0.6)
    return Drawing(
        name='grad_cam',
        title='Grad-CAM',
        figure=figure,
        rows=[record for row in rows for record in _records(layers, row)],
        shows=(
            f'Where each layer holds evidence for a finding, by {methods}: for the class of an '
            'image, for a box (its class at the place where it was detected) or for the region '
            'of a class, outlined. Light is the largest value of a map, dark is none.'
        ),
        shows_not=(
            'How much evidence there is: every map is scaled to its own largest value. Maps of '
            'the last stage have few positions and are drawn smooth.'
        ),
    )


def _records(layers: Sequence[str], row: Explained) -> list[dict[str, object]]:
    return [
        {
            'image': row.picture.name,
            'layer': layer,
            'method': activation.method,
            'class': activation.finding.label,
            'score': round(activation.finding.score, 4),
            'share inside': round(activation.share_inside, 4),
            'row in pixels': STEP * i + STEP // 2,
            'column in pixels': STEP * j + STEP // 2,
            'strength': round(float(value), 4),
        }
        for layer, activation in zip(layers, row.activations, strict=True)
        for (i, j), value in np.ndenumerate(activation.strength)
    ]


def _draw_outline(axes: Axes, finding: Finding) -> None:
    """Draw the border of a finding that has a place."""
    if finding.has_place:
        axes.contour(finding.region, levels=[0.5], colors='white', linewidths=0.8)


def _draw_overlay(axes: Axes, pixels: Tensor, activation: Activation, title: str) -> AxesImage:
    """Draw a map over its image, which is shown in gray."""
    gray = pixels.float().mean(dim=0)[None].expand(3, -1, -1).to(torch.uint8)
    plotting.draw_pixels(axes, gray, title)
    height, width = pixels.shape[1:]
    return axes.imshow(
        activation.strength,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap='inferno',
        alpha=0.55,
        vmin=0,
        vmax=1,
        interpolation='bilinear',
    )
