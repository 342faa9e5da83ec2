"""The figures of the argument: window size, signs, attention and SPAM in one graph-spectral frame.

The paper (arXiv 2503.23947) argues that the window of a mixer, the connectivity of the nodes of
its graph, shapes the frequency response. The sweeps and figures here are ours. Each ``draw_``
function returns a figure and its rows for :func:`mmspanet.analysis.plotting.save_figure`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from mmspanet.analysis import plotting
from mmspanet.analysis.inside.spam_response import HeadResponse, LocalResponse, MixerInput
from mmspanet.models import Attention

from .grid import CROSS, Array, Grid, convolution_matrix, laplacian
from .operators import (
    Rng,
    attention_matrix,
    attention_of,
    box_kernel,
    distance_logits,
    laplacian_kernel,
    random_kernels,
    random_logits,
    window_mask,
)
from .spectrum import (
    Response,
    circulant_eigenbasis_response,
    circulant_response,
    dft_response,
    eigenbasis_response,
)

Rows = list[dict[str, Any]]
Sweep = dict[int, Response]
"""The responses of a batch of operators by window."""

FREQUENCY = 'frequency (1 = Nyquist)'
RELATIVE_GAIN = 'gain (1 = identity)'


def convolution_sweep(
    grid: Grid, windows: Sequence[int], draws: int, rng: Rng, signed: bool
) -> Sweep:
    """Responses of ``draws`` random kernels per window, with or without signs, on the torus."""
    return {k: circulant_response(random_kernels(rng, draws, k, signed), grid) for k in windows}


def attention_sweep(
    grid: Grid, windows: Iterable[int], draws: int, rng: Rng, sharpness: float = 1.0
) -> Sweep:
    """Responses of ``draws`` attention matrices of random queries and keys per sliding window.

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
        sweep[k] = _stacked(
            dft_response(attention_matrix(sharpness * random_logits(rng, grid), mask), grid)
            for _ in range(draws)
        )
    return sweep


def box_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """The mean over the window."""
    return {k: circulant_response(box_kernel(k), grid) for k in windows}


def laplacian_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """The center minus the mean over the window."""
    return {k: circulant_response(laplacian_kernel(k), grid) for k in windows}


