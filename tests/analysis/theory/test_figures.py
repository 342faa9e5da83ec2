"""Each figure's rows are what it shows."""

import numpy as np
import pytest

from mmspanet.analysis.theory import figures
from mmspanet.analysis.theory.operators import random_kernels
from mmspanet.analysis.theory.sweeps import random_sweeps

from .helpers import assert_rows_are_the_lines


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def sweeps(rng):
    return random_sweeps(8, (3, 5), kernels=5, heads=3, rng=rng)


def test_windows_figure(sweeps):
    drawing = figures.draw_windows(sweeps)
    assert_rows_are_the_lines(drawing, 'gain', 'median')
    legend = drawing.figure.axes[1].get_legend()
    assert legend.get_texts()[-1].get_text() == 'all'


def test_summaries_figure(sweeps):
    assert_rows_are_the_lines(figures.draw_summaries(sweeps), 'median')


def test_signs_figure_shows_a_models_kernels(sweeps, rng):
    kernels = {k: random_kernels(rng, 4, k, signed=True) for k in (3, 7)}  # 7 is not swept
    drawing = figures.draw_signs(sweeps, kernels, 'ours')
    assert_rows_are_the_lines(drawing, 'gain', 'median')
    assert [row['window'] for row in drawing.rows if row['operator'] == 'ours'] == [3]


def test_eigenbasis_figure_draws_the_same_twice_on_the_torus(rng):
    drawing = figures.draw_eigenbasis(8, 3, rng)
    assert_rows_are_the_lines(drawing, 'gain')
    dense, fast = (
        [
            row['gain']
            for row in drawing.rows
            if row['path'] == path and row['operator'] == 'box, 3 x 3'
        ]
        for path in ('dense', 'FFT')
    )
    np.testing.assert_allclose(dense[: len(fast)], fast, atol=1e-9)
