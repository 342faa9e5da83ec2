"""Logs of MMEngine as one run: resumed ones, those begun anew, lines that a kill cut short."""

import json

import pytest

from mmspanet.analysis.run.logs import metric_names, read_log
from mmspanet.errors import InputError


def write(folder, rows, log=''):
    (folder / 'vis_data').mkdir(parents=True)
    (folder / 'vis_data/scalars.json').write_text(''.join(f'{json.dumps(r)}\n' for r in rows) + log)


def trained(*steps, **more):
    return [dict(lr=0.1, loss=1 / step, step=step, iter=step) | more for step in steps]


def test_a_resumed_run_is_one(tmp_path):
    """The second run goes on from 30, and so replaces what the first did beyond."""
    write(tmp_path / '1', [*trained(10, 20), dict(mIoU=1.0, step=20), *trained(30, 40, 50)])
    write(tmp_path / '2', [*trained(40, 50), dict(mIoU=2.0, step=50)])
    log = read_log(tmp_path)
    assert [row['step'] for row in log.training] == [10, 20, 30, 40, 50]
    assert [(row['step'], row['mIoU']) for row in log.validation] == [(20, 1.0), (50, 2.0)]
    assert log.restarts == [30]
    assert log.folder == tmp_path / '2'


def test_a_run_from_the_start_replaces_the_others(tmp_path):
    write(tmp_path / '1', trained(10, 20))
    write(tmp_path / '2', trained(10, 20, 30))
    log = read_log(tmp_path)
    assert [row['step'] for row in log.training] == [10, 20, 30]
    assert log.restarts == []


def test_epochs_become_iterations(tmp_path):
    """MMEngine logs validations by epoch where it trains by epoch."""
    rows = [*trained(5, 10, epoch=1), dict(top1=50.0, step=1, time=1.0),
            *trained(15, 20, epoch=2), dict(top1=60.0, step=2, time=1.0)]  # fmt: skip
    write(tmp_path / '1', rows)
    log = read_log(tmp_path)
    assert [(row['step'], row['epoch']) for row in log.validation] == [(10, 1), (20, 2)]
    assert metric_names(log.validation) == ['top1']


def test_a_line_that_is_cut_short(tmp_path):
    write(tmp_path / '1', trained(10, 20), log='{"lr": 0.1, "lo')
    assert len(read_log(tmp_path).training) == 2


def test_a_test_alone(tmp_path):
    write(tmp_path / '1', [])
    (tmp_path / '1/1.json').write_text('{"coco/bbox_mAP": 0.5, "time": 1.0}')
    log = read_log(tmp_path)
    assert log.test == {'coco/bbox_mAP': 0.5}
    assert log.training == []


def test_no_run(tmp_path):
    with pytest.raises(InputError, match='holds no log'):
        read_log(tmp_path)


def test_a_validation_before_the_first_epoch_of_a_resumed_run(tmp_path):
    """BestCheckpointHook makes one, and MMEngine logs it by epoch."""
    first = [*trained(5, 10, epoch=1), dict(top1=50.0, step=1), *trained(15, 20, epoch=2)]
    write(tmp_path / '1', [*first, dict(top1=60.0, step=2)])
    again = dict(top1=60.0, step=2)
    write(tmp_path / '2', [again, *trained(25, 30, epoch=3), dict(top1=55.0, step=3)])
    log = read_log(tmp_path)
    validations = [(row['step'], row['top1']) for row in log.validation]
    assert validations == [(10, 50.0), (20, 60.0), (30, 55.0)]


def test_a_run_from_the_start_whose_log_begins_later(tmp_path):
    """An epoch that is shorter than the logger's interval is logged at its end."""
    write(tmp_path / '1', trained(50, 100, 150))
    write(tmp_path / '2', trained(100, 200))
    (tmp_path / '2/vis_data/config.py').write_text('load_from = None\nresume = False\n')
    log = read_log(tmp_path)
    assert [row['step'] for row in log.training] == [100, 200]
    (tmp_path / '2/vis_data/config.py').write_text('load_from = None\nresume = True\n')
    assert [row['step'] for row in read_log(tmp_path).training] == [50, 100, 200]
