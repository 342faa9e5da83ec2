"""How sure a difference between two runs is: bootstrap intervals over the held-out images.

Writes OUT_DIR/intervals.csv: for each run of OUT_DIR/runs.csv its difference to a run of the same
data set, seed and init, with the 95 % interval. Both are measured on the same resampled images;
frames of a video are drawn in blocks of ten that follow each other, for neighbors are alike.

What is counted on each image is in OUT_DIR/counts, for runs whose predictions are in
work_dirs/photographs it is counted anew. Intervals of runs that have neither stay as they are.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmspanet import cli
from mmspanet.errors import InputError
from projects.side_by_side.photographs.resampling import Areas, ByClass, Counts

if TYPE_CHECKING:
    from projects.side_by_side.photographs.training import Run

HERE = Path(__file__).parent
FRAMES = 10  # of a video, at one a second, that are drawn together
ROUNDING = 0.06  # points: MMDetection rounds AP to a tenth


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--against', default='spanetv2-pure', help='default: spanetv2-pure')
    parser.add_argument(
        '--resamples', type=cli.positive_int, default=1000, help='of the images (default: 1000)'
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def video_blocks(names: Sequence[str], length: int) -> np.ndarray:
    """The number of each frame's block of neighbors.

    Args:
        names: Of the frames, in order: CLIP_NUMBER.
        length: Frames of a block; the last one of a clip may have fewer.
    """
    numbers: list[int] = []
    for _, clip in itertools.groupby(names, lambda name: name.rpartition('_')[0]):
        begin = numbers[-1] + 1 if numbers else 0
        numbers += [begin + place // length for place, _ in enumerate(clip)]
    return np.array(numbers)


def interval(ours: Counts, theirs: Counts, resamples: int) -> tuple[float, float, float]:
    """The difference of two runs' metrics, and the ends of its 95 % interval (percentiles).

    Args:
        ours: Of the first run.
        theirs: Of the run whose metric is subtracted, on the same images.
        resamples: As many blocks as there are, are drawn so many times, with replacement.
    """
    blocks = ours.block.max() + 1
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(resamples):
        drawn = np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
        times = drawn[ours.block]
        differences.append(ours.metric.percent(times) - theirs.metric.percent(times))
    low, high = np.percentile(differences, [2.5, 97.5])
    once = np.ones(len(ours.block), int)
    return ours.metric.percent(once) - theirs.metric.percent(once), float(low), float(high)


def count(run: 'Run') -> Counts | None:
    """What is counted on each held-out image; None where the predictions are gone."""
    import cv2

    from projects.side_by_side.photographs import training
    from projects.side_by_side.photographs.parts import image_ids, label_maps

    cfg = training.read_config(run)
    dataset = cfg.val_dataloader.dataset
    if dataset.type == 'CocoDataset':
        annotations = Path(cfg.data_root) / dataset.ann_file
        predictions = run.work_dir / 'predictions.segm.json'
        if not predictions.is_file():
            return None
        most = cfg.val_evaluator[0].get('proposal_nums', (100,))[-1]
        matched = ByClass.of_files(annotations, predictions, most)
        return Counts(matched, np.arange(len(image_ids(annotations))))
    truths = label_maps(dataset)
    paths = [run.work_dir / 'predictions' / path.name for path in truths]
    if not paths or not all(path.is_file() for path in paths):
        return None
    maps = [[cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in of] for of in (paths, truths)]
    areas = Areas.of_maps(*maps, len(dataset.metainfo.classes))
    return Counts(areas, video_blocks([path.stem for path in truths], FRAMES))


def count_all(table: Path) -> dict['Run', Counts]:
    """The counts of a table's runs, which are noted beside it.

    Raises:
        InputError: If predictions are not those of the table's row.
    """
    from projects.side_by_side.photographs import training
    from projects.side_by_side.photographs.tables import in_percent

    found = {}
    for run, row in training.read_runs(table).items():
        path = table.parent / 'counts' / f'{run.name}.npz'
        counts = count(run)
        if counts is None:
            if path.is_file():
                found[run] = Counts.load(path)
            continue
        measured = counts.metric.percent(np.ones(len(counts.block), int))
        if abs(measured - in_percent(row['at_end'], run.data)) > ROUNDING:
            raise InputError(
                f'The predictions in {run.work_dir} are not those of {table}: remove the folder, '
                'or train with a new --out-dir.'
            )
        counts.save(path)
        found[run] = counts
    return found


def main() -> None:
    args = parse_args()
    import contextlib
    import io

    from mmspanet.analysis.tables import read_csv, write_csv
    from projects.side_by_side.photographs import training

    table, path = args.out_dir / 'runs.csv', args.out_dir / 'intervals.csv'
    with contextlib.redirect_stdout(io.StringIO()):
        counts = count_all(table)
    by_place = {(r.data, r.model, r.seed, r.init): r for r in counts}
    rows = []
    for run, ours in counts.items():
        other = by_place.get((run.data, args.against, run.seed, run.init))
        if other in (None, run):
            continue
        found = interval(ours, counts[other], args.resamples)
        keys = ('difference', 'low', 'high')
        rows.append(
            dict(run=run.name, against=other.name, blocks=int(ours.block.max()) + 1)
            | dict(resamples=args.resamples)
            | {key: round(value, 2) for key, value in zip(keys, found, strict=True)}
        )
    if not rows:
        raise InputError(
            f'No two runs of {table} have counts or predictions to compare: train with a new '
            '--out-dir, and give it here, too.'
        )
    pairs = {(row['run'], row['against']) for row in rows}
    known = {run.name for run in training.read_runs(table)}
    kept = [
        row
        for row in read_csv(path)
        if (row['run'], row['against']) not in pairs and {row['run'], row['against']} <= known
    ]
    write_csv(path, [*kept, *rows])


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
