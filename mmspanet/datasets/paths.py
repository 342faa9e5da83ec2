"""Where a config says that its data sets are, and whether they are there."""

import json
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmspanet.errors import InputError

from .check import classes_as_numbered
from .meta import metainfo


def check_data(cfg: Config, parts: tuple[str, ...]) -> None:
    """Check that the data sets of ``parts`` ('train', 'val', 'test') are where ``cfg`` says.

    Raises:
        FileNotFoundError: Names what was looked for, the setting and the remedy.
        InputError: If a COCO-style file for which classes are given is none, or if these are not
            its categories, in order.
    """
    for part in parts:
        loader = cfg.get(f'{part}_dataloader')
        if loader is None:
            continue
        for place, dataset in leaf_datasets(loader['dataset'], f'{part}_dataloader.dataset'):
            for setting, path in dataset_paths(dataset):
                if not path.exists():
                    raise FileNotFoundError(_says_missing_data(path, f'{place}.{setting}'))
            _check_coco_classes(dataset, place)


def leaf_datasets(dataset: ConfigDict, place: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset['dataset'], f'{place}.dataset')
    elif 'datasets' in dataset:
        for i, child in enumerate(dataset['datasets']):
            yield from leaf_datasets(child, f'{place}.datasets.{i}')
    else:
        yield place, dataset


def dataset_paths(dataset: ConfigDict) -> Iterator[tuple[str, Path]]:
    """The settings of a data set that name its files, and the paths that they make."""
    root = Path(dataset.get('data_root') or '')
    if dataset.get('data_root'):
        yield 'data_root', root
    if dataset.get('ann_file'):
        yield 'ann_file', root / dataset['ann_file']
    if dataset.get('split') and dataset.get('type') == 'ImageNet':  # a name in other data sets
        yield 'split', root / dataset['split']
    prefix = dataset.get('data_prefix') or {}
    for key, value in (prefix if isinstance(prefix, dict) else {'': prefix}).items():
        if value:
            yield f'data_prefix.{key}'.rstrip('.'), root / value


def _check_coco_classes(dataset: ConfigDict, place: str) -> None:
    """MMDetection numbers classes in the file's order and leaves out unknown ones, silently."""
    if dataset.get('type') != 'CocoDataset' or 'classes' not in (dataset.get('metainfo') or {}):
        return
    classes = list(metainfo(dataset, 'mmdet')['classes'])
    path = Path(dataset.get('data_root') or '') / dataset['ann_file']
    try:
        names = [category['name'] for category in json.loads(path.read_text())['categories']]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path} is no annotation file in the format of COCO: {error!r}.'
        ) from error
    ordered = classes_as_numbered(names, classes)
    if ordered != classes:
        unknown = ', '.join(name for name in classes if name not in names)
        remedy = f'give them in the order of the file, {tuple(ordered)}'
        if unknown:
            remedy = f'it has no category {unknown}, only {", ".join(names)}'
        raise InputError(f'{place}.metainfo.classes do not fit {path}: {remedy}.')


def _says_missing_data(path: Path, setting: str) -> str:
    if 'shapes' in path.parts:
        return f'{path} ({setting}) does not exist: write it with python tools/make_shapes.py.'
    return (
        f'{path} ({setting}) does not exist: put the data set there (the README shows the '
        f'layout), or give its place with --cfg-options {setting}=PATH.'
    )
