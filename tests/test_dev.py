"""Short forms of the maintainers' checks under dev/."""

import json
import os
import sys

import pytest
import torch

from dev import long_run
from tests.helpers import free_port, run

pytestmark = pytest.mark.slow


def leaking():
    """A step that keeps 4 MiB and an open file of every image."""
    kept = []

    def step(image):
        kept.extend((torch.ones(2**20), open(os.devnull)))  # noqa: SIM115

    return step


def test_long_run_names_what_grew(tmp_path, monkeypatch):
    """A planted leak is found, and no open file of the model's own inference."""
    monkeypatch.setitem(long_run.STEPS, 'training', leaking)
    out = tmp_path / 'figures.json'
    command = ['long_run.py', '--inference', '40', '--training', '40', '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(SystemExit, match='memory of training, open files of training') as error:
        long_run.main()
    assert 'open files of inference' not in str(error.value)
    figures = json.loads(out.read_text())['runs']
    assert {kind: run_of['iterations'] for kind, run_of in figures.items()} == {
        'inference': 40,
        'training': 40,
    }


FLAT = {
    'MiB after the second part': 300,
    'MiB at the end': 314,
    'open files after the second part': 8,
    'open files at the end': 8,
    'time of a step, last part over second': 1.04,
}


@pytest.mark.parametrize(
    ('figure', 'value', 'named'),
    [
        ('MiB at the end', 314, []),
        ('MiB at the end', 316, ['memory']),
        ('open files at the end', 9, ['open files']),
        ('time of a step, last part over second', 1.06, ['time']),
    ],
)
def test_limits_of_a_long_run(figure, value, named):
    """5 % of memory and time, and no file."""
    assert long_run.grew(FLAT | {figure: value}) == named


@pytest.mark.parametrize('processes', [1, 2])
def test_fault_injection(processes, tmp_path):
    """Real kills, real damage, a disk that is full."""
    log = run(
        ['-m', 'dev.fault_injection', '--kills', 2, '--damage-every', 2,
         '--processes', processes, '--work-dir', tmp_path / 'run'],
        PORT=free_port(),
    )  # fmt: skip
    seen = json.loads((tmp_path / 'run/record.json').read_text())['seen']
    assert seen['kills survived'] == 2, log
    assert seen['newest checkpoints damaged'] == 1
    assert seen['final tensors equal bit for bit'] > 100
    assert seen['full disks' if processes == 1 else 'launches that restarted by themselves'] == 1


def test_fully_sharded_in_two_processes():
    """SPANetV2-B36 under PyTorch's fully_shard: half of it on each, and the same losses."""
    log = run(
        ['-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}',
         '-m', 'dev.fully_shard'],
        OMP_NUM_THREADS='1',
    )  # fmt: skip
    assert 'process 1 holds 52.1 M of 104.1 M' in log
    assert log.rstrip().endswith('equal')


def test_answers_to_bad_input():
    """A sample: no traceback, no crash, no code that ran, no status 0, one sentence."""
    only = '(a garbled data.pkl|object array|--size 1 1): (test|publish|export)$'
    run(['-m', 'dev.bad_input_table', '--only', only])


def test_no_process_is_left(tmp_path):
    """A SIGTERM and a SIGKILL of the main process, and a run that goes on to its end."""
    run(['-m', 'dev.kill_main', '--kills', 2, '--work-dir', tmp_path / 'kills'])
    record = json.loads((tmp_path / 'kills/kill_main.json').read_text())
    assert record['seen']['killed by SIGTERM'] == record['seen']['killed by SIGKILL'] == 1
    assert record['seen']['processes left'] == 0
