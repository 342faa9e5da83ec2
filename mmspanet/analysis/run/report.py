"""The page of a run: its curves, figures and pictures, and what they suggest."""

import datetime
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

import mmspanet
from mmspanet import cli
from mmspanet.analysis import page
from mmspanet.analysis.page import Facts, Gallery, Hints, Section, Table
from mmspanet.config_check import TASKS, library_of
from mmspanet.datasets.paths import part_datasets
from mmspanet.engine.record import NAME as RECORD
from mmspanet.errors import InputError
from mmspanet.files import write_text

from . import advice, classifier, detector, drawings, pictures, segmentor
from .advice import Hint
from .logs import Log, metric_names, read_log
from .predictions import newest_predictions, read_predictions

TEMPLATE = Path(page.__file__).with_name('sections.html')
MOST_SETTINGS = 300  # rows of the config's difference
SECTIONS: dict[str, Callable[..., tuple[list[Section], list[Hint]]]] = dict(
    mmdet=detector.sections, mmseg=segmentor.sections, mmpretrain=classifier.sections
)


def write(
    work_dir: Path,
    out: Path,
    config: str | None = None,
    predictions: Path | None = None,
    part: str | None = None,
    compare: Sequence[Path] = (),
    shown: int = 6,
) -> list[str]:
    """Write the page of a run, and its figures, tables and pictures beside it.

    Args:
        work_dir: Of tools/train.py or tools/test.py.
        out: The page.
        config: The config that the run was started with; by default what the run noted.
        predictions: Of a test; by default the newest in the work dir.
        part: 'val' or 'test', what they are of; by default what the run noted, or 'test'.
        compare: Work dirs of further runs, whose curves go over those of this one.
        shown: Pictures of each kind.

    Returns:
        What could not be shown, and why, one sentence each.

    Raises:
        InputError: If the folder is not that of a run, or ``predictions`` are not of it.
        WriteError: If a file can not be written.
    """
    log = read_log(work_dir)
    cfg = run_config(work_dir, log)
    scope = library_of(cfg)
    path = predictions or newest_predictions(work_dir) or _noted_predictions(work_dir)
    record = _record(work_dir, log, path)
    left_out: list[str] = []

    def attempt(make: Callable[[], Any], nothing: Any) -> Any:
        """What can be made; else a sentence says why not, and the rest is shown."""
        try:
            return make()
        except (InputError, OSError) as error:
            left_out.append(str(error))
            return nothing

    measured: list[Section] = []
    hints = advice.from_log(log, cfg)
    if path is None:
        left_out.append(
            'Figures and pictures of predictions: the run kept none; add --checkpoint best to test '
            'it and have them.'
        )
    else:

        def of_predictions() -> tuple[list[Section], list[Hint]]:
            dataset = _dataset(cfg, part or record.get('part', 'test'))
            given = path if scope == 'mmseg' else read_predictions(path)
            return SECTIONS[scope](dataset, given, shown)

        # What the user named has to be right.
        measured, more = of_predictions() if predictions else attempt(of_predictions, ([], []))
        hints = [*more, *hints]
    logs = [log, *map(read_log, compare)]
    runs = dict(zip(run_names([work_dir, *compare]), logs, strict=True))
    sections = [
        *_training(runs),
        _next(hints),
        *measured,
        *attempt(lambda: _batches(cfg, shown), []),
        _setup(log, cfg, config or record.get('config'), record),
    ]
    sections = [section for section in sections if section.parts or section.texts]
    facts = [
        *_facts(work_dir, log, cfg, scope, path, record),
        *(('Left out', text) for text in left_out),
    ]
    title = f'{TASKS[scope].capitalize()}: {_model_name(cfg)}, {work_dir.resolve().name}'
    text = page.fill(TEMPLATE.read_text(), title, facts, sections)
    write_text(out, text)
    page.save(sections, out.parent)
    return left_out


