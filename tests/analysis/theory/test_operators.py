"""Kernels and attention matrices."""

import numpy as np
import pytest
from hypothesis import given

from mmspanet.analysis.theory.grid import (
    Grid,
    convolution_matrix,
)
from mmspanet.analysis.theory.operators import (
    attention_matrix,
    box_kernel,
    distance_logits,
    laplacian_kernel,
    random_kernels,
    random_logits,
    window_mask,
)

from .helpers import BOUNDED, QUICK, TORUS, grids, seeds


def test_averages_keep_the_mean_and_laplacians_remove_it():
    assert box_kernel(5).sum() == pytest.approx(1)
    assert laplacian_kernel(5).sum() == pytest.approx(0)


def test_random_kernels_have_unit_norm_and_signs_only_when_asked_for():
    signed, unsigned = (
        random_kernels(np.random.default_rng(0), 50, 5, signed) for signed in (True, False)
    )
    np.testing.assert_allclose((signed**2).sum(axis=(1, 2)), 1)
    assert (signed < 0).any()
    np.testing.assert_allclose(unsigned, np.abs(signed))


@pytest.mark.parametrize('grid', [TORUS, BOUNDED])
def test_windowed_uniform_attention_is_the_mean_over_the_window(grid):
    mask = window_mask(grid, 3)
    matrix = attention_matrix(np.zeros((grid.nodes, grid.nodes)), mask)
    counts = mask.sum(axis=1)
    np.testing.assert_allclose(
        matrix, convolution_matrix(np.ones((3, 3)), grid) / counts[:, None], atol=1e-15
    )
    # A corner has 4 nodes in reach, an edge 6; a torus has neither.
    assert set(counts) == ({9} if grid.periodic else {4, 6, 9})


def test_window_masks_larger_than_the_grid_reach_all_of_it():
    assert window_mask(TORUS, 11).all()
    assert window_mask(BOUNDED, 17).all()


def test_distance_logits_are_a_wrapped_gaussian_window():
    grid = Grid(9, 9, periodic=True)
    matrix = attention_matrix(distance_logits(grid, sigma=1.5))
    profile = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 1.5**2))
    gaussian = np.outer(profile, profile) / profile.sum() ** 2
    np.testing.assert_allclose(matrix, convolution_matrix(gaussian, grid))
    corner_to_corner = distance_logits(Grid(4, 5, periodic=False), sigma=1.0)[0, -1]
    assert corner_to_corner == -(3**2 + 4**2) / 2


@QUICK
@given(grids, seeds)
def test_attention_rows_are_distributions(grid, seed):
    logits = 30 * random_logits(np.random.default_rng(seed), grid)
    matrix = attention_matrix(logits, window_mask(grid, 3))
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert (matrix[~window_mask(grid, 3)] == 0).all()


def test_random_logits_have_unit_variance():
    logits = random_logits(np.random.default_rng(0), Grid(20, 20, periodic=False))
    assert logits.std() == pytest.approx(1, abs=0.02)
