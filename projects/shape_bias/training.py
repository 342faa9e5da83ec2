"""The trainings of the experiment: one per variant and seed, each ends in a row of runs.csv."""

import json
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import Progress, TaskID

from mmspanet import surroundings
from mmspanet.analysis.plotting import save_figure
from mmspanet.analysis.tables import append_csv, read_csv
from mmspanet.errors import InputError
from mmspanet.files import write_text

from . import shape_bias
from .cue_images import write_cues
from .shape_bias import CueRun
from .variants import VARIANTS


class AdvanceHook(Hook):
    """Advance a bar by one at each training step."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress = progress
        self.task = task

    def before_train(self, runner: Runner) -> None:
        self.progress.update(self.task, total=runner.max_iters)

    def after_train_iter(self, *_: object, **__: object) -> None:
        self.progress.advance(self.task)


def run_all(cfg: Config, wanted: Sequence[tuple[str, int]], out_dir: Path) -> list[Path]:
    """Write the images, train what has no row yet, and draw the figures.

    Args:
        cfg: Of the classifier, with the number of images of each set under ``cues``.
        wanted: Variants and seeds.
        out_dir: Folder of images, checkpoints, rows and figures.

    Returns:
        The files of the figure.

    Raises:
        InputError: If ``out_dir`` has runs of another config.
    """
    keep_config(cfg, out_dir / 'config.py')
    record = json.dumps(surroundings.record(), indent=1)
    write_text(out_dir / 'surroundings.json', f'{record}\n')
    images = out_dir / 'images'
    for name, count in cfg.cues.items():
        if not (images / f'meta/{name}.txt').is_file():  # written last
            write_cues(images, name, count)
    examples = shape_bias.example_images(images)
    save_figure(shape_bias.draw_examples(images, examples), examples, out_dir / 'examples')
    table = out_dir / 'runs.csv'
    runs = [CueRun.from_row(row) for row in read_csv(table)]
    done = {(run.variant, run.seed) for run in runs}
    missing = [pair for pair in wanted if pair not in done]
    with Progress() as progress:
        for variant, seed in progress.track(missing, description='runs'):
            folder = out_dir / variant / f'seed{seed}'
            run_cfg = variant_config(cfg, variant, seed, images, folder)
            runs.append(train_and_measure(run_cfg, variant, seed, progress))
            append_csv(table, runs[-1].row())
    rows = [run.row() for run in runs]
    return save_figure(shape_bias.draw(runs), rows, out_dir / 'shape_bias')


def keep_config(cfg: Config, path: Path) -> None:
    """Write ``cfg`` beside the rows, or check that the rows there are of the same config.

    Raises:
        InputError: If they are not.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(cfg.pretty_text)
    elif path.read_text() != cfg.pretty_text:
        raise InputError(f'{path.parent} has runs of another config: give another --out-dir.')


def variant_config(cfg: Config, variant: str, seed: int, data_root: Path, work_dir: Path) -> Config:
    """Copy a classifier's config, with the mixers of ``VARIANTS[variant]`` and a seed."""
    cfg = deepcopy(cfg)
    cfg.model.backbone.arch.update(VARIANTS[variant])
    cfg.randomness = dict(seed=seed)
    cfg.work_dir = str(work_dir)
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = str(data_root)
    return cfg


def train_and_measure(cfg: Config, variant: str, seed: int, progress: Progress) -> CueRun:
    """Train a variant and count its decisions."""
    task = progress.add_task(f'{variant}, seed {seed}', total=None)
    start = time.monotonic()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(AdvanceHook(progress, task))
    model = runner.train()
    seconds = round(time.monotonic() - start)
    run = CueRun(variant, seed, shape_bias.measure_cues(model, cfg))
    progress.remove_task(task)
    progress.print(
        f'{variant}, seed {seed}: shape bias {run.result.shape_bias:.1%}, '
        f'accuracy {run.result.accuracy:.1%} where the cues agree ({seconds} s)'
    )
    return run
