"""Responses of families of operators by window size: what the figures of the argument draw.

The paper (arXiv 2503.23947) argues that the window of a mixer, the connectivity of the nodes of
its graph, shapes the frequency response. The sweeps here are ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.progress import track

from .grid import Array, Grid
from .operators import (
    Rng,
    attention_matrix,
    box_kernel,
    distance_logits,
    laplacian_kernel,
    random_kernels,
    random_logits,
    window_mask,
)
from .spectrum import Response, circulant_response, dft_response

Sweep = dict[int, Response]
"""The responses of a batch of operators by window."""


@dataclass(frozen=True)
class RandomSweeps:
    """The responses of random operators on one torus.

    Attributes:
        grid: The nodes.
        non_negative: Convolutions with non-negative weights.
        signed: Convolutions with signed weights.
        attention: Attention of random queries and keys, also over all nodes.
        sharp: The same with logits four times as large.
    """

    grid: Grid
    non_negative: Sweep
    signed: Sweep
    attention: Sweep
    sharp: Sweep


def random_sweeps(
    side: int, windows: Sequence[int], kernels: int, heads: int, rng: Rng
) -> RandomSweeps:
    """Draw random operators for every window, behind progress bars.

    Args:
        side: Of the torus, in nodes.
        windows: Sides k of the windows, odd; attention is also taken over all nodes.
        kernels: Convolution kernels per window.
        heads: Attention matrices per window.
        rng: Source of the weights.
    """
    grid = Grid(side, side, periodic=True)
    non_negative, signed = (
        convolution_sweep(grid, windows, kernels, rng, signs) for signs in (False, True)
    )
    reaching = [*windows, side | 1]  # the first odd window that reaches all nodes
    attention = attention_sweep(grid, track(reaching, 'self-attention'), heads, rng)
    sharp = attention_sweep(
        grid, track(reaching, 'self-attention, logits x 4'), heads, rng, sharpness=4
    )
    return RandomSweeps(grid, non_negative, signed, attention, sharp)


def convolution_sweep(
    grid: Grid, windows: Sequence[int], draws: int, rng: Rng, signed: bool
) -> Sweep:
    """Draw ``draws`` kernels per window, with or without signs, and take their responses."""
    return {k: circulant_response(random_kernels(rng, draws, k, signed), grid) for k in windows}


def attention_sweep(
    grid: Grid, windows: Iterable[int], draws: int, rng: Rng, sharpness: float = 1.0
) -> Sweep:
    """Take the responses of attention matrices of random queries and keys per sliding window.

    Args:
        grid: The nodes; a window of twice its side reaches all of them.
        windows: Sides k of the windows, odd.
        draws: Matrices per window.
        rng: Source of queries and keys.
        sharpness: Standard deviation of the logits.
    """
    sweep = {}
    for k in windows:
        mask = window_mask(grid, k)
        sweep[k] = stack_responses(
            dft_response(attention_matrix(sharpness * random_logits(rng, grid), mask), grid)
            for _ in range(draws)
        )
    return sweep


def box_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Take the response of the mean over each window."""
    return {k: circulant_response(box_kernel(k), grid) for k in windows}


def laplacian_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Take the response of the center minus the mean over each window."""
    return {k: circulant_response(laplacian_kernel(k), grid) for k in windows}


def uniform_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Take the response of attention without preferences.

    Over a window that reaches all nodes only zero frequency is left.
    """
    return {k: _windowed(grid, np.zeros((grid.nodes, grid.nodes)), k) for k in windows}


def near_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Take the response of attention that falls with distance as a Gaussian of sigma k / 4."""
    return {k: _windowed(grid, distance_logits(grid, k / 4), k) for k in windows}


def stack_responses(responses: Iterable[Response]) -> Response:
    """Stack responses over the same frequencies into one batch."""
    given = list(responses)
    return Response(
        given[0].frequency,
        np.stack([r.gain for r in given]),
        np.stack([r.diagonal for r in given]),
        given[0].multiplicity,
    )


def _windowed(grid: Grid, logits: Array, window: int) -> Response:
    return dft_response(attention_matrix(logits, window_mask(grid, window)), grid)
