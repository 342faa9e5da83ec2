"""What a data set's config says of its classes, before any of its files is read."""

from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS


def metainfo(dataset: ConfigDict, scope: str) -> dict[str, Any]:
    """The names and colors of a data set's classes, as its library takes them.

    That is the ``METAINFO`` of its type, under the ``metainfo`` of its config, whose values may
    name files.

    Args:
        dataset: The data set's part of a config, without wrappers such as RepeatDataset.
        scope: ``default_scope`` of the config.
    """
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(dataset.type)._load_metainfo(dataset.get('metainfo'))
