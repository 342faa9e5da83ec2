"""Shifts, Laplacians and their eigenvalues, against SciPy and closed forms."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate

from mmspanet.analysis.theory.grid import (
    CROSS,
    Grid,
    convolution_matrix,
    laplacian,
    torus_eigenvalues,
    transfer_function,
    window_stencil,
)
from mmspanet.analysis.theory.operators import (
    box_kernel,
    window_mask,
)

from .helpers import BOUNDED, QUICK, TORUS, dft_vectors, grids, kernel_of, odd, seeds


@QUICK
@given(grids, odd, odd, seeds)
def test_convolution_matrix_is_scipys_correlation(grid, height, width, seed):
    kernel, image = kernel_of(seed, height, width), kernel_of(seed + 1, grid.height, grid.width)
    expected = correlate(image, kernel, mode='grid-wrap' if grid.periodic else 'grid-constant')
    given = convolution_matrix(kernel, grid) @ image.ravel()
    np.testing.assert_allclose(given, expected.ravel(), atol=1e-12)


@QUICK
@given(st.integers(3, 6), st.integers(3, 6), odd, odd, seeds)
def test_dft_vectors_diagonalize_convolutions_on_the_torus(height, width, kh, kw, seed):
    grid, kernel = Grid(height, width, periodic=True), kernel_of(seed, kh, kw)
    vectors = dft_vectors(grid)
    diagonal = vectors.conj().T @ convolution_matrix(kernel, grid) @ vectors
    expected = np.diag(transfer_function(kernel, grid).ravel())
    np.testing.assert_allclose(diagonal, expected, atol=1e-12)


def test_box_window_is_a_product_of_dirichlet_kernels():
    def dirichlet(n, k):
        omega = 2 * np.pi * np.arange(1, n) / n
        return np.concatenate([[1.0], np.sin(k * omega / 2) / (k * np.sin(omega / 2))])

    expected = np.outer(dirichlet(12, 5), dirichlet(15, 5))
    transfer = transfer_function(box_kernel(5), Grid(12, 15, periodic=True))
    np.testing.assert_allclose(transfer, expected, atol=1e-12)


def test_even_kernels_and_windows_are_refused():
    with pytest.raises(ValueError, match='3 x 4'):
        transfer_function(np.ones((3, 4)), TORUS)
    with pytest.raises(ValueError, match='window=4'):
        window_stencil(4)


def test_grid_graph_has_the_eigenvalues_and_cosine_vectors_of_two_paths():
    graph_laplacian = laplacian(convolution_matrix(CROSS, BOUNDED))
    path = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in (6, 9)]
    expected = np.add.outer(*path)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(graph_laplacian), np.sort(expected.ravel()), atol=1e-12
    )
    image = np.random.default_rng(0).random((6, 9))
    dct = scipy.fft.dctn(image, norm='ortho')
    given = scipy.fft.dctn((graph_laplacian @ image.ravel()).reshape(6, 9), norm='ortho')
    np.testing.assert_allclose(given, expected * dct, atol=1e-12)


def test_torus_eigenvalues_in_closed_form():
    y, x = (np.cos(2 * np.pi * np.arange(n) / n) for n in (6, 9))
    cross = 4 - 2 * y[:, None] - 2 * x[None]
    np.testing.assert_allclose(torus_eigenvalues(CROSS, TORUS), cross, atol=1e-12)
    window = 9 - (1 + 2 * y[:, None]) * (1 + 2 * x[None])
    np.testing.assert_allclose(torus_eigenvalues(window_stencil(3), TORUS), window, atol=1e-12)


@QUICK
@given(
    st.integers(3, 7),
    st.integers(3, 7),
    st.sampled_from([CROSS, window_stencil(3)]),
    st.booleans(),
)
def test_torus_eigenvalues_agree_with_the_dense_laplacian(height, width, stencil, normalized):
    grid = Grid(height, width, periodic=True)
    dense = np.linalg.eigvalsh(laplacian(convolution_matrix(stencil, grid), normalized))
    fast = torus_eigenvalues(stencil, grid, normalized)
    np.testing.assert_allclose(np.sort(fast.ravel()), dense, atol=1e-10)


def test_normalized_laplacian_of_a_bounded_window_graph():
    matrix = laplacian(convolution_matrix(window_stencil(5), BOUNDED), normalized=True)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    assert eigenvalues[0] == pytest.approx(0, abs=1e-12)
    assert eigenvalues[-1] < 2
    degree = window_mask(BOUNDED, 5).sum(axis=1) - 1
    np.testing.assert_allclose(np.abs(vectors[:, 0]), np.sqrt(degree / degree.sum()))
