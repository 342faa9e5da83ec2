"""The graph-spectral frame against closed forms, and its fast paths against dense eigenvectors."""

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
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
    attention_matrix,
    attention_of,
    box_kernel,
    distance_logits,
    gaussian_kernel,
    laplacian_kernel,
    partition_mask,
    random_kernels,
    random_logits,
    window_mask,
)
from mmspanet.analysis.theory.spectrum import (
    Response,
    circulant_eigenbasis_response,
    circulant_response,
    dft_response,
    eigenbasis_response,
    filter_response,
)
from mmspanet.models import Attention, MixAttention

QUICK = settings(max_examples=25, deadline=None)

TORUS = Grid(6, 9, periodic=True)
BOUNDED = Grid(6, 9, periodic=False)

grids = st.builds(Grid, st.integers(3, 7), st.integers(3, 7), st.booleans())
odd = st.sampled_from([1, 3, 5, 7])
seeds = st.integers(0, 2**32 - 1)


def kernel_of(seed, height, width):
    return np.random.default_rng(seed).standard_normal((height, width))


def dft_vectors(grid):
    """Unit-norm DFT vectors as columns, (N, N)."""
    y, x = (scipy.fft.fft(np.eye(n), norm='ortho').conj() for n in (grid.height, grid.width))
    return np.kron(y, x)


# --- operators ------------------------------------------------------------------------------


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


@pytest.mark.parametrize('kernel', [box_kernel(5), gaussian_kernel(5, 1.2)])
def test_averages_keep_the_mean_and_laplacians_remove_it(kernel):
    assert kernel.sum() == pytest.approx(1)
    assert laplacian_kernel(5).sum() == pytest.approx(0)


def test_gaussian_kernel_falls_with_the_distance():
    kernel = gaussian_kernel(5, sigma=2)
    assert kernel[2, 4] / kernel[2, 2] == pytest.approx(np.exp(-0.5))
    assert kernel[0, 0] / kernel[2, 2] == pytest.approx(np.exp(-1))


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


def test_partition_mask_averages_each_window_by_itself():
    grid = Grid(4, 6, periodic=False)
    matrix = attention_matrix(np.zeros((24, 24)), partition_mask(grid, 2))
    image = np.random.default_rng(0).random((4, 6))
    means = image.reshape(2, 2, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(
        (matrix @ image.ravel()).reshape(4, 6), np.kron(means, np.ones((2, 2)))
    )


def test_distance_logits_are_a_wrapped_gaussian_window():
    grid = Grid(9, 9, periodic=True)
    matrix = attention_matrix(distance_logits(grid, sigma=1.5))
    np.testing.assert_allclose(matrix, convolution_matrix(gaussian_kernel(9, 1.5), grid))
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


@pytest.mark.parametrize('kind', [Attention, MixAttention])
def test_attention_of_a_mixer_gives_back_what_it_computes(kind):
    torch.manual_seed(0)
    mixer = kind(64, (5, 6)).double()
    x = 3 * torch.randn(2, 64, 5, 6, dtype=torch.double)
    matrices = torch.from_numpy(attention_of(mixer, x))
    with torch.no_grad():
        qkv = mixer.qkv(x)
        values = qkv[:, 128:].unflatten(1, (2, 32)).flatten(3)  # (B, heads, 32, N)
        expected = mixer._attend(qkv).unflatten(1, (2, 32)).flatten(3)
    torch.testing.assert_close(values @ matrices.transpose(2, 3), expected)


# --- Laplacians -----------------------------------------------------------------------------


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


# --- responses ------------------------------------------------------------------------------


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


# --- summaries ------------------------------------------------------------------------------


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