def run_names(folders: Sequence[Path]) -> list[str]:
    """What curves call runs: their folders, with those around them where names repeat."""
    paths = [folder.resolve() for folder in folders]
    names = [path.name for path in paths]
    if len(set(names)) < len(set(paths)):
        common = os.path.commonpath([path.parent for path in paths])
        names = [path.relative_to(common).as_posix() for path in paths]
    return names


def run_config(work_dir: Path, log: Log) -> Config:
    """The config of a run as MMEngine dumped it, with what the command line changed.

    Raises:
        InputError: If there is none.
    """
    dumped = [log.folder / 'vis_data/config.py', *sorted(work_dir.glob('*.py'))]
    path = next((path for path in dumped if path.is_file()), None)
    if path is None:
        raise InputError(f'{work_dir} holds no config, which a run writes there.')
    return cli.load_config(str(path))


def _noted_predictions(work_dir: Path) -> Path | None:
    """What the newest test wrote elsewhere, as its record has it."""
    for record in sorted(work_dir.glob(f'*/{RECORD}'), reverse=True):
        path = json.loads(record.read_text(encoding='utf-8')).get('predictions')
        if path is not None and Path(path).exists():
            return Path(path)
    return None


def _record(work_dir: Path, log: Log, predictions: Path | None) -> dict[str, Any]:
    """What the run noted of itself, and, as ``part`` and ``source``, of its predictions."""
    noted = {
        path.parent: json.loads(path.read_text(encoding='utf-8'))
        for path in sorted(work_dir.glob(f'*/{RECORD}'))
    }
    record = noted.get(log.folder, {})
    if predictions is None:
        return record
    of_predictions = noted.get(predictions.parent, {})
    for other in noted.values():
        if other.get('predictions') == str(predictions.resolve()):
            of_predictions = other
    own = {key: value for key, value in record.items() if key not in ('part', 'source')}
    return own | {key: of_predictions[key] for key in ('part', 'source') if key in of_predictions}


def _dataset(cfg: Config, part: str) -> ConfigDict:
    datasets = [dataset for _, dataset in part_datasets(cfg, part)]
    if len(datasets) != 1:
        raise InputError(
            f'Figures and pictures are of one data set, and the config has {len(datasets)} in its '
            f'{part}_dataloader: test on one, and name it by --part.'
        )
    return datasets[0]


def _training(runs: Mapping[str, Log]) -> list[Section]:
    """Curves of one run or of several, and of several the last and best values."""
    parts: list[Any] = list(drawings.curves(runs))
    if len(runs) > 1:
        parts.append(Table('compared', 'Last and best values', _compared(runs)))
    return [Section('curves', 'Curves', [], parts)]


def _compared(runs: Mapping[str, Log]) -> list[dict[str, Any]]:
    rows = []
    for name, log in runs.items():
        losses = [row['loss'] for row in log.training if 'loss' in row]
        iterations = log.training[-1]['step'] if log.training else None
        row: dict[str, Any] = dict(run=name, iterations=iterations)
        row['last loss'] = float(losses[-1]) if losses else None
        for metric in dict.fromkeys(m for other in runs.values()
                                    for m in metric_names(other.validation)):  # fmt: skip
            values = [float(r[metric]) for r in log.validation if metric in r]
            row[f'{metric}, last'] = values[-1] if values else None
            row[f'{metric}, highest'] = max(values, default=None)
        rows.append(row)
    return rows


def _next(hints: Sequence[Hint]) -> Section:
    if not hints:
        return Section('next', 'What to try next', ['No rule of this page finds anything amiss.'])
    return Section('next', 'What to try next', [], [Hints(hints)])


def _batches(cfg: Config, shown: int) -> list[Section]:
    if not cfg.get('train_dataloader'):
        return []
    drawn = pictures.augmented(cfg, 2 * shown)
    note = ('As the pipeline hands them to the model, labels drawn on; what the model itself mixes '
            '(Mixup, CutMix) comes later.')  # fmt: skip
    return [Section('batches', 'Training images as augmented', [],
                    [Gallery('augmented', 'A sample', drawn, note)])]  # fmt: skip


