"""What the page says beside the figures: hints by rules, the config's difference, several runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmspanet.analysis.run import advice, report
from mmspanet.analysis.run.logs import Log
from mmspanet.analysis.tables import read_csv
from mmspanet.errors import InputError
from tests.helpers import ROOT, SHAPES_CONFIGS

CFG = Config(dict(train_cfg=dict(max_epochs=4), default_hooks=dict(checkpoint=dict())))


def log(losses, metrics=(), **more) -> Log:
    training = [
        dict(lr=0.1, loss=loss, step=10 * k, time=1.0, data_time=0.0) | more
        for k, loss in enumerate(losses, 1)
    ]
    validation = [dict(step=10 * k, mIoU=value) for k, value in enumerate(metrics, 1)]
    return Log(None, training, validation, {}, [], [])


@pytest.mark.parametrize(
    ('run', 'word'),
    [
        (log(np.geomspace(4, 1, 20), [10, 20]), 'train_cfg.max_epochs=8'),
        (log([1.0, 2.0, float('nan')], [10]), 'clip_grad'),
        (log([1.0] * 20, [10, 20]), 'optimizer.lr'),
        (log([4.0, 2.0, 1.0, *[0.9] * 20], [60, 40]), 'EarlyStoppingHook'),
        (log([4.0, 2.0, 1.0, *[0.9] * 20]), 'val_interval'),
        (log([4.0, 2.0, 1.0, *[0.9] * 20], [60], data_time=0.5), 'num_workers'),
    ],
)
def test_a_curve_and_its_hint(run, word):
    (hint,) = advice.from_log(run, CFG)
    assert word in hint[1]


def test_a_hint_names_the_iteration_of_the_best():
    run = log([4.0, 2.0, 1.0, *[0.9] * 20], [0, 60, 40])
    del run.validation[0]['mIoU']  # as where the first validation had another metric
    (hint,) = advice.from_log(run, CFG)
    assert 'best at iteration 20 ' in hint[0]


def test_validations_without_a_metric():
    run = log([4.0, 2.0, 1.0, *[0.9] * 20])
    run.validation.append(dict(step=10, data_time=0.1, time=1.0))  # of a detector that found none
    (hint,) = advice.from_log(run, CFG)
    assert 'gave a metric' in hint[0]


def test_a_good_curve_has_no_hint():
    assert advice.from_log(log([4.0, 2.0, 1.0, *[0.9] * 20], [40, 60]), CFG) == []


def test_classes_that_are_never_found():
    (hint,) = advice.missing_classes(['a', 'b', 'c'], np.array([0.5, 0.0, np.nan]), 'AP', 'x=1')
    assert 'b' in hint[0]
    assert hint[1] == 'x=1'
    assert advice.missing_classes(['a'], np.array([0.5]), 'AP', 'x=1') == []


@pytest.mark.parametrize(
    ('confidence', 'accuracy', 'word'),
    [(0.9, 0.6, 'label_smooth_val=0.1'), (0.7, 0.95, 'label_smooth_val=0.05')],
)
def test_confidence_away_from_accuracy(confidence, accuracy, word):
    (hint,) = advice.for_classifier([dict(class_='a', recall=0.9)], confidence, accuracy)
    assert word in hint[1]
    assert advice.for_classifier([dict(class_='a', recall=0.9)], accuracy, accuracy) == []


def test_the_config_s_difference_to_its_base(tmp_path):
    (tmp_path / 'base.py').write_text(
        "a = dict(b=1, c=[dict(x=1), dict(x=2)])\nd = 'same'\ngone = 3\n"
    )
    path = tmp_path / 'config.py'
    path.write_text("_base_ = 'base.py'\na = dict(b=2)\nnew = (1, 2)\n")
    cfg = Config.fromfile(path)
    cfg.a.c[1].x = 5  # by --cfg-options
    cfg.pop('gone')
    rows = report.config_difference(cfg, str(path))
    found = {row['setting']: (row['base'], row['run']) for row in rows}
    assert found == {
        'a.b': ('1', '2'), 'a.c.1.x': ('2', '5'), 'gone': ('3', ''), 'new': ('', '[1, 2]')
    }  # fmt: skip
    assert report.config_difference(cfg, str(tmp_path / 'missing.py')) is None


def test_predictions_that_a_test_wrote_elsewhere(tmp_path):
    work_dir, elsewhere = tmp_path / 'run', tmp_path / 'results.pkl'
    (work_dir / '1').mkdir(parents=True)
    (work_dir / '1/run.json').write_text(json.dumps(dict(predictions=str(elsewhere))))
    assert report._noted_predictions(work_dir) is None  # it was removed
    elsewhere.touch()
    assert report._noted_predictions(work_dir) == elsewhere


@pytest.mark.parametrize('is_named', [True, False])
def test_predictions_that_can_not_be_read(is_named, tmp_path):
    """Those that the user named end the command; those that lie there are left out of the page."""
    folder = tmp_path / 'run/1/vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(json.dumps(dict(lr=0.1, loss=1.0, step=5)))
    cfg = Config.fromfile(ROOT / SHAPES_CONFIGS['cls'])
    cfg.train_dataloader = None
    cfg.dump(folder / 'config.py')
    path = tmp_path / 'run/predictions.pkl'
    path.write_bytes(b'none')
    page, missing = tmp_path / 'report.html', str(tmp_path / 'no data')
    if is_named:
        with pytest.raises(InputError):
            report.write(tmp_path / 'run', page, missing, path)
        assert not page.exists()
    else:
        assert report.write(tmp_path / 'run', page, missing)
        assert page.exists()


def test_names_of_runs():
    one, other = Path('/a/seed0/mask_rcnn'), Path('/a/seed1/mask_rcnn')
    assert report.run_names([one, other.parent]) == ['mask_rcnn', 'seed1']
    assert report.run_names([one, other]) == ['seed0/mask_rcnn', 'seed1/mask_rcnn']
    assert report.run_names([one, one]) == ['mask_rcnn', 'mask_rcnn']
    assert report.run_names([one, one / 'mask_rcnn']) == ['mask_rcnn', 'mask_rcnn/mask_rcnn']


def test_runs_over_each_other_without_predictions(tmp_path):
    """The page says what it lacks, and what was the best of each run."""
    config = ROOT / SHAPES_CONFIGS['cls']
    for name, metrics in (('one', (50.0, 40.0)), ('other', (60.0, 70.0))):
        folder = tmp_path / name / '1/vis_data'
        folder.mkdir(parents=True)
        rows = [dict(lr=0.1, loss=1.0, step=5), dict(lr=0.1, loss=0.5, step=10)]
        rows += [dict([('accuracy/top1', value), ('step', 10 + k)]) for k, value in
                 enumerate(metrics)]  # fmt: skip
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
        cfg = Config.fromfile(config)
        cfg.train_dataloader = None
        cfg.dump(folder / 'config.py')
    page = tmp_path / 'page/report.html'
    left_out = report.write(tmp_path / 'one', page, str(config), compare=[tmp_path / 'other'])
    assert '--checkpoint' in left_out[0]
    rows = {row['run']: row for row in read_csv(page.with_name('compared.csv'))}
    assert rows['one']['accuracy/top1, last'] == '40.0'
    assert rows['one']['accuracy/top1, highest'] == '50.0'
    assert rows['other']['accuracy/top1, highest'] == '70.0'
    assert 'train_dataloader' in page.with_name('config.csv').read_text()
