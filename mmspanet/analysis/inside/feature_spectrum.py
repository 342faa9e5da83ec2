"""Relative log amplitude: how much of each frequency a block's output holds.

After Park and Kim, "How Do Vision Transformers Work?" (ICLR 2022, arXiv 2202.06709): the
logarithm of the feature maps' Fourier amplitude, minus its value at zero frequency. A block whose
curve falls off steeply leaves little beside the mean: it acts as a low-pass filter.

Two profiles are offered: their half-diagonal and the mean over rings of equal radius. On a map of
n positions, index k stands for k / n cycles per position, so 0.5 is the Nyquist frequency and a map
of odd size ends before it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import Drawing

from .blocks import as_map, record_outputs

EPS = 1e-6  # as in the code of Park and Kim
NYQUIST = 0.5  # cycles per position
Y_LABEL = 'relative log amplitude'

Profile = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def log_amplitude(maps: Tensor) -> np.ndarray:
    """Mean over batch and channels of ln(|FFT| + 1e-6).

    Args:
        maps: Real maps of shape (B, C, H, W).

    Returns:
        (H, W) float64, in the order of the FFT: zero frequency first.
    """
    spectrum = torch.fft.fft2(maps.detach().to(_fft_dtype(maps)))
    return (spectrum.abs() + EPS).log().double().mean(dim=(0, 1)).cpu().numpy()


def radial_profile(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over rings of equal radius, from zero frequency to Nyquist.

    Ring k holds the frequencies whose radius rounds to k / n cycles per position, n the shorter
    side; corners beyond Nyquist are left out.

    Args:
        plane: (H, W), in the order of the FFT.

    Returns:
        Frequencies in cycles per position and the means, both of shape (n // 2 + 1,).
    """
    n = min(plane.shape)
    y, x = (np.fft.fftfreq(side) for side in plane.shape)
    ring = np.floor(np.hypot(y[:, None], x) * n + 0.5).astype(int)
    inside = ring <= n // 2
    sums = np.bincount(ring[inside], plane[inside])
    return np.arange(n // 2 + 1) / n, sums / np.bincount(ring[inside])


def diagonal_profile(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The half-diagonal of Park and Kim, from zero frequency to Nyquist along both axes.

    Args:
        plane: (H, W), in the order of the FFT.

    Returns:
        Frequencies along each axis in cycles per position, and the values, (n // 2 + 1,) both,
        n the shorter side.
    """
    n = min(plane.shape)
    k = np.arange(n // 2 + 1)
    rows, columns = (np.rint(k * side / n).astype(int) for side in plane.shape)
    return k / n, plane[rows, columns]


PROFILES: dict[str, Profile] = dict(radial=radial_profile, diagonal=diagonal_profile)


@dataclass(frozen=True)
class BlockSpectrum:
    """Relative log amplitude of one block's output.

    Attributes:
        path: The block's path in the backbone.
        block: Its number among all blocks, from 1.
        stage: From 1; a stage is a run of blocks of one stride.
        stride: Pixels of the input per position.
        frequency: Cycles per position, 0 to :data:`NYQUIST`; shape (n,).
        amplitude: ln amplitude minus that at zero frequency; shape (n,).
    """

    path: str
    block: int
    stage: int
    stride: float
    frequency: np.ndarray
    amplitude: np.ndarray

    @property
    def at_end(self) -> float:
        """The value at the highest frequency, Nyquist where the map's side is even."""
        return float(self.amplitude[-1])


@dataclass
class _Mean:
    """The running mean of a block's profile."""

    stride: float
    frequency: np.ndarray
    total: np.ndarray
    count: int = 0

    def add(self, frequency: np.ndarray, values: np.ndarray, count: int) -> None:
        # Maps of other sizes are read at the frequencies of the first.
        self.total += count * np.interp(self.frequency, frequency, values)
        self.count += count


def feature_spectrum(
    backbone: nn.Module,
    blocks: dict[str, nn.Module],
    batches: Iterable[Tensor],
    profile: Profile = radial_profile,
) -> list[BlockSpectrum]:
    """Measure the relative log amplitude of the outputs of ``blocks``, averaged over images.

    Holds one batch at a time and one profile per block. Every image counts alike. Batches of
    another size than the first are interpolated to the frequencies of the first.

    Args:
        backbone: Called with every batch, without gradients.
        blocks: Modules of the backbone by their paths, see :func:`.blocks.find_blocks`.
        batches: Normalized images, (B, 3, H, W) each.
        profile: :func:`radial_profile` or :func:`diagonal_profile`.

    Returns:
        One entry per block that was called, in the order of the first call. Blocks with a map of
        one position have no spectrum and are left out.

    Raises:
        InputError: If a block returns neither maps nor tokens.
        ValueError: If there is no batch.
    """
    means: dict[str, _Mean] = {}
    size = (0, 0)

    def record(path: str, output: Any) -> None:
        maps = as_map(output, size)
        if min(maps.shape[2:]) < 2:
            return
        frequency, values = profile(log_amplitude(maps))
        if path not in means:
            stride = math.sqrt(size[0] * size[1] / (maps.shape[2] * maps.shape[3]))
            means[path] = _Mean(stride, frequency, np.zeros_like(values))
        means[path].add(frequency, values, maps.shape[0])

    with torch.no_grad(), record_outputs(blocks, record):
        for batch in batches:
            size = (batch.shape[2], batch.shape[3])
            backbone(batch)
    if not means:
        raise ValueError('No batch of images came, or no block had a map of 2 x 2 or more.')
    return _by_stage(means)


def _by_stage(means: dict[str, _Mean]) -> list[BlockSpectrum]:
    spectra: list[BlockSpectrum] = []
    for path, mean in means.items():
        values = mean.total / mean.count
        before = spectra[-1] if spectra else None
        stage = before.stage if before else 1
        if before and round(before.stride) != round(mean.stride):
            stage += 1
        spectra.append(
            BlockSpectrum(
                path=path,
                block=len(spectra) + 1,
                stage=stage,
                stride=mean.stride,
                frequency=mean.frequency,
                amplitude=values - values[0],
            )
        )
    return spectra


def draw_models(models: Mapping[str, Sequence[BlockSpectrum]]) -> Drawing:
    """Draw a panel per model, and one that compares them over depth.

    Args:
        models: Spectra by the model's title.
    """
    columns = min(len(models) + 1, 2)
    lines = math.ceil((len(models) + 1) / columns)
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.3 * lines))
        panels = list(figure.subplots(lines, columns, squeeze=False).flat)
        low = min(s.amplitude.min() for spectra in models.values() for s in spectra)
        high = max(s.amplitude.max() for spectra in models.values() for s in spectra)
        margin = 0.05 * (high - low)
        for axes, (title, spectra) in zip(panels, models.items(), strict=False):
            _draw_spectra(axes, spectra, title)
        _draw_depth(panels[len(models)], models)
        for axes in panels[: len(models) + 1]:
            axes.set_ylim(low - margin, high + margin)
        for axes in panels[len(models) + 1 :]:
            axes.remove()
    return Drawing(
        name='feature_spectrum',
        title='Relative log amplitude of the blocks',
        figure=figure,
        rows=_rows(models),
        shows=(
            "The natural logarithm of the Fourier amplitude of each block's output, minus its "
            'value at zero frequency, as a mean over channels, images and frequencies (Park and '
            'Kim, ICLR 2022; they draw the diagonal). Dark curves are early blocks, light ones '
            'late blocks. A steeper curve means that less is left beside the mean, as behind a '
            'low-pass filter.'
        ),
        shows_not=(
            'What a block does to its input: the curve includes skip connections and all earlier '
            'blocks. Curves of maps of different sizes can not be compared point by point, since '
            'each ends at the Nyquist frequency of its own map. Random weights show what the '
            'architecture does before training, and nothing about the trained model.'
        ),
    )


def _draw_spectra(axes: Axes, spectra: Sequence[BlockSpectrum], title: str) -> None:
    """Draw a curve per block, colored by depth; the legend gives each stage's Nyquist."""
    colors = plotting.sequence_colors(len(spectra))
    for spectrum, color in zip(spectra, colors, strict=True):
        last = spectrum.block == len(spectra) or spectra[spectrum.block].stage != spectrum.stage
        axes.plot(
            spectrum.frequency / NYQUIST,
            spectrum.amplitude,
            color=color,
            linewidth=1.8 if last else 0.9,
            label=_stage_label(spectra, spectrum.stage) if last else None,
        )
    axes.axvline(1, color='0.5', linewidth=0.8, linestyle=':')
    axes.set(xlabel='frequency / Nyquist of the map', ylabel=Y_LABEL, xlim=(0, 1.02))
    axes.set_title(title.replace(' (', '\n('))  # a remark goes below a name of any length
    _legend_below(axes, 'Nyquist of the maps in cycles per pixel')


def _draw_depth(axes: Axes, models: Mapping[str, Sequence[BlockSpectrum]]) -> None:
    """Draw the value at the highest frequency against depth, a line per model."""
    for (title, spectra), color, marker in zip(
        models.items(), cycle(plotting.COLORS), cycle('osD^vP'), strict=False
    ):
        depth = [s.block / len(spectra) for s in spectra]
        values = [s.at_end for s in spectra]
        axes.plot(depth, values, color=color, marker=marker, label=title)
    axes.set(
        xlabel='block number / number of blocks',
        ylabel=Y_LABEL,
        xlim=(0, 1.02),
        title='at the highest frequency',
    )
    _legend_below(axes, None)


def _rows(models: Mapping[str, Sequence[BlockSpectrum]]) -> list[dict[str, Any]]:
    return [
        {
            'model': title,
            'path': spectrum.path,
            'block': spectrum.block,
            'stage': spectrum.stage,
            'stride in pixels': round(spectrum.stride, 3),
            'frequency in cycles per position': round(float(frequency), 6),
            'frequency in cycles per pixel': round(float(frequency / spectrum.stride), 6),
            'relative log amplitude': round(float(value), 6),
        }
        for title, spectra in models.items()
        for spectrum in spectra
        for frequency, value in zip(spectrum.frequency, spectrum.amplitude, strict=True)
    ]


def _legend_below(axes: Axes, title: str | None) -> None:
    axes.legend(
        loc='upper center',
        bbox_to_anchor=(0.5, -0.2),
        borderaxespad=0,
        ncols=2 if title else 1,
        columnspacing=1,
        title=title,
    )


def _stage_label(spectra: Sequence[BlockSpectrum], stage: int) -> str:
    of_stage = [s for s in spectra if s.stage == stage]
    first, last = of_stage[0].block, of_stage[-1].block
    blocks = f'block {first}' if first == last else f'blocks {first}-{last}'
    return f'{blocks}: 1/{2 * of_stage[0].stride:.3g}'


def _fft_dtype(maps: Tensor) -> torch.dtype:
    return torch.float64 if maps.dtype == torch.float64 else torch.float32