def _setup(log: Log, cfg: Config, config: str | None, record: dict[str, Any]) -> Section:
    """The config's difference to its base, data set sizes and the environment."""
    texts, parts = [], []
    rows = config_difference(cfg, config)
    if rows is None:
        texts.append('What the config changes of its base is not known: name its file by --config.')
    elif rows:
        note = f'Settings that differ from those of the _base_ of {config}, as run.'
        parts.append(Table('config', "The config's difference to its base", rows, note))
    else:
        texts.append(f'{config} changes nothing of its base.')
    sizes = record.get('images', {})
    if sizes:
        counted = [dict(part=name, images=count) for name, count in sizes.items()]
        parts.append(Table('data_sets', 'Data sets', counted))
    lines = [*record.get('versions', {}).items(), *log.environment]
    if lines:
        environment = [dict(name=name, value=value) for name, value in lines]
        parts.append(Table('environment', 'Environment of the run', environment))
    return Section('setup', 'What was run', texts, parts)


def config_difference(cfg: Config, config: str | None) -> list[dict[str, str]] | None:
    """The settings of a run that differ from those of its config's base.

    Args:
        cfg: As run.
        config: The file that the run was started with.

    Returns:
        Rows of a setting, the base's value and the run's; None if the file is not there.
    """
    if config is None or not Path(config).is_file():
        return None
    base: dict[str, Any] = {}
    for name in Config._get_base_files(str(config)):
        path, scope = Config._get_cfg_path(name, str(config))
        base |= _flat(Config.fromfile(path if scope is None else f'{scope}::{name}').to_dict())
    run = _flat({key: value for key, value in cfg.to_dict().items() if key != 'work_dir'})
    keys = [key for key in dict.fromkeys([*base, *run]) if base.get(key) != run.get(key)]
    return [
        dict(setting=key, base=base.get(key, ''), run=run.get(key, ''))
        for key in keys[:MOST_SETTINGS]
    ]


def _flat(value: Any, name: str = '') -> dict[str, str]:
    """Leaves of a nested config by their dotted names, as text."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    leaves: dict[str, str] = {}
    for key, child in items:
        place = f'{name}.{key}' if name else str(key)
        nested = isinstance(child, dict) or (
            isinstance(child, list | tuple) and any(isinstance(c, dict | list) for c in child)
        )
        if nested:
            leaves |= _flat(child, place)
        else:
            leaves[place] = repr(list(child) if isinstance(child, tuple) else child)
    return leaves


def _model_name(cfg: Config) -> str:
    model = cfg.get('model') or {}
    return str(model.get('type', 'model'))


def _facts(
    work_dir: Path,
    log: Log,
    cfg: Config,
    scope: str,
    predictions: Path | None,
    record: dict[str, Any],
) -> Facts:
    facts = [('Run', str(work_dir)), ('Task', TASKS[scope])]
    if log.training:
        last = log.training[-1]
        epochs = f' ({last["epoch"]} epochs)' if 'epoch' in last else ''
        resumed = f', resumed {len(log.restarts)} times' if log.restarts else ''
        facts.append(('Trained', f'{last["step"]} iterations{epochs}{resumed}'))
    for name, row in (('Last validation', log.validation[-1] if log.validation else {}),
                      ('Newest test', log.test)):  # fmt: skip
        values = ', '.join(
            f'{key} {page.number(float(row[key]))}' for key in metric_names([row]) if row[key] != -1
        )  # COCO's of sizes that do not occur
        if values:
            facts.append((name, values))
    if predictions is not None:
        source = f', {record["source"]}' if 'source' in record else ''
        facts.append(('Predictions', f'{predictions}{source}'))
    for name in ('config', 'commit', 'machine', 'command'):
        if name in record:
            facts.append((name.capitalize(), record[name]))
    made = f'{datetime.date.today()} by mmspanet {mmspanet.__version__}'
    return [*facts, ('Page made', made)]
