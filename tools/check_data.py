"""Look through the data sets of a config before a run does: images, annotations, label maps.

Every file is read whole. Prints a count by kind and the files; the exit status is 1 if
something was found that stops a run or spoils its result. What the kinds mean stands in
docs/reliability.md.
"""

import argparse
import copy
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from mmengine.config import Config, ConfigDict
from rich.progress import track

from mmspanet import cli
from mmspanet.config_check import library_of
from mmspanet.datasets.check import FAULTS, NOTES, Finding, Sample, check_sample, read_samples
from mmspanet.datasets.meta import annotation_file
from mmspanet.datasets.paths import evaluators, has_annotations, part_datasets
from mmspanet.errors import InputError, WorkerError
from mmspanet.files import open_for_replacement
from mmspanet.processes import start_pool_worker

SHOWN = 5  # files of a kind
TEST = Path(__file__).with_name('test.py')
FILES = ('type', 'data_root', 'ann_file', 'data_prefix', 'split')  # what makes a data set

T = TypeVar('T')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--out', type=cli.output_file, help='CSV file for all findings')
    parser.add_argument(
        '--jobs', type=cli.positive_int, help='processes that read files (default: all cores)'
    )
    parser.add_argument(
        '--report',
        type=cli.output_file,
        nargs='?',
        const='',
        metavar='PAGE',
        help='make an HTML page: classes, sizes, places, near duplicates, examples (default '
        'work_dirs/data/CONFIG/report.html)',
    )
    parser.add_argument(
        '--checkpoint',
        help="with --report: weights of the config's model, for likely label mistakes",
    )
    cli.add_cfg_options(parser, 'such as train_dataloader.dataset.data_root=PATH')
    args = parser.parse_args()
    if args.checkpoint and args.report is None:
        parser.error('--checkpoint is for --report: add it')
    if args.report == '':
        args.report = Path('work_dirs/data', Path(args.config).stem, 'report.html')
    return args


def read_all(cfg: Config) -> tuple[list[Sample], set[Finding]]:
    """All images in the data sets of the config, and what is wrong with their annotations."""
    findings: set[Finding] = set()
    samples: dict[Sample, None] = {}
    places: list[str] = []
    scope = library_of(cfg)
    for part in ('train', 'val', 'test'):
        for place, dataset in part_datasets(cfg, part):
            read, found = read_samples(dataset, scope, has_annotations(cfg, part))
            places.append(place)
            print(f'{place}: {len(read)} images')
            if not read and not found:
                found = [Finding('no images', Path(dataset.get('data_root') or '.'))]
            samples |= dict.fromkeys(read)
            findings.update(found)
    if not places:
        raise InputError('The config has no data sets: there is nothing to look through.')
    return list(samples), findings


def in_processes(
    function: Callable[[Sample], T], samples: list[Sample], jobs: int | None
) -> Iterator[T]:
    """What a function makes of each sample, in order."""
    with ProcessPoolExecutor(jobs, initializer=start_pool_worker) as pool:
        results = pool.map(function, samples, chunksize=16)
        try:
            yield from track(results, 'reading', total=len(samples))
        except BrokenProcessPool as error:
            raise WorkerError(
                "A process that reads files was killed, most likely by the system's memory limit: "
                'lower --jobs.'
            ) from error


