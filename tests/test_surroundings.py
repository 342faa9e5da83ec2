"""Where a figure was measured: the commit of a checkout, versions of what is installed."""

import subprocess
from importlib.metadata import version

import torch

from benchmarks import tables
from mmspanet import surroundings
from tests.helpers import ROOT


def test_commit_of_a_checkout(tmp_path):
    def git(*words):
        return subprocess.check_output(['git', '-C', str(tmp_path), *words], text=True).strip()

    assert surroundings.commit(tmp_path) == 'unknown'
    git('init', '--quiet')
    for name in ('code.py', 'rows.csv'):
        (tmp_path / name).write_text('1\n')
    git('add', '.')
    git('-c', 'user.email=a@b.c', '-c', 'user.name=A', 'commit', '--quiet', '-m', 'first')
    head = git('rev-parse', '--short', 'HEAD')
    (tmp_path / 'rows.csv').write_text('2\n')  # results may differ, code may not
    assert surroundings.commit(tmp_path) == head
    (tmp_path / 'code.py').write_text('2\n')
    assert surroundings.commit(tmp_path) == head + '+'
    (tmp_path / 'venv').mkdir()  # an installed package in a repository of the user's
    assert surroundings.commit(tmp_path / 'venv') == 'unknown'


def test_the_machine_is_named_by_its_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert 'CPU cores' in surroundings.machine()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    names = {None: 'NVIDIA A100', 'cuda:1': 'NVIDIA T4'}
    monkeypatch.setattr(torch.cuda, 'get_device_name', names.__getitem__)
    assert surroundings.machine() == 'NVIDIA A100'
    assert surroundings.machine('cuda:1') == 'NVIDIA T4'
    assert 'CPU cores' in surroundings.record(device='cpu')['machine']


def test_versions():
    found = surroundings.versions('numpy', 'no-such-distribution')
    assert found['torch'] == torch.__version__
    assert found['numpy'] == version('numpy')
    assert 'no-such-distribution' not in found
    assert any('mmengine' in name for name in found)


def test_a_record_says_what_its_table_shows():
    record = surroundings.record('numpy')
    assert record['commit'] == surroundings.commit(ROOT)
    assert record['versions'] == surroundings.versions('numpy')
    sentence = tables.machine(record)
    for value in (record['machine'], record['date'], torch.__version__):
        assert value in sentence


def test_commit_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert surroundings.commit(tmp_path) == 'unknown'
