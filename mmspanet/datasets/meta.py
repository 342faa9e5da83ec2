"""What a data set's config says of its classes, before any of its files is read."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS

from mmspanet.config_check import building_errors
from mmspanet.errors import InputError


def numbered(names: Sequence[str], count: int) -> list[str]:
    """The names of classes, and the numbers of those that have none: at least ``count``."""
    return [*names, *map(str, range(len(names), count))]


def metainfo(dataset: ConfigDict, scope: str) -> dict[str, Any]:
    """The names and colors of a data set's classes, as its library takes them.

    That is the ``METAINFO`` of its type, under the ``metainfo`` of its config, whose values may
    name files.

    Args:
        dataset: The data set's part of a config, without wrappers such as RepeatDataset.
        scope: ``default_scope`` of the config.

    Raises:
        InputError: If the library has no data set of that type, or it no such metainfo, or if the
            classes are a text.
    """
    name = dataset.get('type')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        kind = registry.get(name) if isinstance(name, str) else None
        if kind is None:
            raise InputError(f'There is no data set {name!r} in {scope}.')
        with building_errors(f'The data set {name} can not be built'):
            meta = kind._load_metainfo(dataset.get('metainfo'))
    classes = meta.get('classes')
    if isinstance(classes, str):
        raise InputError(
            f"metainfo.classes is the text {classes!r}, and no file of that name: write ('a', 'b') "
            f"for several classes, and ('{classes}',) for one."
        )
    return meta
