"""Show what trained models predict on held-out images, beside the truth.

The models are those of OUT_DIR/runs.csv with one seed that began from scratch, by their predictions
in work_dirs/photographs. A picture per data set goes there, too: its photographs are not ours.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmspanet import cli
from mmspanet.datasets.subset import subsample
from mmspanet.errors import InputError
from projects.side_by_side.photographs.contestants import CONFIGS

if TYPE_CHECKING:
    from mmengine.config import Config

HERE = Path(__file__).parent
LEAST_SCORE = 0.5  # of an instance that is drawn


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', nargs='+', choices=CONFIGS, help='data sets')
    parser.add_argument(
        '--models',
        nargs='+',
        default=['spanetv2-pure', 'convformer', 'hornet-gf'],
        help='of runs.csv (default: spanetv2-pure convformer hornet-gf)',
    )
    parser.add_argument('--images', type=cli.positive_int, default=6, help='default: 6')
    parser.add_argument('--seed', type=int, default=0, help='of the runs (default: 0)')
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def color_classes(labels: np.ndarray, palette: Iterable[Iterable[int]]) -> np.ndarray:
    """A label map in its palette; void, 255, is black.

    Args:
        labels: (H, W), uint8.
        palette: RGB per class.

    Returns:
        (H, W, 3), uint8.
    """
    colors = np.zeros((256, 3), np.uint8)
    for number, color in enumerate(palette):
        colors[number] = color
    return colors[labels]


def color_instances(image: np.ndarray, masks: Iterable[np.ndarray]) -> np.ndarray:
    """An image in gray under its instances, each in a color of its own.

    Args:
        image: (H, W, 3), uint8.
        masks: (H, W) each.

    Returns:
        (H, W, 3), uint8.
    """
    drawn = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    generator = np.random.default_rng(0)
    for mask in masks:
        inside = np.asarray(mask, bool)
        drawn[inside] = 0.4 * drawn[inside] + 0.6 * generator.integers(64, 256, 3)
    return drawn.astype(np.uint8)


def segmentations(cfg: 'Config', folders: list[Path], count: int) -> list[list[np.ndarray]]:
    """Rows of photograph, truth and each model's label map."""
    import cv2

    from mmspanet.analysis.run.pictures import read_rgb

    dataset = cfg.val_dataloader.dataset
    images, truths = (
        Path(cfg.data_root) / dataset.data_prefix[key] for key in ('img_path', 'seg_map_path')
    )
    rows = []
    for path in subsample(sorted(images.iterdir()), count):
        maps = [truths / f'{path.stem}.png']
        maps += [folder / 'predictions' / f'{path.stem}.png' for folder in folders]
        read = [cv2.imread(str(place), cv2.IMREAD_UNCHANGED) for place in maps]
        palette = dataset.metainfo.palette
        rows.append([read_rgb(str(path)), *(color_classes(labels, palette) for labels in read)])
    return rows


def detections(cfg: 'Config', folders: list[Path], count: int) -> list[list[np.ndarray]]:
    """Rows of photograph, true instances and each model's instances."""
    import contextlib
    import io

    from pycocotools.coco import COCO

    from mmspanet.analysis.run.pictures import read_rgb

    dataset = cfg.val_dataloader.dataset
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(Path(cfg.data_root) / dataset.ann_file))
        found = [truth.loadRes(str(folder / 'predictions.segm.json')) for folder in folders]
    rows = []
    for number in subsample(sorted(truth.imgs), count):
        name = truth.imgs[number]['file_name']
        photograph = read_rgb(str(Path(cfg.data_root) / dataset.data_prefix.img / name))
        row = [photograph]
        for annotations in (truth, *found):
            kept = [
                annotations.annToMask(one)
                for one in annotations.imgToAnns[number]
                if one.get('score', 1) >= LEAST_SCORE
            ]
            row.append(color_instances(photograph, kept))
        rows.append(row)
    return rows


def main() -> None:
    args = parse_args()
    from matplotlib.figure import Figure

    from mmspanet.analysis import plotting
    from projects.side_by_side.photographs import training

    for data in args.data:
        found = training.runs_with_seed(args.out_dir / 'runs.csv', data, args.models, args.seed)
        lacking = [model for model in args.models if model not in found]
        if lacking:
            raise InputError(
                f'{args.out_dir}/runs.csv has no {", ".join(lacking)} on {data} with seed '
                f'{args.seed}: run projects.side_by_side.photographs.run first.'
            )
        runs = [run for run, _ in found.values()]
        for run in runs:
            if not any(run.work_dir.glob('predictions*')):
                raise InputError(
                    f'{run.work_dir} has no predictions: remove its row of runs.csv, and run '
                    'projects.side_by_side.photographs.run.'
                )
        cfg = training.read_config(runs[0])
        draw = detections if cfg.default_scope == 'mmdet' else segmentations
        rows = draw(cfg, [run.work_dir for run in runs], args.images)
        titles = ['photograph', 'truth', *found]
        with plotting.style():
            figure = Figure(figsize=(2.4 * len(titles), 2 * len(rows)))
            panels = figure.subplots(len(rows), len(titles), squeeze=False)
            for line, pictures in zip(panels, rows, strict=True):
                for axes, picture in zip(line, pictures, strict=True):
                    axes.imshow(picture)
                    axes.set_axis_off()
            for axes, title in zip(panels[0], titles, strict=True):
                axes.set_title(title)
            figure.savefig(training.WORK_DIRS / f'{data}.png')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
