"""Adaptive pooling for maps of any size: PyTorch's exporter fixes the bins of its example."""

from typing import Any

import torch
from torch import Tensor, nn


class FreeAveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as a product per axis, whose matrices the graph makes.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Average (B, C, H, W) in bins."""
        # Ranks are equal throughout: OpenVINO's CPU plugin asks for it where sizes are free.
        rows, columns = (
            bins(*sides)[None, None] for sides in zip(x.shape[2:], self.size, strict=True)
        )
        return rows @ x @ columns.mT


def bins(size: int, count: int) -> Tensor:
    """The matrix (count, size) that averages ``size`` values in bins.

    Bin k is from floor(k size / count) to ceil((k + 1) size / count), as PyTorch has it.
    """
    number, place = torch.arange(count)[:, None], torch.arange(size)
    whole = torch.full((), size)
    start, end = number * whole // count, ((number + 1) * whole + count - 1) // count
    return ((place >= start) & (place < end)) / (end - start)


def free_pools(model: nn.Module) -> None:
    """Replace, in place, the adaptive pools of a model that have several bins."""
    for parent in list(model.modules()):
        for name, pool in parent.named_children():
            if isinstance(pool, nn.AdaptiveAvgPool2d):
                size: Any = pool.output_size
                rows, columns = (size, size) if isinstance(size, int) else size
                if (rows, columns) != (1, 1):
                    setattr(parent, name, FreeAveragePool((rows, columns)))
