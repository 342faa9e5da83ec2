"""The figures of the argument: window size, signs and eigenbasis in one graph-spectral frame.

The figures are ours, see :mod:`.sweeps`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import Drawing

from .grid import CROSS, Array, Grid, convolution_matrix, laplacian
from .operators import (
    Rng,
    attention_matrix,
    box_kernel,
    laplacian_kernel,
    random_logits,
    window_mask,
)
from .spectrum import (
    Response,
    circulant_eigenbasis_response,
    circulant_response,
    eigenbasis_response,
)
from .sweeps import (
    RandomSweeps,
    box_sweep,
    laplacian_sweep,
    near_sweep,
    uniform_sweep,
)

Rows = list[dict[str, Any]]

FREQUENCY = 'frequency (1 = Nyquist)'
RELATIVE_GAIN = 'gain (1 = identity)'


def draw_windows(sweeps: RandomSweeps) -> Drawing:
    """Draw response against window size, convolution and self-attention side by side."""
    rows: Rows = []
    grid, convolution = sweeps.grid, sweeps.non_negative
    attention, sharp = sweeps.attention, sweeps.sharp
    box, uniform, near = (
        box_sweep(grid, convolution),
        uniform_sweep(grid, attention),
        near_sweep(grid, attention),
    )
    filter_part = {k: response.filter_part() for k, response in sharp.items()}
    colors = dict(zip(attention, plotting.sequence_colors(len(attention)), strict=True))
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 5.6))
        (top_left, top_right), (left, right) = figure.subplots(2, 2, sharey='row')
        top_left.set_title('convolution, random non-negative weights')
        top_right.set_title('self-attention in windows, random queries, keys')
        for axes, sweep in ((top_left, convolution), (top_right, attention)):
            for k, response in sweep.items():
                frequency, gain = mean_profile(response, grid)
                axes.plot(frequency, gain / gain[0], color=colors[k], label=_window_name(k, grid))
                rows += [
                    _row(panel=axes.get_title(), window=k, frequency=f, gain=g)
                    for f, g in zip(frequency, gain / gain[0], strict=True)
                ]
            axes.set_yscale('log')
            axes.set_xlabel(FREQUENCY)
        top_right.legend(title='window k', ncols=2)
        top_left.set_ylabel('gain (zero frequency = 1)')
        for axes, name, sweep, color, marker in (
            (left, 'random', convolution, plotting.BLUE, 'o'),
            (left, 'box', box, plotting.GREEN, 's'),
            (right, 'sharp (logits x 4)', sharp, plotting.VERMILION, 'v'),
            (right, 'random', attention, plotting.BLUE, 'o'),
            (right, 'sharp, filter part', filter_part, plotting.ORANGE, '^'),
            (right, 'uniform (as box)', uniform, plotting.GREEN, 's'),
            (right, 'near (sigma = k / 4)', near, plotting.PURPLE, 'D'),
        ):
            values = {k: r.high_frequency_gain() for k, r in sweep.items()}
            panel = 'convolution' if axes is left else 'self-attention'
            rows += _draw_quantiles(axes, values, grid, name, color, marker, panel)
        left.set_ylabel('mean gain above half Nyquist\n(zero frequency = 1)')
        for axes in (left, right):
            axes.set_yscale('log')
            axes.set_ylim(1e-4, 1.2)
            axes.set_xlabel('window k')
            axes.legend(loc='lower left')
    return Drawing(
        name='windows',
        title='Window size: convolution and self-attention as operators on a grid graph',
        figure=figure,
        rows=rows,
        shows=(
            f'Gain by frequency of random operators on a torus of {grid.height} x {grid.width} '
            'positions, and below it their mean gain above half Nyquist, for windows of k x k '
            'positions. Both kinds of operator stand in one frame: positions are nodes of a '
            'graph, and a window is its connectivity. Attention scatters a part of its input to '
            'other frequencies; its filter part is what stays. Bands hold 90 % of the draws.'
        ),
        shows_not=(
            'A trained network. The construction is ours; the paper does not specify its own.'
        ),
    )


def draw_signs(
    sweeps: RandomSweeps, kernels: Mapping[int, Array], kernels_name: str = ''
) -> Drawing:
    """Draw the response against window size with non-negative and with signed weights.

    Args:
        sweeps: The random convolutions.
        kernels: A model's kernels by window, see
            :func:`~mmspanet.analysis.inside.spam_response.depthwise_kernels`; windows that the
            sweeps do not have are left out.
        kernels_name: How the figure calls them.
    """
    rows: Rows = []
    grid, non_negative, signed = sweeps.grid, sweeps.non_negative, sweeps.signed
    box_free = laplacian_sweep(grid, signed)
    of_model = {k: circulant_response(v, grid) for k, v in kernels.items() if k in signed}
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 5.6))
        (top_left, top_right), (left, right) = figure.subplots(2, 2, sharey='row')
        top_left.set_title('convolution, random non-negative weights')
        top_right.set_title('convolution, random signed weights')
        for axes, sweep in ((top_left, non_negative), (top_right, signed)):
            for (k, response), color in zip(
                sweep.items(), plotting.sequence_colors(len(sweep)), strict=True
            ):
                frequency, gains = response.relative().profile(ring_count(grid))
                gain = np.sqrt((gains**2).mean(axis=0))
                low, high = np.quantile(gains, (0.05, 0.95), axis=0)
                axes.plot(frequency, gain, color=color, label=_window_name(k, grid))
                drawn = [
                    _row(panel=axes.get_title(), window=k, frequency=f, gain=g)
                    for f, g in zip(frequency, gain, strict=True)
                ]
                if k in (min(sweep), max(sweep)):
                    axes.fill_between(frequency, low, high, color=color, alpha=0.25, lw=0)
                    for row, a, b in zip(drawn, low, high, strict=True):
                        row |= dict(low=a, high=b)
                rows += drawn
            axes.set_yscale('log')
            axes.set_xlabel(FREQUENCY)
        top_left.legend(title='window k', ncols=2)
        top_left.set_ylabel(RELATIVE_GAIN)
        curves = [
            (left, 'random, non-negative', non_negative, plotting.BLUE, 'o'),
            (right, 'center - box (Laplacian)', box_free, plotting.VERMILION, 'v'),
            (right, 'random, signed', signed, plotting.BLUE, 'o'),
        ]
        if of_model:
            curves.append((right, kernels_name, of_model, plotting.PURPLE, 'D'))
        for axes, name, sweep, ink, marker in curves:
            values = {k: r.high_pass_share() for k, r in sweep.items()}
            rows += _draw_quantiles(axes, values, grid, name, ink, marker, 'high-pass share')
        left.set_ylabel('high-pass share')
        left.set_ylim(0, 1)
        for axes in (left, right):
            axes.axhline(0.5, color='0.4', lw=0.8, ls='--')
            axes.set_xlabel('window k')
            axes.legend(loc='upper right')
        left.text(0.02, 0.52, 'identity', transform=left.transAxes, color='0.4', fontsize=8)
    return Drawing(
        name='signs',
        title='Signs of the weights',
        figure=figure,
        rows=rows,
        shows=(
            'Gain of convolutions with non-negative and with signed weights, and below it their '
            'high-pass share: the mean squared gain above half Nyquist, divided by the sum of the '
            'means above and below; it is 0.5 for the identity. Averages pass low frequencies, '
            'whatever the window; random signs pass all frequencies alike. '
            + ("The model's own depthwise kernels are purple. " if of_model else '')
            + 'Bands hold 90 % of the kernels.'
        ),
        shows_not='What the rest of a block does to the spectrum.',
    )


def draw_summaries(sweeps: RandomSweeps) -> Drawing:
    """Draw three numbers per operator against window size: medians over the draws."""
    rows: Rows = []
    grid, attention = sweeps.grid, sweeps.attention
    summaries = {
        'high-pass share': Response.high_pass_share,
        'energy above half Nyquist': Response.energy_above,
        'spectral centroid (1 = Nyquist)': Response.centroid,
    }
    operators = (
        ('center - box', laplacian_sweep(grid, sweeps.signed), plotting.VERMILION, 'v-'),
        ('random, signed', sweeps.signed, plotting.BLUE, 'o-'),
        ('random, non-negative', sweeps.non_negative, plotting.SKY, 'D-'),
        ('box', box_sweep(grid, sweeps.non_negative), plotting.GREEN, 's-'),
        ('attention, sharp', sweeps.sharp, plotting.ORANGE, '^:'),
        ('attention, random', attention, plotting.PURPLE, 'P:'),
        ('attention, near', near_sweep(grid, attention), '0.3', 'X:'),
    )
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.6))
        for axes, (title, summary) in zip(figure.subplots(1, 3), summaries.items(), strict=True):
            axes.set_title(title)
            axes.set_xlabel('window k')
            axes.set_ylim(0, 1)
            axes.set_xticks(range(len(attention)), [_window_name(k, grid) for k in attention])
            for name, sweep, color, line in operators:
                medians = [np.median(summary(response)) for response in sweep.values()]
                axes.plot(range(len(medians)), medians, line, color=color, label=name)
                rows += [
                    dict(panel=title, operator=name, window=k, median=median)
                    for k, median in zip(sweep, medians, strict=True)
                ]
            identity = summary(circulant_response(np.ones((1, 1)), grid))
            axes.axhline(identity, color='0.4', lw=0.8, ls='--', label='identity')
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower center', ncols=4)
    return Drawing(
        name='summaries',
        title='Three summaries against window size',
        figure=figure,
        rows=rows,
        shows=(
            'Medians over the draws, by window. High-pass share: the mean squared gain above '
            'half Nyquist, divided by the sum of the means above and below. Energy above half '
            'Nyquist: the same without balancing the number of frequencies. Spectral centroid: '
            'the mean frequency, weighted with the squared gain.'
        ),
        shows_not='A trained network.',
    )


def draw_eigenbasis(side: int, window: int, rng: Rng) -> Drawing:
    """Draw convolution and attention in one Laplacian's eigenbasis, on a torus and a bounded grid.

    On the torus the O(N log N) path is drawn over the dense eigendecomposition.

    Args:
        side: Of the square grids, in nodes.
        window: k of the operators.
        rng: Source of the attention's queries and keys.
    """
    rows: Rows = []
    torus, bounded = Grid(side, side, periodic=True), Grid(side, side, periodic=False)
    kernels = {
        f'box, {window} x {window}': (box_kernel(window), plotting.GREEN),
        f'center - box, {window} x {window}': (laplacian_kernel(window), plotting.VERMILION),
    }
    logits = random_logits(rng, torus)
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.0))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, grid in zip(panels, (torus, bounded), strict=True):
            graph = laplacian(convolution_matrix(CROSS, grid))
            name_of_grid = 'torus' if grid.periodic else 'bounded grid'
            attention = attention_matrix(logits, window_mask(grid, window))
            operators = {
                name: (convolution_matrix(kernel, grid), color)
                for name, (kernel, color) in kernels.items()
            } | {f'attention, {window} x {window}': (attention, plotting.BLUE)}
            for name, (matrix, color) in operators.items():
                dense = eigenbasis_response(matrix, graph)
                axes.plot(dense.frequency, dense.gain, '.', color=color, ms=4, label=name)
                rows += _eigenbasis_rows(dense, name_of_grid, name, 'dense')
                if grid.periodic and name in kernels:
                    fast = circulant_eigenbasis_response(kernels[name][0], CROSS, grid)
                    axes.plot(fast.frequency, fast.gain, color=color, lw=0.6)
                    rows += _eigenbasis_rows(fast, name_of_grid, name, 'FFT')
            axes.set_xlabel(r'graph frequency $\lambda / \lambda_{\max}$')
        panels[0].set_title(f'torus, {side} x {side} (dots: dense, lines: FFT)')
        panels[1].set_title(f'bounded grid, {side} x {side} (dense)')
        panels[0].set_ylabel(r'gain $\|M u\|$')
        panels[1].legend()
    return Drawing(
        name='eigenbasis',
        title="Gains in a Laplacian's eigenbasis",
        figure=figure,
        rows=rows,
        shows=(
            'Convolution and attention in the eigenbasis of the 4-neighbor Laplacian. On the '
            'torus the FFT (lines) gives the same as the dense eigendecomposition (dots). The '
            'bounded grid differs by its border: zero padding takes from an average at zero '
            'frequency, and lets a Laplacian kernel pass some of it.'
        ),
        shows_not='Anything about a trained model.',
    )


def mean_profile(response: Response, grid: Grid) -> tuple[Array, Array]:
    """Average a batch of responses over its members and rings: frequencies and gains, (R,)."""
    frequency, gains = response.profile(ring_count(grid))
    return frequency, np.sqrt((gains**2).mean(axis=0))


def ring_count(grid: Grid) -> int:
    """Rings per unit of frequency that a grid has."""
    return min(grid.height, grid.width) // 2


def _draw_quantiles(
    axes: Axes,
    values: Mapping[int, Array],
    grid: Grid,
    name: str,
    color: str,
    marker: str,
    panel: str,
) -> Rows:
    """Median, and the middle nine tenths as a band, by window."""
    low, middle, high = np.array([np.quantile(v, (0.05, 0.5, 0.95)) for v in values.values()]).T
    names = [_window_name(k, grid) for k in values]
    axes.plot(names, middle, color=color, marker=marker, label=name)
    axes.fill_between(names, low, high, color=color, alpha=0.2, lw=0)
    return [
        _row(panel=panel, operator=name, window=k, median=b, low=a, high=c)
        for k, a, b, c in zip(values, low, middle, high, strict=True)
    ]


def _row(**values: Any) -> dict[str, Any]:
    columns = ('panel', 'operator', 'window', 'frequency', 'gain', 'median', 'low', 'high')
    return dict.fromkeys(columns, '') | values


def _eigenbasis_rows(response: Response, grid: str, operator: str, path: str) -> Rows:
    columns = (response.frequency, response.gain, response.diagonal, response.multiplicity)
    return [
        dict(
            grid=grid,
            operator=operator,
            path=path,
            graph_frequency=f,
            gain=g,
            diagonal=d,
            multiplicity=int(m),
        )
        for f, g, d, m in zip(*columns, strict=True)
    ]


def _window_name(window: int, grid: Grid) -> str:
    return str(window) if window < max(grid.height, grid.width) else 'all'
