"""How sure a difference between two runs is: bootstrap intervals over the held-out images.

Reads the predictions of the runs' last validations from work_dirs/photographs and writes
OUT_DIR/intervals.csv: for each run its difference to a run of the same data set, seed and init,
with the 95 % interval. Both are measured on the same resampled images; frames of a video are drawn
in blocks of ten that follow each other, for neighbors are alike.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmspanet import cli
from mmspanet.errors import InputError

HERE = Path(__file__).parent
FRAMES = 10  # of a video, at one a second, that are drawn together
ROUNDING = 0.06  # points: MMDetection rounds AP to a tenth
Statistic = Callable[[np.ndarray], float]


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


def mean_iou(predictions: list[np.ndarray], truths: list[np.ndarray], classes: int) -> Statistic:
    """The mIoU of label maps in percent, as a function of the images' indices, without void 255."""
    counts = []
    for predicted, truth in zip(predictions, truths, strict=True):
        known = truth != 255
        pairs = classes * truth[known].astype(int) + predicted[known]
        table = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        both = table.diagonal()
        counts.append((both, table.sum(0) + table.sum(1) - both))
    stacked = np.array(counts)

    def statistic(indices: np.ndarray) -> float:
        both, either = stacked[indices].sum(axis=0)
        with np.errstate(invalid='ignore'):
            return 100 * float(np.nanmean(both / either))

    return statistic


def mask_ap(annotations: Path, predictions: Path, most: int) -> Statistic:
    """COCO's mask AP in percent, as a function of the images' indices.

    Args:
        annotations: COCO's file.
        predictions: Detections as COCO's metric writes them.
        most: Detections of an image that count.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(annotations))
    evaluation = COCOeval(truth, truth.loadRes(str(predictions)), 'segm')
    evaluation.params.maxDets = [most]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.evaluate()
    images = len(evaluation.params.imgIds)
    by_image = np.array(evaluation.evalImgs, object).reshape(-1, images)

    def statistic(indices: np.ndarray) -> float:
        evaluation.evalImgs = list(by_image[:, indices].ravel())
        evaluation.accumulate()
        precision = evaluation.eval['precision']
        return 100 * float(precision[precision > -1].mean())

    return statistic


def video_blocks(names: Sequence[str], length: int) -> list[np.ndarray]:
    """The indices of frames in blocks of neighbors.

    Args:
        names: Of the frames, in order: CLIP_NUMBER.
        length: Frames of a block; the last one of a clip may have fewer.
    """
    blocks = []
    for _, clip in itertools.groupby(range(len(names)), lambda i: names[i].rpartition('_')[0]):
        indices = np.array(list(clip))
        blocks += np.split(indices, range(length, len(indices), length))
    return blocks


def interval(
    ours: Statistic, theirs: Statistic, blocks: Sequence[np.ndarray], resamples: int
) -> tuple[float, float, float]:
    """The difference of two statistics, and the ends of its 95 % interval (percentiles).

    Args:
        ours: The first statistic.
        theirs: What is subtracted.
        blocks: Indices of the images that are drawn together.
        resamples: As many blocks are drawn so many times, with replacement.
    """
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(resamples):
        drawn = generator.integers(len(blocks), size=len(blocks))
        indices = np.concatenate([blocks[i] for i in drawn])
        differences.append(ours(indices) - theirs(indices))
    everything = np.concatenate(blocks)
    low, high = np.percentile(differences, [2.5, 97.5])
    return ours(everything) - theirs(everything), float(low), float(high)


def main() -> None:
    args = parse_args()
    import contextlib
    import functools
    import io

    import cv2

    from mmspanet.analysis.tables import write_csv
    from projects.side_by_side.photographs import training
    from projects.side_by_side.photographs.parts import image_ids
    from projects.side_by_side.photographs.tables import in_percent

    table = args.out_dir / 'runs.csv'
    runs = training.read_runs(table)

    @functools.cache  # all runs of a seed are compared with one
    def resampled(run: training.Run) -> tuple[Statistic, list[np.ndarray]] | None:
        cfg = training.read_config(run)
        dataset = cfg.val_dataloader.dataset
        if dataset.type == 'CocoDataset':
            annotations = Path(cfg.data_root) / dataset.ann_file
            found = run.work_dir / 'predictions.segm.json'
            if not found.is_file():
                return None
            most = cfg.val_evaluator[0].get('proposal_nums', (100,))[-1]
            statistic = mask_ap(annotations, found, most)
            blocks = list(np.arange(len(image_ids(annotations)))[:, None])
        else:
            truths = sorted((Path(cfg.data_root) / dataset.data_prefix.seg_map_path).glob('*.png'))
            paths = [run.work_dir / 'predictions' / path.name for path in truths]
            if not all(path.is_file() for path in paths):
                return None
            maps = [
                [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in of]
                for of in (paths, truths)
            ]
            statistic = mean_iou(*maps, len(dataset.metainfo.classes))
            blocks = video_blocks([path.stem for path in truths], FRAMES)
        reached = in_percent(runs[run]['at_end'], run.data)
        if abs(statistic(np.concatenate(blocks)) - reached) > ROUNDING:
            raise InputError(
                f'The predictions in {run.work_dir} are not those of {table}: run '
                'projects.side_by_side.photographs.run with a new --out-dir.'
            )
        return statistic, blocks

    by_place = {(r.data, r.model, r.seed, r.init): r for r in runs}
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        for run in runs:
            other = by_place.get((run.data, args.against, run.seed, run.init))
            if other in (None, run):
                continue
            ours, theirs = resampled(run), resampled(other)
            if ours is None or theirs is None:
                continue
            found = interval(ours[0], theirs[0], ours[1], args.resamples)
            keys = ('difference', 'low', 'high')
            rows.append(
                dict(run=run.name, against=other.name, blocks=len(ours[1]))
                | dict(resamples=args.resamples)
                | {key: round(value, 2) for key, value in zip(keys, found, strict=True)}
            )
    if not rows:
        raise InputError(
            f'No two runs of {table} have predictions in {training.WORK_DIRS} to compare: run '
            'projects.side_by_side.photographs.run first.'
        )
    write_csv(args.out_dir / 'intervals.csv', rows)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
