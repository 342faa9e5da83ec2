"""Grad-CAM of classifiers, by the grad-cam package (pytorch_grad_cam).

After Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (ICCV 2017, arXiv 1610.02391): a block's maps, weighted by the mean gradient of a
class's logit, summed over channels, negative values cut.
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
from mmspanet.analysis.models import Model
from mmspanet.errors import InputError

from .blocks import as_map
from .modulators import draw_picture

STEP = 4  # pixels between the values that are kept


@dataclass(frozen=True)
class ClassActivation:
    """Where a classifier finds the evidence for one class.

    Attributes:
        label: The class's name, or its number.
        probability: What the classifier gives it.
        strength: At every fourth pixel, (H / 4, W / 4), from 0 to 1.
    """

    label: str
    probability: float
    strength: np.ndarray


def grad_cam(model: Model, layer: nn.Module, image: Tensor) -> ClassActivation:
    """Grad-CAM of the class that the model predicts, at one layer.

    Args:
        model: A classifier.
        layer: A block; the usual choice is the last. If a class token makes the decision, take
            the first norm of the last block: the gradient at the patches of its output is 0.
        image: One normalized image, (1, 3, H, W).

    Raises:
        InputError: If the model is no classifier, or the package is not installed.
    """
    if not model.is_classifier:
        raise InputError(f'Grad-CAM needs a classifier, and {model.name} is none.')
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as error:
        raise InputError("Grad-CAM needs the package grad-cam: pip install 'grad-cam'.") from error
    size = (image.shape[2], image.shape[3])
    # The package differentiates from the input on; the weights need no gradient.
    given = image.detach().clone().requires_grad_()
    with (
        torch.enable_grad(),
        GradCAM(model.network, [layer], lambda output: as_map(output, size)) as cam,
    ):
        # The map is upsampled bilinearly: every fourth pixel holds all of it.
        strength = cam(given, targets=None)[0][2::STEP, 2::STEP]
        probabilities = cam.outputs[0].detach().softmax(dim=0)
    best = int(probabilities.argmax())
    label = model.classes[best] if best < len(model.classes) else f'class {best}'
    return ClassActivation(label, float(probabilities[best]), strength)


def draw_cam(axes: Axes, picture: Tensor, cam: ClassActivation, title: str) -> Any:
    """A cam over its image, (3, H, W) uint8 RGB; the drawn overlay."""
    gray = picture.float().mean(dim=0)[None].expand(3, -1, -1).to(torch.uint8)
    draw_picture(axes, gray, title)
    height, width = picture.shape[1:]
    return axes.imshow(
        cam.strength,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        cmap='inferno',
        alpha=0.55,
        vmin=0,
        vmax=1,
        interpolation='bilinear',
    )


def prediction(cam: ClassActivation) -> str:
    """The predicted class and its probability."""
    return f'{cam.label} ({cam.probability:.2f})'


def draw_cams(
    pictures: Sequence[Tensor],
    names: Sequence[str],
    layers: Sequence[str],
    cams: Sequence[Sequence[ClassActivation]],
) -> Figure:
    """A row per image: the image, named with the prediction, then its cam at each layer."""
    with plotting.style():
        figure = Figure(figsize=(1.6 * len(layers) + 2.2, 1.9 * len(pictures)))
        rows = figure.subplots(len(pictures), len(layers) + 1, squeeze=False)
        for row, picture, name, own in zip(rows, pictures, names, cams, strict=True):
            draw_picture(row[0], picture, f'{name}\n{prediction(own[0])}')
            for axes, layer, cam in zip(row[1:], layers, own, strict=True):
                image = draw_cam(axes, picture, cam, layer)
        figure.colorbar(image, ax=rows, label='Grad-CAM, largest = 1', shrink=0.6)
    return figure


def table(
    names: Sequence[str], layers: Sequence[str], cams: Sequence[Sequence[ClassActivation]]
) -> list[dict[str, Any]]:
    """What :func:`draw_cams` draws, one row per value."""
    return [
        {
            'image': name,
            'layer': layer,
            'class': cam.label,
            'probability': round(cam.probability, 4),
            'row in pixels': STEP * i + 2,
            'column in pixels': STEP * j + 2,
            'Grad-CAM': round(float(value), 4),
        }
        for name, own in zip(names, cams, strict=True)
        for layer, cam in zip(layers, own, strict=True)
        for (i, j), value in np.ndenumerate(cam.strength)
    ]