def uniform_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Attention without preferences; over a window that reaches all nodes only DC is left."""
    return {k: _attention(grid, np.zeros((grid.nodes, grid.nodes)), k) for k in windows}


def near_sweep(grid: Grid, windows: Iterable[int]) -> Sweep:
    """Attention that falls with the distance as a Gaussian of standard deviation k / 4."""
    return {k: _attention(grid, distance_logits(grid, k / 4), k) for k in windows}


def draw_windows(
    grid: Grid, convolution: Sweep, attention: Sweep, sharp: Sweep
) -> tuple[Figure, Rows]:
    """Response against window size, convolution and self-attention side by side.

    Args:
        grid: The nodes.
        convolution: Of :func:`convolution_sweep`, without signs.
        attention: Of :func:`attention_sweep`.
        sharp: The same with logits four times as large.
    """
    rows: Rows = []
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
                frequency, gain = _mean_profile(response, grid)
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
    return figure, rows


def draw_signs(
    grid: Grid,
    non_negative: Sweep,
    signed: Sweep,
    learned: Mapping[int, Array],
    learned_name: str = '',
) -> tuple[Figure, Rows]:
    """The response against window size with non-negative and with signed weights.

    Args:
        grid: The nodes.
        non_negative: Of :func:`convolution_sweep`.
        signed: The same, with signs.
        learned: A model's kernels by window, see
            :func:`~mmspanet.analysis.inside.spam_response.depthwise_kernels`; may be empty.
        learned_name: What the figure calls them.
    """
    rows: Rows = []
    box_free = laplacian_sweep(grid, signed)
    found = {k: circulant_response(kernels, grid) for k, kernels in learned.items()}
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 5.6))
        (top_left, top_right), (left, right) = figure.subplots(2, 2, sharey='row')
        top_left.set_title('convolution, random non-negative weights')
        top_right.set_title('convolution, random signed weights')
        for axes, sweep in ((top_left, non_negative), (top_right, signed)):
            for (k, response), color in _colored(sweep):
                frequency, gains = response.relative().profile(_rings(grid))
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
        if found:
            curves.append((right, learned_name, found, plotting.PURPLE, 'D'))
        for axes, name, sweep, color, marker in curves:
            values = {k: r.high_pass_share() for k, r in sweep.items()}
            rows += _draw_quantiles(axes, values, grid, name, color, marker, 'high-pass share')
        left.set_ylabel('high-pass share')
        left.set_ylim(0, 1)
        for axes in (left, right):
            axes.axhline(0.5, color='0.4', lw=0.8, ls='--')
            axes.set_xlabel('window k')
            axes.legend(loc='upper right')
        left.text(0.02, 0.52, 'identity', transform=left.transAxes, color='0.4', fontsize=8)
    return figure, rows


def draw_summaries(
    grid: Grid, non_negative: Sweep, signed: Sweep, attention: Sweep, sharp: Sweep
) -> tuple[Figure, Rows]:
    """Three numbers per operator against window size: medians over the draws.

    Args:
        grid: The nodes.
        non_negative, signed: Of :func:`convolution_sweep`.
        attention, sharp: Of :func:`attention_sweep`.
    """
    rows: Rows = []
    summaries = {
        'high-pass share': Response.high_pass_share,
        'energy above half Nyquist': Response.energy_above,
        'spectral centroid (1 = Nyquist)': Response.centroid,
    }
    sweeps = (
        ('center - box', laplacian_sweep(grid, signed), plotting.VERMILION, 'v-'),
        ('random, signed', signed, plotting.BLUE, 'o-'),
        ('random, non-negative', non_negative, plotting.SKY, 'D-'),
        ('box', box_sweep(grid, non_negative), plotting.GREEN, 's-'),
        ('attention, sharp', sharp, plotting.ORANGE, '^:'),
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
            for name, sweep, color, line in sweeps:
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
    return figure, rows


def draw_eigenbasis(side: int, window: int, rng: Rng) -> tuple[Figure, Rows]:
    """Convolution and attention in one Laplacian's eigenbasis, on a torus and a bounded grid.

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
            place = 'torus' if grid.periodic else 'bounded grid'
            attention = attention_matrix(logits, window_mask(grid, window))
            operators = {
                name: (convolution_matrix(kernel, grid), color)
                for name, (kernel, color) in kernels.items()
            } | {f'attention, {window} x {window}': (attention, plotting.BLUE)}
            for name, (matrix, color) in operators.items():
                dense = eigenbasis_response(matrix, graph)
                axes.plot(dense.frequency, dense.gain, '.', color=color, ms=4, label=name)
                rows += _eigenbasis_rows(dense, place, name, 'dense')
                if grid.periodic and name in kernels:
                    fast = circulant_eigenbasis_response(kernels[name][0], CROSS, grid)
                    axes.plot(fast.frequency, fast.gain, color=color, lw=0.6)
                    rows += _eigenbasis_rows(fast, place, name, 'FFT')
            axes.set_xlabel(r'graph frequency $\lambda / \lambda_{\max}$')
        panels[0].set_title(f'torus, {side} x {side} (dots: dense, lines: FFT)')
        panels[1].set_title(f'bounded grid, {side} x {side} (dense)')
        panels[0].set_ylabel(r'gain $\|M u\|$')
        panels[1].legend()
    return figure, rows


