"""Token mixers as matrices on a grid of nodes: kernels of convolutions and attention matrices."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmspanet.models import Attention

from .grid import Array, Grid, convolution_matrix

Rng = np.random.Generator


def box_kernel(window: int) -> Array:
    """The mean over a k x k window, k odd."""
    return np.full((window, window), 1 / window**2)


def gaussian_kernel(window: int, sigma: float) -> Array:
    """exp(-d^2 / (2 sigma^2)) over a k x k window, with sum 1; sigma in nodes."""
    offset = np.arange(window) - window // 2
    profile = np.exp(-(offset**2) / (2 * sigma**2))
    kernel = np.outer(profile, profile)
    return kernel / kernel.sum()


def laplacian_kernel(window: int) -> Array:
    """The center minus the mean over a k x k window, k odd: a high-pass."""
    kernel = -box_kernel(window)
    kernel[window // 2, window // 2] += 1
    return kernel


def random_kernels(rng: Rng, count: int, window: int, signed: bool) -> Array:
    """Kernels of independent normal weights, (count, k, k), of unit norm.

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
    """The softmax of each row, D^-1 A with A = exp(logits): (..., N, N), rows sum to 1.

    Args:
        logits: Scaled products of queries and keys, (..., N, N); zeros give uniform attention.
        mask: (N, N), which pairs of nodes attend; all by default. See :func:`window_mask`.
    """
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def random_logits(rng: Rng, grid: Grid, head_dim: int = 32) -> Array:
    """q k^T / sqrt(d) of independent standard normal queries and keys: (N, N), variance 1."""
    query, key = rng.standard_normal((2, grid.nodes, head_dim))
    return query @ key.T / np.sqrt(head_dim)


def distance_logits(grid: Grid, sigma: float) -> Array:
    """-d^2 / (2 sigma^2), (N, N), with the distance d of two nodes: the near attend to each other.

    Distances go the shorter way round on a periodic grid. ``sigma`` is in nodes.
    """
    y, x = np.divmod(np.arange(grid.nodes), grid.width)
    dy, dx = np.abs(y[:, None] - y), np.abs(x[:, None] - x)
    if grid.periodic:
        dy, dx = np.minimum(dy, grid.height - dy), np.minimum(dx, grid.width - dx)
    return -(dy**2 + dx**2) / (2 * sigma**2)


def window_mask(grid: Grid, window: int) -> NDArray[np.bool_]:
    """Each node attends to the k x k window around it, k odd (sliding windows): (N, N)."""
    return convolution_matrix(box_kernel(window), grid) > 0


def partition_mask(grid: Grid, window: int) -> NDArray[np.bool_]:
    """Each node attends to its own one of the non-overlapping k x k windows (as Swin): (N, N)."""
    y, x = np.divmod(np.arange(grid.nodes), grid.width)
    owner = y // window * grid.width + x // window
    return owner[:, None] == owner


def attention_of(mixer: Attention, x: Tensor) -> Array:
    """The attention matrices of a model's mixer for its own queries and keys.

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
