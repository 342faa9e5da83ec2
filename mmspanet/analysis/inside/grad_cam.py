"""Grad-CAM of classifiers, by the grad-cam package (pytorch_grad_cam).

After Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (ICCV 2017, arXiv 1610.02391): a block's maps, weighted by the mean gradient of a
class's logit, summed over channels, negative values cut.
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
from mmspanet.analysis.models import Model
from mmspanet.analysis.plotting import Drawing
from mmspanet.errors import InputError

from .blocks import as_map

STEP = 4  # pixels between the values that are kept


@dataclass(frozen=True)
class ClassActivation:
    """Where a classifier finds evidence for one class.

    Attributes:
        label: The class's name, or its number.
        probability: What the classifier gives it.
        strength: At every fourth pixel, (H / 4, W / 4), from 0 to 1.
    """

    label: str
    probability: float
    strength: np.ndarray


def grad_cam(model: Model, layer: nn.Module, image: Tensor) -> ClassActivation:
    """Compute Grad-CAM of the class that the model predicts, at one layer.

    Args:
        model: A classifier.
        layer: A block; the usual choice is the last. If a class token makes the decision, take
            the first norm of the last block: the gradient at the patches of its output is 0.
        image: One normalized image, (1, 3, H, W).

    Returns:
        The map with the predicted class.

    Raises:
        InputError: If the model is no classifier, or the package is not installed.
    """
    if not model.is_classifier:
        raise InputError(f'Grad-CAM needs a classifier, which {model.name} is not.')
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as error:
        raise InputError("Grad-CAM needs the package grad-cam: pip install 'grad-cam'.") from error
    size = (image.shape[2], image.shape[3])
    # The package differentiates from the input on; the weights need no gradient.
    leaf = image.detach().clone().requires_grad_()
    with (
        torch.enable_grad(),
        GradCAM(model.network, [layer], lambda output: as_map(output, size)) as cam,
    ):
        # The map is upsampled bilinearly: every fourth pixel holds all of it.
        strength = cam(leaf, targets=None)[0][2::STEP, 2::STEP]
        probabilities = cam.outputs[0].detach().softmax(dim=0)
    best = int(probabilities.argmax())
    label = model.classes[best] if best < len(model.classes) else f'class {best}'
    return ClassActivation(label, float(probabilities[best]), strength)


def draw_cams(
    pictures: Sequence[Picture],
    layers: Sequence[str],
    cams: Sequence[Sequence[ClassActivation]],
) -> Drawing:
    """Draw a row per image: the image, named with the prediction, then its map at each layer.

    Args:
        pictures: At least one.
        layers: Names of the layers.
        cams: Of each picture, one per layer.
    """
    with plotting.style():
        figure = Figure(figsize=(1.6 * len(layers) + 2.2, 1.9 * len(pictures)))
        grid = figure.subplots(len(pictures), len(layers) + 1, squeeze=False)
        for row, picture, of_picture in zip(grid, pictures, cams, strict=True):
            best = of_picture[0]
            title = f'{picture.name}\n{best.label} ({best.probability:.2f})'
            plotting.draw_pixels(row[0], picture.pixels, title)
            for axes, layer, cam in zip(row[1:], layers, of_picture, strict=True):
                image = _draw_overlay(axes, picture.pixels, cam, layer)
        figure.colorbar(image, ax=grid, label='Grad-CAM, largest = 1', shrink=0.6)
    rows = [
        {
            'image': picture.name,
            'layer': layer,
            'class': cam.label,
            'probability': round(cam.probability, 4),
            'row in pixels': STEP * i + 2,
            'column in pixels': STEP * j + 2,
            'Grad-CAM': round(float(value), 4),
        }
        for picture, of_picture in zip(pictures, cams, strict=True)
        for layer, cam in zip(layers, of_picture, strict=True)
        for (i, j), value in np.ndenumerate(cam.strength)
    ]
    return Drawing(
        name='grad_cam',
        title='Grad-CAM',
        figure=figure,
        rows=rows,
        shows=(
            'Where each layer holds evidence for the predicted class (Selvaraju et al., ICCV '
            '2017; the usual choice is the last stage). Light is the largest value of a map, '
            'dark is none.'
        ),
        shows_not=(
            'How much evidence there is: every map is scaled to its own largest value. Maps of '
            'the last stage have few positions and are drawn smooth.'
        ),
    )


def _draw_overlay(axes: Axes, pixels: Tensor, cam: ClassActivation, title: str) -> AxesImage:
    """Draw a map over its image, which is shown in gray."""
    gray = pixels.float().mean(dim=0)[None].expand(3, -1, -1).to(torch.uint8)
    plotting.draw_pixels(axes, gray, title)
    height, width = pixels.shape[1:]
    return axes.imshow(
        cam.strength,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap='inferno',
        alpha=0.55,
        vmin=0,
        vmax=1,
        interpolation='bilinear',
    )
