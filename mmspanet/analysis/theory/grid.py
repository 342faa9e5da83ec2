"""The image grid as a graph: shifts, Laplacians, their eigenvectors and the 2-D DFT.

The nodes are the H x W positions of a feature map in row-major order, N = H * W. The paper
(arXiv 2503.23947) puts convolution and self-attention into one graph-spectral frame: patches are
nodes, a convolution is a weighted sum of shift matrices, attention is a dense row-stochastic
matrix. The paper does not specify the details; these choices are ours: the grid graph and its
k x k window, both boundaries, both Laplacians and all normalizations.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse.csgraph
from numpy.typing import NDArray

Array = NDArray[np.float64]

CROSS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""The stencil of the graph that joins each node with its four neighbors."""


@dataclass(frozen=True)
class Grid:
    """An H x W grid of nodes.

    Attributes:
        height: H, in nodes.
        width: W, in nodes.
        periodic: Whether opposite borders are joined (a torus: circular padding). Otherwise
            nodes beyond the border do not exist (zero padding).
    """

    height: int
    width: int
    periodic: bool

    @property
    def nodes(self) -> int:
        """N = H * W."""
        return self.height * self.width

    def radial_frequency(self) -> Array:
        """Compute |omega| / pi of every DFT frequency, (H, W) in fftfreq order.

        1 is the Nyquist frequency along one axis; sqrt(2), the diagonal, is a checkerboard.
        """
        y = 2 * np.fft.fftfreq(self.height)
        x = 2 * np.fft.fftfreq(self.width)
        return np.hypot(y[:, None], x[None])


def ring_numbers(frequency: Array, bins: int) -> NDArray[np.int64]:
    """Number the rings, ``bins`` per unit of frequency; ring 0 is zero frequency alone."""
    ring = np.rint(frequency * bins).astype(np.int64)
    return np.where(frequency > 0, np.maximum(ring, 1), 0)


def window_stencil(window: int) -> Array:
    """Make the stencil of the k-window graph: ones over (k, k), k odd, except the center.

    Raises:
        ValueError: If ``window`` is even.
    """
    if window % 2 == 0:
        raise ValueError(f'window={window} must be odd, so that it has a center.')
    stencil = np.ones((window, window))
    stencil[window // 2, window // 2] = 0
    return stencil


def convolution_matrix(kernel: Array, grid: Grid) -> Array:
    """Build M = sum_ab w_ab S_ab, with the shift matrices S_ab of the grid: (N, N).

    ``(M x)[p] = sum_a w[a] x[p + a]``, what a deep-learning library calls convolution, padded
    with zeros, or circularly where the grid is periodic. On a periodic grid M is
    block-circulant. With a 0/1 stencil it is the adjacency matrix of a graph.

    Args:
        kernel: (kh, kw), both odd. A periodic grid may be smaller: the kernel wraps around.
        grid: The nodes.
    """
    height, width = grid.height, grid.width
    y, x = np.divmod(np.arange(grid.nodes), width)
    matrix = np.zeros((grid.nodes, grid.nodes))
    for dy, dx, weight in _taps(kernel):
        to_y, to_x = y + dy, x + dx
        inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
        p = np.flatnonzero(inside | grid.periodic)
        matrix[p, (to_y[p] % height) * width + to_x[p] % width] += weight
    return matrix


def transfer_function(kernels: Array, grid: Grid) -> NDArray[np.complex128]:
    """Compute H(omega) = sum_a w[a] exp(i omega a), the response of convolutions on the torus.

    The DFT vectors exp(i omega p) are eigenvectors of every convolution matrix of a periodic
    grid and H(omega) are its eigenvalues, found in O(N log N).

    Args:
        kernels: (..., kh, kw), kh and kw odd.
        grid: Its height and width count; the boundary is taken as periodic.

    Returns:
        (..., H, W), in fftfreq order.
    """
    wrapped = np.zeros((*kernels.shape[:-2], grid.height, grid.width))
    for dy, dx, weight in _taps(kernels):
        wrapped[..., dy % grid.height, dx % grid.width] += weight
    return np.fft.fft2(wrapped).conj()


def laplacian(adjacency: Array, normalized: bool = False) -> Array:
    """Compute the Laplacian of a graph: D - A, or I - D^-1/2 A D^-1/2 if normalized.

    Args:
        adjacency: Symmetric edge weights A without loops, (N, N).
        normalized: Whether to normalize by the nodes' degrees D.

    Returns:
        (N, N).
    """
    return scipy.sparse.csgraph.laplacian(adjacency, normed=normalized)


def torus_eigenvalues(stencil: Array, grid: Grid, normalized: bool = False) -> Array:
    """Compute the Laplacian eigenvalues of a torus, one per DFT vector, (H, W), in O(N log N).

    ``lambda(omega) = sum_a s[a] (1 - cos(omega a))``, over ``sum_a s[a]`` if normalized, for a
    point-symmetric stencil s of edge weights.
    """
    degree = stencil.sum()
    eigenvalues = degree - transfer_function(stencil, grid).real
    return eigenvalues / degree if normalized else eigenvalues


def _taps(kernels: Array) -> list[tuple[int, int, Array]]:
    """Offsets from the center, and the weights there, of (..., kh, kw)."""
    height, width = kernels.shape[-2:]
    if height % 2 == 0 or width % 2 == 0:
        raise ValueError(f'The kernel is {height} x {width}: both sides must be odd.')
    return [
        (a - height // 2, b - width // 2, kernels[..., a, b])
        for a in range(height)
        for b in range(width)
    ]
