"""Some of a data set's images."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar('Item')


def subsample(items: Sequence[Item], count: int) -> list[Item]:
    """Take ``count`` items at equal distances, so that every class of a folder is met."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]
