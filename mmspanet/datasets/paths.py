"""Whether a config's data sets are where it says, and fit to be run on."""

import inspect
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmspanet.errors import InputError
from mmspanet.processes import is_first_process

from .check import (
    FAULTS,
    Finding,
    check_sample,
    loads_masks,
    pipeline_steps,
    read_coco,
    read_samples,
)
from .coco import STOPPING, classes_as_numbered, is_sound, skim
from .meta import annotation_file, class_of, metainfo


def check_data(cfg: Config, parts: tuple[str, ...]) -> None:
    """Check that the data sets of ``parts`` are where ``cfg`` says, and that a run can read them.

    Every file is looked for; of annotations in COCO's format, all is read but polygons. The
    first of several processes does it for all, since such a file takes gigabytes of memory.

    Args:
        cfg: The config of a run.
        parts: Of 'train', 'val' and 'test', what is run; there has to be data for the first.

    Raises:
        InputError: Names what was looked for, the setting and the remedy.
        InputError: If there is no data set, or if its annotations would stop the run or spoil it.
    """
    if not cfg.get(f'{parts[0]}_dataloader'):
        raise InputError(f'The config has no {parts[0]}_dataloader, and so no data to run on.')
    if not is_first_process(cfg.get('launcher', 'none')):
        return
    for part in parts:
        for place, dataset in part_datasets(cfg, part):
            if _is_remote(dataset):
                continue
            for setting, path in dataset_paths(dataset):
                if not path.exists():
                    if _fetches_itself(dataset, cfg.get('default_scope')):
                        break
                    raise InputError(_says_missing_data(path, f'{place}.{setting}'))
                is_images = setting.startswith(('data_prefix', 'split')) and path.is_dir()
                if is_images and next(path.rglob('*'), None) is None:
                    raise InputError(f'{path} ({place}.{setting}) is an empty folder.')
            if dataset.get('type') in ('CocoDataset', 'mmdet.CocoDataset'):
                loads_none = 'LoadEmptyAnnotations' in dict(
                    pipeline_steps(dataset.get('pipeline') or [])
                )
                _check_coco(dataset, place, has_annotations(cfg, part) and not loads_none)


def broken_label_map(cfg: Config) -> Finding | None:
    """The first fault of the images and label maps that a segmentor trains and validates on.

    All of them are read until there is one: for the time after a run that has failed.
    """
    for part in ('train', 'val', 'test'):
        for _, dataset in part_datasets(cfg, part):
            samples, _ = read_samples(dataset, 'mmseg')
            for sample in samples:
                for finding in check_sample(sample):
                    if finding.kind in FAULTS:
                        return finding
    return None


def part_datasets(cfg: Config, part: str) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the place and config of each data set of a part, inside its wrappers.

    Raises:
        InputError: If the part is no loader of a data set.
    """
    place = f'{part}_dataloader'
    loader = cfg.get(place)
    if loader is None:
        return
    if not isinstance(loader, dict) or not isinstance(loader.get('dataset'), dict):
        raise InputError(f'{place} of the config has no dataset, a dict of its type and files.')
    yield from leaf_datasets(loader['dataset'], f'{place}.dataset')


def has_annotations(cfg: Config, part: str) -> bool:
    """Whether a part's images have to be annotated: not where results are only written down."""
    found = evaluators(cfg, part)
    return not found or not all(evaluator.get('format_only') for evaluator in found)


def evaluators(cfg: Config, part: str) -> list[ConfigDict]:
    """The evaluators of a part, of which a config has one, several in a list, or none."""
    found = cfg.get(f'{part}_evaluator') or []
    return found if isinstance(found, list) else [found]


def leaf_datasets(dataset: ConfigDict, place: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset['dataset'], f'{place}.dataset')
    elif 'datasets' in dataset:
        for i, child in enumerate(dataset['datasets']):
            yield from leaf_datasets(child, f'{place}.datasets.{i}')
    else:
        yield place, dataset


def _is_remote(dataset: ConfigDict) -> bool:
    """Whether a storage of MMEngine's, such as petrel, reads the files."""
    backend = (dataset.get('backend_args') or {}).get('backend', 'local')
    return backend != 'local' or '://' in str(dataset.get('data_root'))


def _fetches_itself(dataset: ConfigDict, scope: str | None) -> bool:
    """Whether a data set downloads files that are missing, such as MMPretrain's CIFAR10."""
    kind = class_of(dataset, scope)
    option = inspect.signature(kind).parameters.get('download') if kind else None
    return option is not None and bool(dataset.get('download', option.default))


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


def _check_coco(dataset: ConfigDict, place: str, annotated: bool) -> None:
    """Refuse annotations that stop a run, or classes that are not the file's."""
    path = annotation_file(dataset)
    if not path.is_file():
        raise InputError(f'{path} ({place}.ann_file) is no file of annotations.')
    try:
        content = skim(path)
    except (ValueError, RecursionError):
        content = None
    with_masks, is_measured = loads_masks(dataset), not place.startswith('train')
    if not is_sound(content, with_masks, annotated, is_measured):
        stopping = (*STOPPING, *(['degenerate polygon'] if with_masks and is_measured else []))
        _refuse(dataset, path, annotated, stopping)
        content = skim(path)
    if 'classes' in (dataset.get('metainfo') or {}):
        names = [category['name'] for category in content['categories']]
        _check_classes(names, list(metainfo(dataset, 'mmdet')['classes']), path, place)


def _refuse(dataset: ConfigDict, path: Path, annotated: bool, stopping: tuple[str, ...]) -> None:
    """Name what stops a run, after a look at the whole of the annotations."""
    _, findings = read_coco(dataset, annotated)
    found = [finding for finding in findings if finding.kind in stopping]
    if found:
        more = f' (and {len(found) - 1} more)' if len(found) > 1 else ''
        raise InputError(
            f'{path} has a fault, {found[0].kind}: {found[0].detail}{more}; python '
            'tools/check_data.py CONFIG lists them.'
        )


def _check_classes(names: list[str], classes: list[str], path: Path, place: str) -> None:
    """MMDetection numbers classes in the file's order and leaves out unknown ones, silently."""
    ordered = classes_as_numbered(names, classes)
    if ordered == classes:
        return
    remedy = f'give them in the order of the file, {tuple(ordered)}'
    unknown = ', '.join(name for name in classes if name not in names)
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
