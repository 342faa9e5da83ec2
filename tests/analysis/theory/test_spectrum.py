"""Responses against closed forms, and the fast paths against dense eigenvectors."""

import numpy as np
import pytest
from hypothesis import given

from mmspanet.analysis.theory.grid import (
    CROSS,
    Grid,
    convolution_matrix,
    laplacian,
    window_stencil,
)
from mmspanet.analysis.theory.operators import (
    attention_matrix,
    box_kernel,
    laplacian_kernel,
)
from mmspanet.analysis.theory.spectrum import (
    Response,
    circulant_eigenbasis_response,
    circulant_response,
    dft_response,
    eigenbasis_response,
    filter_response,
)

from .helpers import BOUNDED, QUICK, TORUS, dft_vectors, grids, kernel_of, seeds


def assert_same(one: Response, two: Response):
    for name in ('frequency', 'gain', 'diagonal', 'multiplicity'):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-9, err_msg=name)


def test_the_identity_answers_to_all_frequencies_alike():
    for response in (
        dft_response(np.eye(54), BOUNDED),
        eigenbasis_response(np.eye(54), laplacian(convolution_matrix(CROSS, BOUNDED))),
        circulant_response(np.ones((1, 1)), TORUS),
    ):
        np.testing.assert_allclose(response.gain, 1)
        np.testing.assert_allclose(response.diagonal, 1)
        assert response.high_pass_share() == pytest.approx(0.5)
        assert response.centroid() == pytest.approx(
            np.average(response.frequency, weights=response.multiplicity)
        )


@pytest.mark.parametrize('grid', [TORUS, BOUNDED])
def test_uniform_attention_leaves_only_dc(grid):
    matrix = attention_matrix(np.zeros((54, 54)))
    response = dft_response(matrix, grid)
    np.testing.assert_allclose(response.gain, np.eye(54)[0], atol=1e-12)
    np.testing.assert_allclose(response.diagonal, np.eye(54)[0], atol=1e-12)
    assert response.high_pass_share() == pytest.approx(0, abs=1e-12)
    assert response.energy_above() == pytest.approx(0, abs=1e-12)
    assert response.centroid() == pytest.approx(0, abs=1e-12)


@QUICK
@given(grids, seeds)
def test_dft_response_agrees_with_the_dft_vectors(grid, seed):
    matrix = kernel_of(seed, grid.nodes, grid.nodes)
    vectors = dft_vectors(grid)
    response = dft_response(matrix, grid)
    np.testing.assert_allclose(response.gain, np.linalg.norm(matrix @ vectors, axis=0))
    diagonal = np.einsum('pj,pq,qj->j', vectors.conj(), matrix, vectors)
    np.testing.assert_allclose(response.diagonal, np.abs(diagonal), atol=1e-10)


@QUICK
@given(grids, seeds)
def test_parseval(grid, seed):
    matrix = kernel_of(seed, grid.nodes, grid.nodes)
    norm = np.linalg.norm(matrix) ** 2
    in_eigenbasis = eigenbasis_response(matrix, laplacian(convolution_matrix(CROSS, grid)))
    for response in (dft_response(matrix, grid), in_eigenbasis):
        assert (response.gain**2 @ response.multiplicity) == pytest.approx(norm)
        assert (response.diagonal <= response.gain * (1 + 1e-9)).all()


@pytest.mark.parametrize('window', [3, 5])
@pytest.mark.parametrize('normalized', [False, True])
@pytest.mark.parametrize('stencil', [CROSS, window_stencil(3), window_stencil(5)])
@pytest.mark.parametrize('side', [14, 9])
def test_the_fft_path_agrees_with_the_dense_eigendecomposition(window, normalized, stencil, side):
    grid = Grid(side, side, periodic=True)
    kernel = kernel_of(window, window, window)
    matrix = convolution_matrix(kernel, grid)
    assert_same(
        circulant_eigenbasis_response(kernel, stencil, grid, normalized),
        eigenbasis_response(matrix, laplacian(convolution_matrix(stencil, grid), normalized)),
    )
    assert_same(circulant_response(kernel, grid), dft_response(matrix, grid))


def test_a_laplacian_answers_with_its_own_eigenvalues():
    matrix = laplacian(convolution_matrix(CROSS, BOUNDED))
    response = eigenbasis_response(matrix, matrix)
    eigenvalues = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(response.gain, response.frequency * eigenvalues[-1], atol=1e-10)
    assert response.multiplicity.sum() == 54


def test_summaries_of_a_batch_of_ideal_filters():
    grid = Grid(8, 8, periodic=True)
    above = grid.radial_frequency() > 0.5
    response = filter_response(np.stack([above, ~above, 2 * np.ones((8, 8))]).astype(float), grid)
    np.testing.assert_allclose(response.high_pass_share(), [1, 0, 0.5])
    np.testing.assert_allclose(response.energy_above(), [1, 0, above.mean()])
    frequency = grid.radial_frequency()
    np.testing.assert_allclose(
        response.centroid(), [frequency[above].mean(), frequency[~above].mean(), frequency.mean()]
    )
    np.testing.assert_allclose((response.relative().gain ** 2).mean(axis=-1), 1)


def test_high_frequency_gain_is_relative_to_dc():
    grid = Grid(8, 8, periodic=True)
    flat, mean, high = (
        circulant_response(kernel, grid).high_frequency_gain()
        for kernel in (3 * np.ones((1, 1)), box_kernel(5), laplacian_kernel(3))
    )
    assert flat == pytest.approx(1)
    assert mean < 0.2
    assert high > 1e9
    half = filter_response(np.where(grid.radial_frequency() > 0.5, 1.0, 2.0), grid)
    assert half.high_frequency_gain() == pytest.approx(0.5)


def test_filter_part_is_that_of_the_nearest_convolution():
    grid = Grid(5, 9, periodic=True)
    matrix = kernel_of(0, 45, 45)
    shifts = [convolution_matrix(shift.reshape(5, 9), grid) for shift in np.eye(45)]
    # Least squares over all convolutions of the torus.
    weights, *_ = np.linalg.lstsq(np.stack(shifts, axis=-1).reshape(-1, 45), matrix.ravel())
    expected = circulant_response(weights.reshape(5, 9), grid)
    part = dft_response(matrix, grid).filter_part()
    np.testing.assert_allclose(part.gain, expected.gain, atol=1e-12)


def test_profile_is_the_rms_over_rings():
    grid = Grid(8, 8, periodic=True)
    transfer = circulant_response(kernel_of(0, 3, 3), grid)
    frequency, gain = transfer.profile(bins=4)
    assert frequency[0] == 0  # zero frequency alone
    assert gain[0] == pytest.approx(transfer.gain[0])
    ring = np.abs(transfer.frequency - 0.5) < 0.125
    assert gain[frequency == 0.5] == pytest.approx(np.sqrt((transfer.gain[ring] ** 2).mean()))
    assert circulant_response(np.ones((5, 3, 3)), grid).profile(bins=4)[1].shape == (
        5,
        len(frequency),
    )


def test_wider_averages_are_lower_passes():
    grid = Grid(14, 14, periodic=True)
    centroids = [circulant_response(box_kernel(k), grid).centroid() for k in range(1, 14, 2)]
    assert centroids == sorted(centroids, reverse=True)
    assert circulant_response(laplacian_kernel(3), grid).high_pass_share() > 0.5
