"""SPAM and attention of a model in the frame of :mod:`~mmspanet.analysis.theory.spectrum`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from mmspanet.analysis import plotting
from mmspanet.analysis.plotting import Drawing
from mmspanet.analysis.theory.figures import FREQUENCY, Rows, mean_profile, ring_count
from mmspanet.analysis.theory.grid import Array, Grid
from mmspanet.analysis.theory.operators import attention_matrix
from mmspanet.analysis.theory.spectrum import Response, dft_response
from mmspanet.analysis.theory.sweeps import stack_responses
from mmspanet.models import Attention

from .spam_response import HeadResponse, LocalResponse, MixerInput


def draw_spam(
    heads: Sequence[HeadResponse],
    local: Mapping[tuple[int, int], LocalResponse],
    image: str,
) -> Drawing:
    """Draw the context path of each stage and head of SPAM, and the whole mixer at an image.

    Args:
        heads: See :func:`.spam_response.head_responses`.
        local: By stage and block, see :func:`.spam_response.local_response`.
        image: Name of the image that the local responses were taken at.
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
    return Drawing(
        name='spam',
        title='SPAM in the same frame',
        figure=figure,
        rows=rows,
        shows=(
            'Above: gain by frequency of the context path of each head, its convolution and then '
            'its re-scaling filter, as the mean over channels and blocks of a stage. Below: the '
            f'whole mixer for small changes of its input at the image {image}, its gain, and the '
            'share of the output that keeps its frequency.'
        ),
        shows_not='Large changes of the input: the mixer is not linear. The construction is ours.',
    )


def draw_attention(inputs: Iterable[MixerInput], image: str) -> Drawing | None:
    """Draw the response of a model's own attention at an image.

    Args:
        inputs: What the mixers get, see :func:`.spam_response.mixer_inputs`.
        image: Name of the image.

    Returns:
        None for a model without attention.
    """
    stages: dict[int, list[tuple[int, Grid, Response]]] = {}
    for item in inputs:
        if isinstance(item.mixer, Attention):
            height, width = item.x.shape[-2:]
            grid = Grid(height, width, periodic=False)
            heads = stack_responses(
                dft_response(m, grid) for m in attention_of(item.mixer, item.x[:1])[0]
            )
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
                frequency, gains = heads.profile(ring_count(grid))
                _, mean = mean_profile(heads, grid)
                _, kept = mean_profile(heads.filter_part(), grid)
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
    return Drawing(
        name='attention',
        title='Attention in the same frame',
        figure=figure,
        rows=rows,
        shows=f"Gain by frequency of each head's attention matrix at the image {image}, by block.",
        shows_not='What the values hold: the figure looks at the matrix alone.',
    )


def attention_of(mixer: Attention, x: Tensor) -> Array:
    """Compute the attention matrices of a model's mixer for its own queries and keys.

    Args:
        mixer: :class:`mmspanet.models.Attention` or ``MixAttention`` (without its convolution).
        x: What the mixer gets, (B, C, H, W).

    Returns:
        (B, heads, N, N), rows sum to 1.
    """
    with torch.no_grad():
        query, key, _ = mixer.qkv(x).flatten(2).chunk(3, dim=1)  # (B, C, N) each, head-major
    query, key = (t.unflatten(1, (-1, mixer.head_dim)).double().cpu().numpy() for t in (query, key))
    logits = np.einsum('bhdp,bhdq->bhpq', query, key, optimize=True) / np.sqrt(mixer.head_dim)
    return attention_matrix(logits)


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
            frequency, gain = mean.profile(ring_count(blocks[0].grid))
            _, relative = mean.relative().profile(ring_count(blocks[0].grid))
            axes.plot(frequency, relative, line, color=color)
            labels = dict(stage=blocks[0].stage + 1, curve=curve, window=k, block='all')
            rows += _spam_rows(labels, frequency, gain, relative, np.full(len(gain), np.nan))
    return rows


def _draw_local(
    axes: Axes, kept_axes: Axes, stage: int, blocks: Mapping[int, LocalResponse]
) -> Rows:
    rows: Rows = []
    for (block, response), color in zip(
        blocks.items(), plotting.sequence_colors(len(blocks)), strict=True
    ):
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


def _depth_handles(blocks: int) -> list[Line2D]:
    """What tells a stage's blocks apart; nothing where each stage has only one."""
    if blocks == 1:
        return []
    first, *_, last = plotting.sequence_colors(blocks)
    names = {'first block': first, 'last block': last}
    return [Line2D([], [], color=color, label=name) for name, color in names.items()]


def _mean(responses: Sequence[Response]) -> Response:
    """Root mean square over batches of filters, as one response."""
    gain = np.sqrt(np.concatenate([r.gain**2 for r in responses]).mean(axis=0))
    return Response(responses[0].frequency, gain, gain, responses[0].multiplicity)
