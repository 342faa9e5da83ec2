"""Measure the shape bias of small SPANetV2 of several kernel sizes and of attention.

Models are trained on the embedded data, where outline and texture both tell the class, and
tested on images with the outline of one class and the texture of another (the measure of
Geirhos et al. 2019; the images and the comparison are ours). Each run's row is appended to
runs.csv when it ends; the same command again goes on with what is missing. The figure is
shape_bias.png and .svg, with shape_bias.csv of what it shows; examples.png shows the images.
"""

import argparse
import csv
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import Progress, TaskID

from mmspanet import cli
from mmspanet.analysis.plotting import save_figure
from mmspanet.datasets import shapes
from mmspanet.engine import device
from mmspanet.errors import InputError
from projects.shape_bias import shape_bias
from projects.shape_bias.shape_bias import VARIANTS, CueRun

CONFIG = Path(__file__).parent / 'configs/spanetv2_cues.py'


class AdvanceHook(Hook):
    """Advance a bar by one at each training step."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress = progress
        self.task = task

    def before_train(self, runner: Runner) -> None:
        self.progress.update(self.task, total=runner.max_iters)

    def after_train_iter(self, *_: object, **__: object) -> None:
        self.progress.advance(self.task)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=VARIANTS,
        default=list(VARIANTS),
        help="kernel sizes of SPAM's four heads, or attention (default: all)",
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0, 1, 2],
        help='seeds of the initial weights and the order of the images (default: 0 1 2)',
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/shape_bias'),
        help='folder of images, checkpoints, rows and figure (default: work_dirs/shape_bias)',
    )
    cli.add_cfg_options(parser, 'such as train_cfg.max_epochs=3 cues.train=500')
    return parser.parse_args()


def keep_config(cfg: Config, path: Path) -> None:
    """Write ``cfg`` beside the rows, or check that the rows there are of the same."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(cfg.pretty_text)
    elif path.read_text() != cfg.pretty_text:
        raise InputError(f'{path.parent} has runs of another config: give another --out-dir.')


def write_images(cfg: Config, root: Path) -> None:
    for name, count in cfg.cues.items():
        if not (root / f'meta/{name}.txt').is_file():  # written last
            shapes.write_cues(root, name, count)


def read_runs(path: Path) -> list[CueRun]:
    if not path.is_file():
        return []
    with open(path, newline='') as file:
        return [CueRun.from_row(row) for row in csv.DictReader(file)]


def append_row(path: Path, row: dict) -> None:
    is_new = not path.is_file()
    with open(path, 'a', newline='') as file:
        writer = csv.DictWriter(file, list(row), lineterminator='\n')
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def train_and_measure(cfg: Config, variant: str, seed: int, progress: Progress) -> CueRun:
    task = progress.add_task(f'{variant}, seed {seed}', total=None)
    start = time.monotonic()
    model = shape_bias.train_classifier(cfg, [AdvanceHook(progress, task)])
    seconds = round(time.monotonic() - start)
    run = CueRun(variant, seed, shape_bias.measure_cues(model, cfg))
    progress.remove_task(task)
    progress.print(
        f'{variant}, seed {seed}: shape bias {run.result.shape_bias:.1%}, '
        f'accuracy {run.result.accuracy:.1%} where the cues agree ({seconds} s)'
    )
    return run


def main() -> None:
    args = parse_args()
    cfg = cli.load_config(str(CONFIG), args.cfg_options)
    device.adapt_to_cpu(cfg)
    keep_config(cfg, args.out_dir / 'config.py')
    images = args.out_dir / 'images'
    write_images(cfg, images)
    examples = shape_bias.example_images(images)
    save_figure(shape_bias.draw_examples(images, examples), examples, args.out_dir / 'examples')
    table = args.out_dir / 'runs.csv'
    runs = read_runs(table)
    done = {(run.variant, run.seed) for run in runs}
    wanted = [(v, s) for s in args.seeds for v in args.variants if (v, s) not in done]
    with Progress() as progress:
        for variant, seed in progress.track(wanted, description='runs'):
            folder = args.out_dir / variant / f'seed{seed}'
            run_cfg = shape_bias.variant_config(cfg, variant, seed, images, folder)
            runs.append(train_and_measure(run_cfg, variant, seed, progress))
            append_row(table, runs[-1].row())
    figure = shape_bias.draw(runs)
    for path in save_figure(figure, [run.row() for run in runs], args.out_dir / 'shape_bias'):
        print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