def look_and_report(
    cfg: Config, args: argparse.Namespace, samples: list[Sample], findings: set[Finding]
) -> None:
    """Check the samples, add to the findings, and make the page."""
    try:
        from mmspanet.analysis.data.looks import look_at, read_part
        from mmspanet.analysis.data.report import mistakes_of, write
    except ModuleNotFoundError as error:
        raise InputError(
            f"The page needs {error.name}: pip install 'mmspanet[report]' brings it."
        ) from error
    scope = library_of(cfg)
    if args.checkpoint and scope == 'mmseg':
        raise InputError('--checkpoint finds label mistakes of detection and classification only.')
    looks = {}
    results = in_processes(look_at, samples, args.jobs)
    for sample, (found, look) in zip(samples, results, strict=True):
        findings.update(found)
        looks[sample] = look
    parts, mistaken = [], []
    for name, dataset in distinct_datasets(cfg):
        try:
            parts.append(read_part(name, dataset, scope))
        except (AssertionError, OSError, KeyError, TypeError, ValueError) as error:
            print(f'left out of the page: {name}, whose annotations have the faults below')
            print(f'({type(error).__name__}: {error})')
            continue
        if args.checkpoint and has_annotations(cfg, name.partition(' ')[0]):
            with TemporaryDirectory() as folder:
                predictions = predict(cfg, dataset, args.checkpoint, Path(folder))
                mistaken.append(mistakes_of(name, dataset, scope, predictions))
    if not parts:
        raise InputError('No data set of the config can be read: run it without --report first.')
    write(args.report, args.config, parts, looks, sort(findings), mistaken)
    print(f'{args.report} ({args.report.stat().st_size / 1e6:.1f} MB)')


def distinct_datasets(cfg: Config) -> Iterator[tuple[str, ConfigDict]]:
    """Name and config of each data set, once where several parts have the same."""
    seen = []
    for part in ('train', 'val', 'test'):
        for index, (_, dataset) in enumerate(part_datasets(cfg, part)):
            files = [(key, dataset.get(key)) for key in FILES]
            if files not in seen:
                seen.append(files)
                yield part if not index else f'{part} {index + 1}', dataset


def predict(cfg: Config, dataset: ConfigDict, checkpoint: str, folder: Path) -> Path:
    """Test a checkpoint on a data set in a process of its own; the file of the predictions."""
    changed = copy.deepcopy(cfg)
    pipeline = next(part_datasets(cfg, 'test'))[1].pipeline
    tested = dict(dataset, pipeline=pipeline, test_mode=True)
    tested.pop('filter_cfg', None)
    changed.test_dataloader.dataset = tested
    for evaluator in evaluators(changed, 'test'):
        if 'ann_file' in evaluator:
            evaluator.ann_file = str(annotation_file(dataset))
    config, out = folder / 'config.py', folder / 'predictions.pkl'
    changed.dump(config)
    options = ['--work-dir', folder / 'run', '--out', out, '--no-report']
    command = [sys.executable, TEST, config, checkpoint, *options]
    done = subprocess.run(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        said = done.stdout.strip().splitlines() or ['']
        raise InputError(f'The test of {checkpoint} failed: {said[-1]}')
    return out


def sort(findings: set[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.kind, finding.file, finding.detail))


def report(findings: list[Finding]) -> None:
    by_kind = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    for kinds, title in ((FAULTS, 'fault'), (NOTES, 'note')):
        for kind, meaning in kinds.items():
            if not by_kind[kind]:
                continue
            print(f'\n{title}: {kind}, {len(by_kind[kind])} times ({meaning})')
            for finding in by_kind[kind][:SHOWN]:
                print(f'  {finding.file} {finding.detail}'.rstrip())
            if len(by_kind[kind]) > SHOWN:
                print(f'  and {len(by_kind[kind]) - SHOWN} more')


def write(findings: list[Finding], path: Path) -> None:
    with open_for_replacement(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(('kind', 'file', 'detail'))
        writer.writerows((finding.kind, finding.file, finding.detail) for finding in findings)


def main() -> None:
    args = parse_args()
    cfg = cli.load_config(args.config, args.cfg_options)
    samples, found = read_all(cfg)
    if args.report is None:
        for more in in_processes(check_sample, samples, args.jobs):
            found.update(more)
    else:
        look_and_report(cfg, args, samples, found)
    findings = sort(found)
    report(findings)
    if args.out:
        write(findings, args.out)
    faults = sum(finding.kind in FAULTS for finding in findings)
    print(f'\n{faults} faults, {len(findings) - faults} notes')
    if faults:
        sys.exit(1)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