def draw_attention(inputs: Iterable[MixerInput]) -> tuple[Figure, Rows] | None:
    """The response of a model's own attention at an image; None for a model without attention.

    Args:
        inputs: What the mixers get, see :func:`.spam_response.mixer_inputs`.
    """
    stages: dict[int, list[tuple[int, Grid, Response]]] = {}
    for item in inputs:
        if isinstance(item.mixer, Attention):
            height, width = item.x.shape[-2:]
            grid = Grid(height, width, periodic=False)
            heads = _stacked(dft_response(m, grid) for m in attention_of(item.mixer, item.x[:1])[0])
            stages.setdefault(item.stage, []).append((item.block, grid, heads))
    if not stages:
        return None
    rows: Rows = []
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.4))
        panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
        for axes, (stage, blocks) in zip(panels, stages.items(), strict=True):
            colors = plotting.sequence_colors(len(blocks))
            for (block, grid, heads), color in zip(blocks, colors, strict=True):
                frequency, gains = heads.profile(_rings(grid))
                _, mean = _mean_profile(heads, grid)
                _, kept = _mean_profile(heads.filter_part(), grid)
                axes.plot(frequency, mean, color=color)
                axes.plot(frequency, kept, ':', color=color)
                axes.plot(frequency, gains.T, color=color, lw=0.5, alpha=0.5)
                curves = [('mean', mean), ('filter part', kept), *enumerate(gains, start=1)]
                rows += [
                    dict(stage=stage + 1, block=block + 1, head=head, frequency=f, gain=g)
                    for head, gain in curves
                    for f, g in zip(frequency, gain, strict=True)
                ]
            axes.set_title(f'stage {stage + 1}, {grid.height} x {grid.width} positions')
            axes.set_yscale('log')
            axes.yaxis.set_major_formatter('{x:g}')
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(FREQUENCY)
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].set_ylabel('gain (zero frequency = 1)')
        styles = [
            Line2D([], [], color='0.3', label='mean of the heads'),
            Line2D([], [], color='0.3', ls=':', label='its filter part'),
            Line2D([], [], color='0.3', lw=0.5, label='one head'),
        ]
        depths = _depth_handles(max(len(blocks) for blocks in stages.values()))
        figure.legend(handles=styles + depths, loc='outside lower center', ncols=5)
    return figure, rows


