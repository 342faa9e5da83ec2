"""The page of runs as users have it: at their end, of older ones, and where it fails."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from mmspanet import cli
from mmspanet.analysis.tables import read_csv
from tests.helpers import SHAPES_CONFIGS, run, shapes_options


@pytest.mark.parametrize('program', ['raise SystemExit("no room")', 'import time; time.sleep(600)'])
def test_no_failure_of_the_page_is_one_of_the_run(program, tmp_path, monkeypatch, capsys):
    """It ends with an error, or not at all, or can't be started."""
    monkeypatch.setattr(cli, 'LONGEST_REPORT', 2)
    script = tmp_path / 'run_report.py'
    script.write_text(program)
    cli.make_run_report(script, str(tmp_path), 'none')
    assert 'without a page' in capsys.readouterr().out
    monkeypatch.setattr(subprocess, 'run', no_process)
    cli.make_run_report(script, str(tmp_path), 'none')
    assert 'without a page' in capsys.readouterr().out


def no_process(*_, **__):
    raise OSError('no process')


def test_one_of_several_processes_makes_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    cli.make_run_report(tmp_path / 'missing.py', str(tmp_path), 'pytorch')
    assert capsys.readouterr().out == ''


@pytest.mark.slow
def test_a_run_ends_in_its_page(shapes_root, tmp_path):
    """Made of the predictions of the last validation; one file that loads nothing else."""
    options = shapes_options('det', shapes_root)[1:]  # all but --no-report
    run(['tools/train.py', SHAPES_CONFIGS['det'], '--work-dir', tmp_path, *options])
    page = (tmp_path / 'report/report.html').read_text()
    assert len(page) < 15e6
    assert all(
        link.startswith(('data:', '#')) for link in re.findall(r'(?:href|src)="(.*?)"', page)
    )
    for name in ('losses.png', 'ap_boxes.csv', 'ap_masks.csv', 'errors.csv', 'worst_1.jpg'):
        assert (tmp_path / 'report' / name).stat().st_size > 0
    (record,) = tmp_path.glob('*/run.json')
    assert json.loads(record.read_text())['images'] == dict(train=16, val=4)
    assert 'after 4 iterations' in page


@pytest.mark.slow
def test_the_page_of_a_checkpoint_that_is_tested_for_it(trained, tmp_path):
    shutil.copytree(trained('seg'), tmp_path / 'seg')
    log = run(['tools/analysis_tools/run_report.py', tmp_path / 'seg', '--checkpoint', 'last'])
    assert 'left out' not in log
    rows = read_csv(tmp_path / 'seg/report/per_class.csv')
    (tested,) = (path for path in (tmp_path / 'seg').glob('*/2*.json'))
    expected = json.loads(tested.read_text())['mIoU']
    assert 100 * np.nanmean([float(row['iou']) for row in rows]) == pytest.approx(
        expected, abs=0.01
    )
