"""What the spectral re-scaling filters (SRF) of a SPANetV2 let pass: their gains by frequency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import nn

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import Drawing
from mmspanet.errors import InputError
from mmspanet.models import SpectralRescalingFilter
from mmspanet.models.deploy import FixedSRF

from .feature_spectrum import NYQUIST, radial_profile
from .spam_response import SPAMS, find_backbone, raw_filter, rescaling_gain

INITIAL = 0.5  # sigmoid(0), about which every filter starts (raw values of std 0.02)


@dataclass(frozen=True)
class HeadGain:
    """The mean gain of one head in one stage, over the head's channels and the stage's blocks.

    Attributes:
        stage: From 1.
        head: From 1.
        kernel_size: Of the head's depthwise convolution.
        gain: (H, W) on the whole plane of frequencies, zero frequency first.
        spread: Standard deviation over channels and blocks, (H, W).
    """

    stage: int
    head: int
    kernel_size: int
    gain: np.ndarray
    spread: np.ndarray

    @property
    def label(self) -> str:
        """How figures call it."""
        return f'head {self.head}, {self.kernel_size}x{self.kernel_size}'


def head_gains(model: nn.Module) -> list[HeadGain]:
    """Average the gains per stage and head of a SPANetV2, at the size its filters are stored for.

    A half plane of n columns belongs to maps of 2n - 2 or 2n - 1 columns: to the latter where the
    map is that high, too.

    Raises:
        InputError: If the model has no SPAM mixer.
    """
    gains = []
    for number, stage in enumerate(find_backbone(model).stages, 1):
        spams = [m for m in stage.modules() if isinstance(m, SPAMS)]
        if not spams:
            continue
        planes = np.stack([rescaling_gain(spam.srf, _stored_size(spam.srf)) for spam in spams])
        convs: Any = spams[0].convs
        kernels = [conv.kernel_size[0] for conv in convs]
        for head, of_head in enumerate(np.split(planes, len(kernels), axis=1), 1):
            mean, spread = of_head.mean(axis=(0, 1)), of_head.std(axis=(0, 1))
            gains.append(HeadGain(number, head, kernels[head - 1], mean, spread))
    if not gains:
        raise InputError('The model has no SPAM mixer: choose a SPANetV2 with SPAM in a stage.')
    return gains


def draw_gains(gains: Sequence[HeadGain]) -> Drawing:
    """Draw a row per stage: the maps of its heads, then their means over rings of frequency."""
    stages = sorted({gain.stage for gain in gains})
    heads = max(gain.head for gain in gains)
    limit = color_limit(gains)
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH * 1.5, 2.3 * len(stages)))
        grid = figure.subplots(
            len(stages), heads + 1, squeeze=False, width_ratios=[1] * heads + [1.7]
        )
        for row, stage in zip(grid, stages, strict=True):
            of_stage = [gain for gain in gains if gain.stage == stage]
            for axes, gain in zip(row, of_stage, strict=False):
                image = _draw_map(axes, gain, limit)
            row[0].set_ylabel('cycles per position')
            _draw_profiles(row[-1], of_stage)
        for axes in grid[-1][:-1]:
            axes.set_xlabel('cycles per position')
        handles, labels = grid[0][-1].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower right', ncols=5)
        figure.colorbar(image, ax=grid[:, heads - 1], label='mean gain', shrink=0.6)
    return Drawing(
        name='srf_gains',
        title='Gains of the spectral re-scaling filters',
        figure=figure,
        rows=[row for gain in gains for row in (*_map_rows(gain), *_profile_rows(gain))],
        shows=(
            'What each filter multiplies a frequency by: the mean over the channels of a head and '
            'the blocks of a stage. Zero frequency is in the middle of a map. All gains start at '
            '0.5, which is white; orange is more, purple is less, at most '
            f'{limit:.4f} away from it. On the right: means over rings of equal frequency.'
        ),
        shows_not=(
            'The whole mixer: a convolution precedes the filter, and the modulator that it feeds '
            'multiplies a query. A mean near 0.5 can hide channels that differ.'
        ),
    )


def color_limit(gains: Sequence[HeadGain]) -> float:
    """Find the largest distance of a mean gain from 0.5."""
    return max(float(np.abs(gain.gain - INITIAL).max()) for gain in gains)


def _draw_profiles(axes: Axes, gains: Sequence[HeadGain]) -> None:
    """Draw the radial mean of each head's gain in one stage, against the initial 0.5."""
    for gain, color in zip(gains, plotting.COLORS, strict=False):
        frequency, values = radial_profile(gain.gain)
        axes.plot(frequency / NYQUIST, values, color=color, marker='o', label=gain.label)
    axes.axhline(INITIAL, color='0.5', linewidth=0.8, linestyle=':', label='initial 0.5')
    axes.set(
        xlabel='frequency / Nyquist of the map',
        ylabel='mean gain',
        xlim=(0, 1.02),
        title=f'stage {gains[0].stage}',
    )


def _draw_map(axes: Axes, gain: HeadGain, limit: float) -> AxesImage:
    """Draw a head's mean gain on the plane of frequencies; ``limit`` ends the color scale."""
    height, width = gain.gain.shape
    axes.grid(False)
    image = axes.imshow(
        np.fft.fftshift(gain.gain),
        # Pixel edges, so that zero frequency is the middle of its pixel.
        extent=(*_edges(width), *_edges(height)[::-1]),
        cmap='PuOr_r',
        vmin=INITIAL - limit,
        vmax=INITIAL + limit,
        interpolation='nearest',
        aspect='equal',
    )
    axes.set(xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5])
    axes.set_title(f'stage {gain.stage}, {gain.label}')
    return image


def _map_rows(gain: HeadGain) -> list[dict[str, Any]]:
    """List the values of a head's map, one row per frequency."""
    ky, kx = (np.fft.fftfreq(side) for side in gain.gain.shape)
    return [
        _row(
            gain,
            'map',
            np.hypot(ky[i], kx[j]),
            value,
            ky=round(float(ky[i]), 6),
            kx=round(float(kx[j]), 6),
            spread=round(float(gain.spread[i, j]), 6),
        )
        for (i, j), value in np.ndenumerate(gain.gain)
    ]


def _profile_rows(gain: HeadGain) -> list[dict[str, Any]]:
    """List the values of a head's profile, one row per ring."""
    frequency, values = radial_profile(gain.gain)
    return [_row(gain, 'profile', f, v) for f, v in zip(frequency, values, strict=True)]


def _row(
    gain: HeadGain,
    drawn_as: str,
    radius: float,
    value: float,
    ky: float | str = '',
    kx: float | str = '',
    spread: float | str = '',
) -> dict[str, Any]:
    return {
        'stage': gain.stage,
        'head': gain.head,
        'kernel_size': gain.kernel_size,
        'drawn as': drawn_as,
        'ky in cycles per position': ky,
        'kx in cycles per position': kx,
        'radius in cycles per position': round(float(radius), 6),
        'mean gain': round(float(value), 6),
        'standard deviation': spread,
    }


def _stored_size(srf: SpectralRescalingFilter | FixedSRF) -> tuple[int, int]:
    height, half = raw_filter(srf).shape[1:]
    odd = 2 * half - 1
    return height, odd if height == odd else 2 * half - 2


def _edges(side: int) -> tuple[float, float]:
    shifted = np.fft.fftshift(np.fft.fftfreq(side))
    return float(shifted[0] - 0.5 / side), float(shifted[-1] + 0.5 / side)
