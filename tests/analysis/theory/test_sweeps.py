"""The sweeps, and that each figure's rows are what it shows."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspanet.analysis.inside.spam_response import (
    depthwise_kernels,
    head_responses,
    local_response,
    mixer_inputs,
)
from mmspanet.analysis.theory import sweeps as gs
from mmspanet.analysis.theory.grid import Grid
from mmspanet.models import SPANetV2

ROOT = Path(__file__).parents[3]
GRID = Grid(8, 8, periodic=True)
WINDOWS = (3, 5)
HYBRID = dict(
    depths=(1, 1, 2, 1),
    channels=(8, 16, 32, 64),
    mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope='module')
def hybrid():
    torch.manual_seed(0)
    return SPANetV2(HYBRID, input_size=64).eval()


@pytest.fixture(scope='module')
def inputs(hybrid):
    return mixer_inputs(hybrid, torch.randn(1, 3, 64, 64))


def assert_rows_are_the_lines(figure, rows, *columns):
    """Every point of every curve is in the rows, and the other way round."""
    drawn = sorted(
        float(y)
        for axes in figure.axes
        for line in axes.lines
        if line.get_linestyle() != '--'  # the identity
        for y in line.get_ydata()
    )
    given = [float(row[c]) for row in rows for c in columns if row[c] != '']
    np.testing.assert_allclose(drawn, sorted(v for v in given if not np.isnan(v)))


# --- sweeps ---------------------------------------------------------------------------------


def test_attention_without_preferences_is_uniform(rng):
    blunt = gs.attention_sweep(GRID, (3, 9), 1, rng, sharpness=0)
    uniform = gs.uniform_sweep(GRID, (3, 9))
    box = gs.box_sweep(GRID, (3,))
    for k in (3, 9):
        np.testing.assert_allclose(blunt[k].gain[0], uniform[k].gain, atol=1e-12)
    np.testing.assert_allclose(uniform[3].gain, box[3].gain, atol=1e-12)
    np.testing.assert_allclose(uniform[9].gain, np.eye(64)[0], atol=1e-12)


def test_sweeps_hold_one_response_per_draw(rng):
    assert gs.convolution_sweep(GRID, WINDOWS, 7, rng, signed=True)[5].gain.shape == (7, 64)
    assert gs.attention_sweep(GRID, WINDOWS, 4, rng)[5].gain.shape == (4, 64)


def test_the_argument_in_numbers(rng):
    """What docs/spectral_analysis.md says about signs and windows."""
    grid = Grid(28, 28, periodic=True)
    signed, unsigned = (
        gs.convolution_sweep(grid, (3, 13), 500, rng, signed=s) for s in (True, False)
    )
    for response in signed.values():  # all-pass on average, whatever the window
        energy = (response.gain**2).mean(axis=0)
        above = response.frequency > 0.5
        assert energy[above].mean() == pytest.approx(energy[~above].mean(), rel=0.1)
    spread = {k: signed[k].high_pass_share().std() for k in signed}
    assert spread[3] > 2 * spread[13]
    assert unsigned[3].high_pass_share().max() < 0.5  # never a high-pass
    floors = [np.median(unsigned[k].high_frequency_gain()) for k in (3, 13)]
    assert floors[0] / floors[1] == pytest.approx(13 / 3, rel=0.15)  # falls as 1 / k
    high = gs.laplacian_sweep(grid, (3, 13))
    assert high[3].high_pass_share() > 0.8
    assert high[13].high_pass_share() == pytest.approx(0.5, abs=0.05)


# --- what a model holds ---------------------------------------------------------------------


def test_mixer_inputs_are_what_the_mixers_get(hybrid, inputs):
    places = [(0, 0), (1, 0), (2, 0), (2, 1), (3, 0)]
    assert [(i.stage, i.block) for i in inputs] == places
    for item in inputs:
        assert item.mixer is hybrid.stages[item.stage][item.block].token_mixer
        assert item.x.shape == (1, HYBRID['channels'][item.stage], *[16 >> item.stage] * 2)
        assert not item.mixer._forward_pre_hooks
    # Features behind a LayerNorm of weight one.
    assert inputs[2].x.mean(dim=1).abs().max() < 1e-5


def test_depthwise_kernels_by_window(hybrid):
    kernels = depthwise_kernels(hybrid)
    # SPAM: 2 and 4 channels a head; MixAttention: 7 x 7 in two blocks of 32 channels.
    assert {k: len(v) for k, v in kernels.items()} == {3: 6, 5: 6, 7: 70, 9: 6}
    spam = hybrid.stages[0][0].token_mixer
    np.testing.assert_allclose(kernels[9][:2], spam.convs[3].weight.detach()[:, 0])


# --- figures --------------------------------------------------------------------------------


def test_windows_figure(rng):
    convolution = gs.convolution_sweep(GRID, WINDOWS, 5, rng, signed=False)
    attention = gs.attention_sweep(GRID, (*WINDOWS, 9), 3, rng)
    figure, rows = gs.draw_windows(GRID, convolution, attention, attention)
    assert_rows_are_the_lines(figure, rows, 'gain', 'median')
    assert figure.axes[1].get_legend().get_texts()[-1].get_text() == 'all'


def test_summaries_figure(rng):
    signed, unsigned = (
        gs.convolution_sweep(GRID, WINDOWS, 5, rng, signed=s) for s in (True, False)
    )
    attention = gs.attention_sweep(GRID, (*WINDOWS, 9), 3, rng)
    figure, rows = gs.draw_summaries(GRID, unsigned, signed, attention, attention)
    assert_rows_are_the_lines(figure, rows, 'median')


def test_signs_figure_shows_a_models_kernels(rng, hybrid):
    signed, unsigned = (
        gs.convolution_sweep(GRID, WINDOWS, 5, rng, signed=s) for s in (True, False)
    )
    learned = {3: depthwise_kernels(hybrid)[3]}
    figure, rows = gs.draw_signs(GRID, unsigned, signed, learned, 'ours')
    assert_rows_are_the_lines(figure, rows, 'gain', 'median')
    assert [row['window'] for row in rows if row['operator'] == 'ours'] == [3]


def test_spam_figure_of_a_model_with_attention_alone(rng):
    arch = dict(depths=(1,) * 4, channels=(32,) * 4, mixers=('Attention',) * 4)
    model = SPANetV2(arch, input_size=64).eval()
    inputs = mixer_inputs(model, torch.randn(1, 3, 64, 64))
    local = {(i.stage, i.block): local_response(i.mixer, i.x, probes=1) for i in inputs}
    figure, rows = gs.draw_spam(head_responses(model, (64, 64)), local)
    assert [axes.texts[0].get_text() for axes in figure.axes[:4]] == ['no SPAM'] * 4
    assert {row['curve'] for row in rows} == {'whole mixer'}


def test_eigenbasis_figure_draws_the_same_twice_on_the_torus(rng):
    figure, rows = gs.draw_eigenbasis(8, 3, rng)
    assert_rows_are_the_lines(figure, rows, 'gain')
    dense, fast = (
        [row['gain'] for row in rows if row['path'] == path and row['operator'] == 'box, 3 x 3']
        for path in ('dense', 'FFT')
    )
    np.testing.assert_allclose(dense[: len(fast)], fast, atol=1e-9)


def test_attention_figure_and_none_without_attention(inputs):
    figure, rows = gs.draw_attention(inputs)
    assert_rows_are_the_lines(figure, rows, 'gain')
    assert {(row['stage'], row['block']) for row in rows} == {(3, 1), (3, 2), (4, 1)}
    assert gs.draw_attention(inputs[:2]) is None


def test_spam_figure(hybrid, inputs):
    local = {(i.stage, i.block): local_response(i.mixer, i.x) for i in inputs}
    figure, rows = gs.draw_spam(head_responses(hybrid, (64, 64)), local)
    assert_rows_are_the_lines(figure, rows, 'relative_gain', 'kept')
    heads = [row for row in rows if row['curve'] == 'kernel and re-scaling']
    assert {(row['stage'], row['window']) for row in heads} == {
        (stage, k) for stage in (1, 2) for k in (3, 5, 7, 9)
    }


@pytest.mark.slow
def test_command_writes_all_figures(tmp_path):
    command = [
        sys.executable,
        'tools/analysis_tools/sweeps.py',
        'configs/cls/spanetv2_shapes.py',
        *('--grid', '8', '--windows', '3', '5', '--kernels', '9', '--heads', '2'),
        *('--out-dir', str(tmp_path)),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name in ('windows', 'summaries', 'signs', 'eigenbasis', 'spam'):
        for kind in ('png', 'svg', 'csv'):
            assert (tmp_path / f'{name}.{kind}').stat().st_size
    with open(tmp_path / 'signs.csv', newline='') as file:
        operators = {row['operator'] for row in csv.DictReader(file)}
    assert 'of the model, random weights' in operators
    wrong = subprocess.run([*command, '--windows', '4'], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr == 'error: --windows 4 must be odd, from 3 to less than --grid 8.\n'
