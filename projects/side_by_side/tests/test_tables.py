"""The evidence of trainings side by side: table, curves, and the command on tiny trainings."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmspanet.analysis.tables import append_csv
from projects.side_by_side import tables
from projects.side_by_side.tables import Epoch, TrainingRun
from tests.helpers import ROOT
from tests.helpers import run as run_script

RUN = TrainingRun(
    config='a_b128-10e_cifar10',
    seed=0,
    epochs=2,
    images=1000,
    top1=60.0,
    images_per_second=800.0,
    peak_memory_mib=900,
    params_m=0.5,
    macs_m=10.0,
    minutes=3.5,
    commit='abc',
    versions='torch 2',
    machine='two cores',
)
OTHER = replace(RUN, config='b_b128-10e_cifar10', top1=62.0)


def test_the_table_has_means_and_ranges_the_best_first():
    again = replace(RUN, seed=1, top1=61.0, images_per_second=600.0, peak_memory_mib=950)
    lines = tables.markdown([RUN, OTHER, again]).splitlines()
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines[2:4]]
    assert cells[0] == ['b', '1', '62.00', '', '0.500', '10.00']
    assert cells[1] == ['a', '2', '60.50', '60.00-61.00', '0.500', '10.00']
    assert 'Machine: two cores.' in lines


def test_curves_count_the_forward_macs_of_the_images_seen():
    log = [Epoch(1, 1.5, 2.0, 40.0), Epoch(2, 3.0, 1.8, 60.0)]
    rows = tables.curve_rows([RUN], {(RUN.config, 0): log})
    # 10 million MACs x 1000 images x 1 and 2 epochs
    assert [row['forward_macs_t'] for row in rows] == [0.01, 0.02]
    assert [row['train_seconds'] for row in rows] == [1.2, 2.5]  # 1000 images at 800 a second
    figure = tables.draw_curves(rows)
    for axes, key in zip(figure.axes, ('epoch', 'train_seconds', 'forward_macs_t'), strict=True):
        (line,) = axes.get_lines()
        assert list(line.get_xdata()) == [row[key] for row in rows]
        assert list(line.get_ydata()) == [40.0, 60.0]


def test_a_run_comes_back_from_its_row(tmp_path):
    path = tmp_path / 'runs.csv'
    for run in (RUN, OTHER):
        append_csv(path, asdict(run))
    assert tables.read_runs(path) == [RUN, OTHER]
    assert tables.read_runs(tmp_path / 'none.csv') == []


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    """Two flat images of each class for training, one for testing."""
    root = tmp_path_factory.mktemp('cifar10')
    for part, count in (('train', 2), ('test', 1)):
        for label in range(10):
            folder = root / part / f'class{label}'
            folder.mkdir(parents=True)
            for i in range(count):
                cv2.imwrite(str(folder / f'{i}.png'), np.full((32, 32, 3), 25 * label, np.uint8))
    return root


def command(images: Path, out: Path, *options: str) -> list[str]:
    configs = ROOT / 'projects/side_by_side/configs'
    return [
        '-m',
        'projects.side_by_side.run',
        str(configs / 'spanetv2-xs-pure_b128-10e_cifar10.py'),
        str(configs / 'resnet-xs_b128-10e_cifar10.py'),
        '--out-dir',
        str(out),
        *options,
        '--cfg-options',
        *(f'{part}_dataloader.dataset.data_root={images}' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val', 'test')),
        'train_dataloader.batch_size=10',
        'train_cfg.max_epochs=2',
    ]


def train(images: Path, out: Path, *options: str) -> None:
    run_script(command(images, out, *options), out.parent, OMP_NUM_THREADS='1')


@pytest.mark.slow
def test_pairs_are_trained_once(images, tmp_path):
    out = tmp_path / 'evidence'
    train(images, out)
    runs = tables.read_runs(out / 'runs.csv')
    assert [run.model for run in runs] == ['spanetv2-xs-pure', 'resnet-xs']
    assert all(run.epochs == 2 and run.images == 20 for run in runs)
    assert all(run.images_per_second > 0 and run.peak_memory_mib > 100 for run in runs)
    for run in runs:
        log = tables.read_log(tables.log_path(out, run.config, 0))
        assert [epoch.epoch for epoch in log] == [1, 2]
        assert log[-1].top1 == run.top1
        assert 0 < log[0].train_seconds < log[1].train_seconds
    assert (out / 'curves.png').stat().st_size > 10_000

    train(images, out)
    assert len(tables.read_runs(out / 'runs.csv')) == 2
    train(images, out, '--seeds', '0', '1')
    assert [(run.model, run.seed) for run in tables.read_runs(out / 'runs.csv')][2:] == [
        ('spanetv2-xs-pure', 1),
        ('resnet-xs', 1),
    ]


@pytest.mark.slow
def test_a_killed_runner_takes_its_training_with_it(images, tmp_path):
    runner = subprocess.Popen(
        [sys.executable, *command(images, tmp_path / 'evidence'), 'train_cfg.max_epochs=1000'],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)),
    )
    assert runner.stdout is not None
    assert any('epoch 1 of' in line for line in runner.stdout)
    runner.kill()
    # The pipe ends when the last process that writes into it has ended.
    assert runner.wait(timeout=600) == -signal.SIGKILL
    reader = threading.Thread(target=runner.stdout.read)
    reader.start()
    reader.join(timeout=600)
    assert not reader.is_alive()


def test_published_rows_have_their_logs_and_configs():
    folder = ROOT / 'projects/side_by_side/results'
    runs = tables.read_runs(folder / 'runs.csv')
    assert runs
    for run in runs:
        log = tables.read_log(tables.log_path(folder, run.config, run.seed))
        assert (len(log), log[-1].top1) == (run.epochs, run.top1)
        assert (ROOT / f'projects/side_by_side/configs/{run.config}.py').is_file()
