"""Look through the data sets of a config before a run does: images, annotations, label maps.

Every file is read whole. Prints a count by kind and the files; the exit status is 1 if
something was found that stops a run or spoils its result. What the kinds mean stands in
docs/reliability.md.
"""

import argparse
import csv
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from mmengine.config import Config
from rich.progress import track

from mmspanet import cli
from mmspanet.config_check import library_of
from mmspanet.datasets.check import FAULTS, NOTES, Finding, Sample, check_sample, read_samples
from mmspanet.datasets.paths import has_annotations, part_datasets
from mmspanet.errors import InputError, WorkerError
from mmspanet.files import open_for_replacement
from mmspanet.processes import start_pool_worker

SHOWN = 5  # files of a kind


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--out', type=cli.output_file, help='CSV file for all findings')
    parser.add_argument(
        '--jobs', type=cli.positive_int, help='processes that read files (default: all cores)'
    )
    cli.add_cfg_options(parser, 'such as train_dataloader.dataset.data_root=PATH')
    return parser.parse_args()


def look(cfg: Config, jobs: int | None) -> list[Finding]:
    """All findings in the data sets of the config."""
    findings: set[Finding] = set()
    samples: set[Sample] = set()
    places: list[str] = []
    scope = library_of(cfg)
    for part in ('train', 'val', 'test'):
        for place, dataset in part_datasets(cfg, part):
            read, found = read_samples(dataset, scope, has_annotations(cfg, part))
            places.append(place)
            print(f'{place}: {len(read)} images')
            if not read and not found:
                found = [Finding('no images', Path(dataset.get('data_root') or '.'))]
            samples.update(read)
            findings.update(found)
    if not places:
        raise InputError('The config has no data sets: there is nothing to look through.')
    with ProcessPoolExecutor(jobs, initializer=start_pool_worker) as pool:
        results = pool.map(check_sample, samples, chunksize=16)
        try:
            for found in track(results, 'reading', total=len(samples)):
                findings.update(found)
        except BrokenProcessPool as error:
            raise WorkerError(
                "A process that reads files was killed, most likely by the system's memory limit: "
                'lower --jobs.'
            ) from error
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
    findings = look(cli.load_config(args.config, args.cfg_options), args.jobs)
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
