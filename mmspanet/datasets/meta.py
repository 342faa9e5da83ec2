"""What a data set's config says of its classes and files, before any of them is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS

from mmspanet.config_check import building_errors
from mmspanet.errors import InputError


def annotation_file(dataset: ConfigDict) -> Path:
    """The file of annotations; the folder of the data set where none is named."""
    return Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')


def image_folder(dataset: ConfigDict) -> Path:
    """The folder of the images of a data set in COCO's format."""
    prefix = (dataset.get('data_prefix') or {}).get('img') or ''
    return Path(dataset.get('data_root') or '', prefix)


def labels_by_id(content: dict[str, Any], classes: Sequence[str]) -> dict[int, int]:
    """The index in ``classes`` of each category of a file in COCO's format that is among them."""
    return {
        category['id']: classes.index(category['name'])
        for category in content['categories']
        if category['name'] in classes
    }


def numbered(names: Sequence[str], count: int) -> list[str]:
    """The names of classes, and the numbers of those that have none: at least ``count``."""
    return [*names, *map(str, range(len(names), count))]


def class_of(dataset: ConfigDict, scope: str | None) -> type | None:
    """The registered class of a data set's ``type``; None where a library has none of that name."""
    name = dataset.get('type')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(name) if isinstance(name, str) else None


def metainfo(dataset: ConfigDict, scope: str) -> dict[str, Any]:
    """The names and colors of a data set's classes, as its library takes them.

    That is the ``METAINFO`` of its type, under the ``metainfo`` of its config, whose values may
    name files. Where its colors are not of these classes, there are none.

    Args:
        dataset: The data set's part of a config, without wrappers such as RepeatDataset.
        scope: ``default_scope`` of the config.

    Raises:
        InputError: If the library has no data set of that type, or it no such metainfo, or if the
            classes are a text.
    """
    name = dataset.get('type')
    kind: Any = class_of(dataset, scope)
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
    if classes and not _fit(meta.get('palette') or (), classes, scope):
        meta['palette'] = _colors_by_name(classes, kind.METAINFO)
    return meta


def _fit(palette: Sequence[Any], classes: Sequence[str], scope: str) -> bool:
    """MMSegmentation's visualizer takes as many colors as classes, the others more, too."""
    return len(palette) == len(classes) or (scope != 'mmseg' and len(palette) > len(classes))


def _colors_by_name(classes: Sequence[str], whole: dict[str, Any]) -> list[Any]:
    """The colors of some classes of a data set's type; none where it does not have them all."""
    colors = dict(zip(whole.get('classes', ()), whole.get('palette', ()), strict=False))
    return [colors[name] for name in classes] if colors.keys() >= {*classes} else []
