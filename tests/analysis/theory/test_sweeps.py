"""Responses of families of operators by window."""

import numpy as np
import pytest

from mmspanet.analysis.theory.grid import Grid
from mmspanet.analysis.theory.sweeps import (
    attention_sweep,
    box_sweep,
    convolution_sweep,
    laplacian_sweep,
    random_sweeps,
    uniform_sweep,
)

GRID = Grid(8, 8, periodic=True)
WINDOWS = (3, 5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_attention_without_preferences_is_uniform(rng):
    blunt = attention_sweep(GRID, (3, 9), 1, rng, sharpness=0)
    uniform = uniform_sweep(GRID, (3, 9))
    box = box_sweep(GRID, (3,))
    for k in (3, 9):
        np.testing.assert_allclose(blunt[k].gain[0], uniform[k].gain, atol=1e-12)
    np.testing.assert_allclose(uniform[3].gain, box[3].gain, atol=1e-12)
    np.testing.assert_allclose(uniform[9].gain, np.eye(64)[0], atol=1e-12)


def test_sweeps_hold_one_response_per_draw(rng):
    assert convolution_sweep(GRID, WINDOWS, 7, rng, signed=True)[5].gain.shape == (7, 64)
    assert attention_sweep(GRID, WINDOWS, 4, rng)[5].gain.shape == (4, 64)


def test_random_sweeps_reach_all_nodes(rng):
    sweeps = random_sweeps(8, WINDOWS, kernels=7, heads=2, rng=rng)
    assert list(sweeps.non_negative) == list(sweeps.signed) == [3, 5]
    assert list(sweeps.attention) == list(sweeps.sharp) == [3, 5, 9]
    # Logits four times as large attend to fewer nodes, so they average less.
    for k in (3, 5, 9):
        blunt, sharp = (
            np.median(s[k].high_frequency_gain()) for s in (sweeps.attention, sweeps.sharp)
        )
        assert sharp > blunt


def test_the_argument_in_numbers(rng):
    """What docs/spectral_analysis.md concludes about signs and windows."""
    grid = Grid(28, 28, periodic=True)
    signed, unsigned = (convolution_sweep(grid, (3, 13), 500, rng, signed=s) for s in (True, False))
    for response in signed.values():  # all-pass on average, whatever the window
        energy = (response.gain**2).mean(axis=0)
        above = response.frequency > 0.5
        assert energy[above].mean() == pytest.approx(energy[~above].mean(), rel=0.1)
    spread = {k: signed[k].high_pass_share().std() for k in signed}
    assert spread[3] > 2 * spread[13]
    assert unsigned[3].high_pass_share().max() < 0.5  # never a high-pass
    floors = [np.median(unsigned[k].high_frequency_gain()) for k in (3, 13)]
    assert floors[0] / floors[1] == pytest.approx(13 / 3, rel=0.15)  # falls as 1 / k
    high = laplacian_sweep(grid, (3, 13))
    assert high[3].high_pass_share() > 0.8
    assert high[13].high_pass_share() == pytest.approx(0.5, abs=0.05)
