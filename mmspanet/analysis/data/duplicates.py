"""Images that look alike, found by perceptual hashes."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

BITS = 64
NEAR = 4  # bits that hashes of near duplicates differ in at most


def near_groups(hashes: Sequence[int], most: int = NEAR) -> list[list[int]]:
    """Groups of hashes that are near to each other, directly or by way of others.

    Hashes that differ in at most ``most`` bits are equal in one of ``most + 1`` bands of their
    bits: only those are compared, so that the time grows about as their number.

    Args:
        hashes: Of 64 bits.
        most: Bits that neighbors differ in at most.

    Returns:
        Indices, a list for each group of at least two, the largest group first.
    """
    values, inverse = np.unique(np.array(hashes, np.uint64), return_inverse=True)
    edges = np.linspace(0, BITS, most + 2).astype(int)
    pairs: list[NDArray[np.int64]] = [np.zeros((2, 0), np.int64)]
    for begin, end in pairwise(edges):
        mask = np.uint64(((1 << int(end - begin)) - 1) << int(begin))
        pairs += _near_pairs(values, values & mask, most)
    left, right = np.concatenate(pairs, 1)
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(values),) * 2)
    _, group = connected_components(graph, directed=False)
    members = group[inverse]
    order = np.argsort(members, kind='stable')
    starts = np.flatnonzero(np.diff(members[order])) + 1
    groups = [part.tolist() for part in np.split(order, starts) if len(part) > 1]
    return sorted(groups, key=len, reverse=True)


def _near_pairs(
    values: NDArray[np.uint64], band: NDArray[np.uint64], most: int
) -> list[NDArray[np.int64]]:
    """Pairs of indices of near values among those of equal bands, each of shape (2, n)."""
    order = np.argsort(band, kind='stable')
    starts = np.flatnonzero(np.diff(band[order])) + 1
    found = []
    for bucket in np.split(order, starts):
        for place, index in enumerate(bucket[:-1]):
            others = bucket[place + 1 :]
            near = others[distances(values[index], values[others]) <= most]
            if len(near):
                found.append(np.stack([np.full(len(near), index), near]))
    return found


def distances(one: np.uint64, others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits in which a hash differs from others, of shape (n,)."""
    different = np.bitwise_xor(others, one).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(different, axis=1).sum(1, dtype=np.int64)
