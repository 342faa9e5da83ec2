"""The best checkpoint of a run, with and without a stop between."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmspanet.checkpoints import load, newest_whole_checkpoint
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.datasets import shapes
from mmspanet.engine.best_checkpoint import BestCheckpointHook
from mmspanet.errors import InputError
from tests.engine.test_training import make_runner

metrics = pytest.importorskip('mmpretrain.evaluation.metrics')

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    shapes.write_imagenet(root, 'train', 8)
    shapes.write_imagenet(root, 'val', 4)
    return root


@pytest.fixture
def run(data_root, monkeypatch):
    """Train with a top-1 accuracy that is set for each epoch."""

    def call(work_dir, scores, epochs=None, hook=None, **options):
        # make_runner resumes, as tools/train.py --resume, where the folder holds a checkpoint.
        runner = make_runner(data_root, work_dir, epochs or len(scores), **options)
        monkeypatch.setattr(
            metrics.Accuracy, 'compute_metrics', lambda *_: dict(top1=scores[runner.epoch - 1])
        )
        if hook is not None:
            runner.register_hook(hook, priority='VERY_LOW')
        runner.train()
        return runner

    return call


def names(folder, pattern):
    return sorted(path.name for path in folder.glob(pattern))


def best_of(runner):
    return runner.message_hub.get_info('best_score'), Path(runner.message_hub.get_info('best_ckpt'))


def test_the_best_is_kept_beside_the_last_three(run, tmp_path):
    runner = run(tmp_path, [10.0, 50.0, 20.0, 30.0, 50.0, 40.0])
    assert names(tmp_path, '*.pth') == ['best_accuracy_top1_epoch_2.pth'] + [
        f'epoch_{i}.pth' for i in (4, 5, 6)
    ]
    assert best_of(runner) == (50.0, tmp_path / 'best_accuracy_top1_epoch_2.pth')
    assert newest_whole_checkpoint(tmp_path) == str(tmp_path / 'epoch_6.pth')
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_6.pth')


def test_it_holds_the_weights_of_its_epoch(run, tmp_path):
    runner = run(tmp_path, [10.0, 50.0, 20.0], **{'default_hooks.checkpoint.max_keep_ckpts': -1})
    best, second, third = (
        read_checkpoint(tmp_path / name)['state_dict']
        for name in ('best_accuracy_top1_epoch_2.pth', 'epoch_2.pth', 'epoch_3.pth')
    )
    assert all(torch.equal(best[key], second[key]) for key in second)
    assert not all(torch.equal(best[key], third[key]) for key in third)
    load(runner.model, tmp_path / 'best_accuracy_top1_epoch_2.pth')


class StoppedError(Exception):
    pass


def stop(*_, **__):
    raise StoppedError


class StopInValidation(Hook):
    def before_val_epoch(self, runner):
        if runner.epoch == 2:
            stop()


class StopInTraining(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 2:
            stop()


def stop_at_the_write_of_the_best(patch):
    save = Runner.save_checkpoint

    def broken(self, out_dir, filename, *args, **kwargs):
        if filename.startswith('best') and self.epoch == 2:
            stop()
        return save(self, out_dir, filename, *args, **kwargs)

    patch.setattr(Runner, 'save_checkpoint', broken)


def stop_behind_the_write_of_the_best(patch):
    save = Runner.save_checkpoint

    def broken(self, out_dir, filename, *args, **kwargs):
        save(self, out_dir, filename, *args, **kwargs)
        if filename.startswith('best') and self.epoch == 2:
            stop()

    patch.setattr(Runner, 'save_checkpoint', broken)


STOPS = {
    'in the validation': (StopInValidation(), None),
    'before the best is written': (None, stop_at_the_write_of_the_best),
    'before the epoch is saved again': (None, stop_behind_the_write_of_the_best),
    'in the next epoch': (StopInTraining(), None),
}


@pytest.mark.parametrize('moment', STOPS)
def test_a_resumed_run_knows_its_best(run, tmp_path, moment):
    """Whenever the second epoch is stopped, it is the best of three in the end, as without."""
    hook, patch_runner = STOPS[moment]
    scores = [30.0, 50.0, 40.0]
    with pytest.MonkeyPatch.context() as patch:
        if patch_runner is not None:
            patch_runner(patch)
        with pytest.raises(StoppedError):
            run(tmp_path, scores, hook=hook)
    kept = names(tmp_path, 'best_*')
    assert kept  # at no moment there is none
    assert newest_whole_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')
    resumed = run(tmp_path, scores)
    assert best_of(resumed) == (50.0, tmp_path / 'best_accuracy_top1_epoch_2.pth')
    assert names(tmp_path, '*.pth') == ['best_accuracy_top1_epoch_2.pth'] + [
        f'epoch_{i}.pth' for i in (1, 2, 3)
    ]


def test_a_worse_epoch_does_not_replace_the_best_of_before_the_stop(run, tmp_path):
    run(tmp_path, [50.0, 20.0])
    resumed = run(tmp_path, [50.0, 20.0, 40.0])
    assert best_of(resumed) == (50.0, tmp_path / 'best_accuracy_top1_epoch_1.pth')
    assert names(tmp_path, 'best_*') == ['best_accuracy_top1_epoch_1.pth']


def test_a_best_file_that_is_gone_is_forgotten(run, tmp_path):
    """Otherwise the run would end with a best score and no file of it."""
    run(tmp_path, [50.0])
    (tmp_path / 'best_accuracy_top1_epoch_1.pth').unlink()
    resumed = run(tmp_path, [20.0, 40.0, 30.0])
    assert best_of(resumed) == (40.0, tmp_path / 'best_accuracy_top1_epoch_2.pth')
    assert names(tmp_path, 'best_*') == ['best_accuracy_top1_epoch_2.pth']


def test_the_work_dir_may_be_moved(run, tmp_path):
    run(tmp_path / 'old', [30.0])
    (tmp_path / 'old').rename(tmp_path / 'new')
    run(tmp_path / 'new', [30.0, 20.0])
    assert names(tmp_path / 'new', 'best_*') == ['best_accuracy_top1_epoch_1.pth']
    run(tmp_path / 'new', [30.0, 20.0, 60.0])
    assert names(tmp_path / 'new', 'best_*') == ['best_accuracy_top1_epoch_3.pth']


def test_a_training_without_validation_runs(data_root, tmp_path):
    for epochs in (1, 2):  # the second one resumes
        runner = make_runner(data_root, tmp_path, epochs)
        runner._val_loop = runner._val_dataloader = runner._val_evaluator = None
        runner.train()
    assert names(tmp_path, '*.pth') == ['epoch_1.pth', 'epoch_2.pth']


def test_none_keeps_no_best(run, tmp_path):
    run(tmp_path, [10.0], **{'default_hooks.checkpoint.save_best': None})
    assert names(tmp_path, '*.pth') == ['epoch_1.pth']


@pytest.mark.parametrize('save_best', ['auto', ['accuracy/top1', 'accuracy/top5']])
def test_one_metric_decides(save_best):
    with pytest.raises(InputError, match='one metric has to decide'):
        BestCheckpointHook(save_best)


def test_a_metric_that_no_validation_gives_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r'gives no mIoU.*accuracy/top1'):
        run(tmp_path, [10.0], **{'default_hooks.checkpoint.save_best': 'mIoU'})


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*/*.py')), ids=lambda path: path.relative_to(CONFIGS).as_posix()
)
def test_every_config_picks_by_a_metric_of_its_validation(path):
    cfg = Config.fromfile(path)
    evaluator, hook = cfg.val_evaluator, cfg.default_hooks.checkpoint
    assert (hook.type, hook.rule, hook.max_keep_ckpts) == (
        'mmspanet.BestCheckpointHook',
        'greater',
        3,
    )
    assert hook.backend_args.backend == 'atomic'
    if evaluator.type == 'CocoMetric':
        assert hook.save_best == 'coco/bbox_mAP'
        assert 'bbox' in evaluator.metric
    elif evaluator.type == 'IoUMetric':
        assert hook.save_best == 'mIoU'
        assert 'mIoU' in evaluator.iou_metrics
    else:
        assert evaluator.type == 'Accuracy'
        assert hook.save_best == 'accuracy/top1'
        assert 1 in evaluator.topk
