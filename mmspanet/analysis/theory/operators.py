"""Token mixers as matrices on a grid of nodes: kernels of convolutions and attention matrices."""

import numpy as np
import scipy.special
from numpy.typing import NDArray

from .grid import Array, Grid, convolution_matrix

Rng = np.random.Generator


def box_kernel(window: int) -> Array:
    """Make the mean over a k x k window, k odd: (k, k)."""
    return np.full((window, window), 1 / window**2)


def laplacian_kernel(window: int) -> Array:
    """Make the center minus the mean over a k x k window, k odd: a high-pass, (k, k)."""
    kernel = -box_kernel(window)
    kernel[window // 2, window // 2] += 1
    return kernel


def random_kernels(rng: Rng, count: int, window: int, signed: bool) -> Array:
    """Draw kernels of independent normal weights with unit norm: (count, k, k).

    Args:
        rng: Source of the weights.
        count: Number of kernels.
        window: Their side k.
        signed: Keep the signs, as a freshly initialized layer has them. Else the absolute
            values are taken.
    """
    kernels = rng.standard_normal((count, window, window))
    if not signed:
        kernels = np.abs(kernels)
    return kernels / np.linalg.norm(kernels, axis=(1, 2), keepdims=True)


def attention_matrix(logits: Array, mask: NDArray[np.bool_] | None = None) -> Array:
    """Take the softmax of each row, D^-1 A with A = exp(logits): (..., N, N), rows sum to 1.

    Args:
        logits: Scaled products of queries and keys, (..., N, N); zeros give uniform attention.
        mask: (N, N), which pairs of nodes attend; all by default. See :func:`window_mask`.
    """
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    return scipy.special.softmax(logits, axis=-1)


def random_logits(rng: Rng, grid: Grid, head_dim: int = 32) -> Array:
    """Draw q k^T / sqrt(d) of standard normal queries and keys: (N, N), variance 1."""
    query, key = rng.standard_normal((2, grid.nodes, head_dim))
    return query @ key.T / np.sqrt(head_dim)


def distance_logits(grid: Grid, sigma: float) -> Array:
    """Compute -d^2 / (2 sigma^2) of the distance d of two nodes, so that near ones attend: (N, N).

    On a periodic grid distances are taken around the border where that is shorter. ``sigma`` is
    in nodes.
    """
    y, x = np.divmod(np.arange(grid.nodes), grid.width)
    dy, dx = np.abs(y[:, None] - y), np.abs(x[:, None] - x)
    if grid.periodic:
        dy, dx = np.minimum(dy, grid.height - dy), np.minimum(dx, grid.width - dx)
    return -(dy**2 + dx**2) / (2 * sigma**2)


def window_mask(grid: Grid, window: int) -> NDArray[np.bool_]:
    """Let each node attend to the k x k window around it, k odd (sliding windows): (N, N)."""
    return convolution_matrix(box_kernel(window), grid) > 0