def draw_spam(
    heads: Sequence[HeadResponse], local: Mapping[tuple[int, int], LocalResponse]
) -> tuple[Figure, Rows]:
    """SPAM in the frame: context path of each stage and head, and the whole mixer at an image.

    Args:
        heads: See :func:`~mmspanet.analysis.inside.spam_response.head_responses`.
        local: By stage and block, see :func:`.spam_response.local_response`.
    """
    rows: Rows = []
    stages = sorted({stage for stage, _ in local})
    kernel_sizes = sorted({head.kernel_size for head in heads})
    colors = dict(zip(kernel_sizes, plotting.COLORS, strict=False))
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 6.4))
        panels = figure.subplots(3, len(stages), sharex=True, sharey='row', squeeze=False)
        for stage, column in zip(stages, panels.T, strict=True):
            column[0].set_title(f'stage {stage + 1}')
            column[2].set_xlabel('frequency\n(1 = Nyquist)')
            of_stage = [head for head in heads if head.stage == stage]
            if of_stage:
                rows += _draw_heads(column[0], of_stage, colors)
            else:
                column[0].text(0.5, 0.5, 'no SPAM', transform=column[0].transAxes, ha='center')
            blocks = {block: r for (s, block), r in local.items() if s == stage}
            rows += _draw_local(column[1], column[2], stage, blocks)
        panels[0, 0].set_ylabel('context path:\ngain (1 = identity)')
        panels[1, 0].set_ylabel('whole mixer, locally:\ngain (1 = identity)')
        panels[2, 0].set_ylabel('whole mixer, locally:\nshare kept at its frequency')
        panels[2, 0].set_ylim(0, 1)
        panels[1, 0].set_yscale('log')
        low, high = panels[1, 0].get_ylim()
        panels[1, 0].set_ylim(min(low, 0.45), max(high, 2.2))
        panels[1, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[1, 0].yaxis.set_major_formatter('{x:g}')
        panels[1, 0].yaxis.set_minor_formatter(NullFormatter())
        handles = [
            *(Line2D([], [], color=c, label=f'kernel {k} x {k}') for k, c in colors.items()),
            Line2D([], [], color='0.3', ls=':', label='without re-scaling'),
            *_depth_handles(max(block for _, block in local) + 1),
        ]
        figure.legend(handles=handles, loc='outside upper center', ncols=5)
    return figure, rows


def _draw_heads(axes: Axes, heads: Sequence[HeadResponse], colors: Mapping[int, str]) -> Rows:
    """Root mean square over channels and blocks, per kernel size; dotted without re-scaling."""
    rows: Rows = []
    for k, color in colors.items():
        blocks = [head for head in heads if head.kernel_size == k]
        for curve, line, responses in (
            ('kernel', ':', [head.kernel_response() for head in blocks]),
            ('kernel and re-scaling', '-', [head.effective_response() for head in blocks]),
        ):
            mean = _mean(responses)
            frequency, gain = mean.profile(_rings(blocks[0].grid))
            _, relative = mean.relative().profile(_rings(blocks[0].grid))
            axes.plot(frequency, relative, line, color=color)
            labels = dict(stage=blocks[0].stage + 1, curve=curve, window=k, block='all')
            rows += _spam_rows(labels, frequency, gain, relative, np.full(len(gain), np.nan))
    return rows


def _depth_handles(blocks: int) -> list[Line2D]:
    """What tells a stage's blocks apart; nothing where each stage has only one."""
    if blocks == 1:
        return []
    first, *_, last = plotting.sequence_colors(blocks)
    names = {'first block': first, 'last block': last}
    return [Line2D([], [], color=color, label=name) for name, color in names.items()]


def _draw_local(
    axes: Axes, kept_axes: Axes, stage: int, blocks: Mapping[int, LocalResponse]
) -> Rows:
    rows: Rows = []
    for (block, response), color in _colored(blocks):
        axes.plot(response.frequency, response.relative_gain(), color=color)
        kept_axes.plot(response.frequency, response.kept, color=color)
        rows += _spam_rows(
            dict(stage=stage + 1, curve='whole mixer', window='', block=block + 1),
            response.frequency,
            response.gain,
            response.relative_gain(),
            response.kept,
        )
    return rows


def _spam_rows(
    labels: dict[str, Any], frequency: Array, gain: Array, relative: Array, kept: Array
) -> Rows:
    return [
        dict(**labels, frequency=f, gain=g, relative_gain=r, kept=k)
        for f, g, r, k in zip(frequency, gain, relative, kept, strict=True)
    ]


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
    places = [_window_name(k, grid) for k in values]
    axes.plot(places, middle, color=color, marker=marker, label=name)
    axes.fill_between(places, low, high, color=color, alpha=0.2, lw=0)
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


def _attention(grid: Grid, logits: Array, window: int) -> Response:
    return dft_response(attention_matrix(logits, window_mask(grid, window)), grid)


def _stacked(responses: Iterable[Response]) -> Response:
    """One batch of responses over the same frequencies."""
    given = list(responses)
    return Response(
        given[0].frequency,
        np.stack([r.gain for r in given]),
        np.stack([r.diagonal for r in given]),
        given[0].multiplicity,
    )


def _mean(responses: Sequence[Response]) -> Response:
    """Root mean square over batches of filters, as one response."""
    gain = np.sqrt(np.concatenate([r.gain**2 for r in responses]).mean(axis=0))
    return Response(responses[0].frequency, gain, gain, responses[0].multiplicity)


def _mean_profile(response: Response, grid: Grid) -> tuple[Array, Array]:
    frequency, gains = response.profile(_rings(grid))
    return frequency, np.sqrt((gains**2).mean(axis=0))


def _rings(grid: Grid) -> int:
    return min(grid.height, grid.width) // 2


def _colored(items: Mapping[int, Any]) -> Iterable[tuple[tuple[int, Any], Any]]:
    return zip(items.items(), plotting.sequence_colors(len(items)), strict=True)


def _window_name(window: int, grid: Grid) -> str:
    return str(window) if window < max(grid.height, grid.width) else 'all'
