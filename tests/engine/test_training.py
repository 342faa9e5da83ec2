"""What users combine with the backbone trains, stops and resumes: short runs in this process."""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmspanet import cli
from mmspanet.checkpoints import load, newest_whole_checkpoint
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.engine import device
from mmspanet.errors import CheckpointError, DivergedError

pytest.importorskip('mmpretrain')

CONFIG = Path(__file__).parents[2] / 'configs/cls/spanetv2_shapes.py'
RUNS = itertools.count()  # loggers of one name are one
SMALL = dict(arch=dict(depths=(1, 1, 1, 1), channels=(8, 8, 16, 16)), input_size=64)


def make_runner(data_root, work_dir, epochs, build=Runner.from_cfg, **options):
    """A Runner of the Shapes classifier, narrowed, on eight images."""
    changes = {
        'train_cfg': dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        'model.backbone': SMALL,
        'model.neck.in_channels': 16,
        'model.head.in_channels': 64,
        'train_dataloader.batch_size': 4,
        'param_scheduler': [],
        'log_level': 'ERROR',
    }
    for part in ('train', 'val', 'test'):
        changes[f'{part}_dataloader.dataset.data_root'] = str(data_root)
        changes[f'{part}_dataloader.num_workers'] = 0
        changes[f'{part}_dataloader.persistent_workers'] = False
    cfg = cli.load_config(str(CONFIG), copy.deepcopy(changes | options))  # _delete_ goes
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.name}_{next(RUNS)}'
    cfg.load_from = newest_whole_checkpoint(str(work_dir))
    cfg.resume = cfg.load_from is not None
    device.adapt_to_cpu(cfg)
    return build(cfg)


COMBINATIONS = {
    'accumulation': {'optim_wrapper.accumulative_counts': 2},
    'AMP, off on CPUs': {
        'optim_wrapper.type': 'AmpOptimWrapper',
        'optim_wrapper.loss_scale': 'dynamic',
    },
    'EMA': {'custom_hooks': [dict(type='mmspanet.EpochSeedHook'), dict(type='EMAHook')]},
    'gradient checkpointing': {'model.backbone.with_cp': True},
    'frozen stages': {'model.backbone.frozen_stages': 1},
    'drop path': {'model.backbone.drop_path_rate': 0.5},
    'LAMB by head': {
        'optim_wrapper': dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='mmspanet.HeadwiseLamb', lr=2e-3, weight_decay=0.05),
            paramwise_cfg=dict(custom_keys={'srf.filter': dict(heads=4)}),
        )
    },
    'layer decay': {
        'optim_wrapper.paramwise_cfg': dict(decay_rate=0.9, decay_type='layer_wise'),
    },
}


@pytest.mark.parametrize('name', COMBINATIONS)
def test_a_resumed_run_repeats_the_whole_one(data_root, tmp_path, name):
    options = COMBINATIONS[name]
    make_runner(data_root, tmp_path / 'whole', 2, **options).train()
    make_runner(data_root, tmp_path / 'cut', 1, **options).train()
    resumed = make_runner(data_root, tmp_path / 'cut', 2, **options)
    resumed.train()
    assert resumed.iter == 4
    whole, cut = (read_checkpoint(tmp_path / run / 'epoch_2.pth') for run in ('whole', 'cut'))
    keys = [key for key in ('state_dict', 'ema_state_dict') if key in whole]
    assert ('ema_state_dict' in keys) == (name == 'EMA')
    for key in keys:
        assert whole[key].keys() == cut[key].keys()
        for weight in whole[key]:
            assert torch.equal(whole[key][weight], cut[key][weight]), weight
    first = read_checkpoint(tmp_path / 'cut' / 'epoch_1.pth')['state_dict']
    assert any(not torch.equal(first[weight], cut['state_dict'][weight]) for weight in first)


def test_a_run_that_diverges_keeps_its_good_checkpoints(data_root, tmp_path):
    class Poison(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                with torch.no_grad():
                    runner.model.head.fc.weight[0, 0] = float('nan')

    runner = make_runner(data_root, tmp_path, 3, **{'optim_wrapper.clip_grad': None})
    runner.register_hook(Poison())
    with pytest.raises(DivergedError, match='--resume'):
        runner.train()
    kept = {path.name for path in tmp_path.glob('*.pth')}
    assert kept == {'epoch_1.pth', 'best_accuracy_top1_epoch_1.pth'}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'model.backbone.arch': dict(depths=(1, 2, 1, 1), channels=(8, 8, 16, 16))}, 'lacks'),
        ({'model.backbone.arch': dict(depths=(1, 1, 1, 1), channels=(8, 8, 16, 24))}, 'size mis'),
        ({'model.head.num_classes': 7}, r'size mismatch for head\.'),
        ({'model.backbone.arch': dict(depths=(2, 1, 1, 1), channels=(8, 8, 16, 16))}, 'lacks'),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(data_root, tmp_path, change, message):
    """MMEngine itself would leave what doesn't fit at random, with a warning."""
    make_runner(data_root, tmp_path / 'one', 1).train()
    path = str(tmp_path / 'one' / 'epoch_1.pth')
    if 'model.backbone.arch' in change:
        change = change | {'model.neck.in_channels': change['model.backbone.arch']['channels'][3]}
        change |= {'model.head.in_channels': 4 * change['model.neck.in_channels']}
    other = make_runner(data_root, tmp_path / 'other', 1, **change)
    with pytest.raises(CheckpointError, match=message):
        load(other.model, path)
    load(make_runner(data_root, tmp_path / 'same', 1).model, path)


def test_a_deeper_backbone_is_refused(data_root, tmp_path):
    """Every weight of the shallow model is in the deeper one's file."""
    deep = {'model.backbone.arch': dict(depths=(1, 2, 1, 1), channels=(8, 8, 16, 16))}
    make_runner(data_root, tmp_path / 'deep', 1, **deep).train()
    shallow = make_runner(data_root, tmp_path / 'shallow', 1)
    with pytest.raises(CheckpointError, match='has beyond it'):
        load(shallow.model, str(tmp_path / 'deep' / 'epoch_1.pth'))
