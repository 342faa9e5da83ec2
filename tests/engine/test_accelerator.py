"""What a training does on accelerators alone, with stand-ins: mixed precision, SyncBN and more."""

import copy
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.optim.optimizer import amp_optimizer_wrapper as amp
from mmengine.registry import init_default_scope
from torch import nn
from torch._dynamo.utils import counters

from mmspanet.analysis.run.logs import read_log
from mmspanet.checkpoints import load
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.engine import device
from mmspanet.engine.resume import ResumeHook
from mmspanet.errors import DivergedError
from mmspanet.models import find_spanetv2
from tests.engine.test_training import make_runner
from tests.helpers import ROOT

SCALE = dict(init_scale=2.0**8, growth_interval=3)
AMP = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': SCALE}
TRAININGS = {
    'fused AdamW, clipped': AMP,  # as the config has it
    'AdamW': AMP | {'optim_wrapper.optimizer.fused': False, 'optim_wrapper.clip_grad': None},
    'LAMB by head': {
        'optim_wrapper': dict(
            _delete_=True,
            type='AmpOptimWrapper',
            loss_scale=SCALE,
            optimizer=dict(type='mmspanet.HeadwiseLamb', lr=2e-3, weight_decay=0.05),
            paramwise_cfg=dict(custom_keys={'srf.filter': dict(heads=4)}),
        )
    },
    'EMA': AMP | {'custom_hooks': [dict(type='mmspanet.EpochSeedHook'), dict(type='EMAHook')]},
}


@pytest.fixture
def mixed_precision(monkeypatch):
    """AmpOptimWrapper on any device: bfloat16 and PyTorch's loss scaler for CPUs, say."""
    monkeypatch.setattr(amp, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp, 'GradScaler', partial(torch.amp.GradScaler, get_device()))
    monkeypatch.setattr(device, 'adapt_to_cpu', lambda cfg: None)


class Overflow(Hook):
    """Makes a gradient infinite in some iterations, and notes weights and scale after each."""

    def __init__(self, iterations):
        self.iterations = iterations
        self.weights, self.scales = [], []

    def before_train(self, runner):
        runner.model.head.fc.weight.register_hook(lambda gradient: gradient * self.factor)

    def before_train_iter(self, runner, *_, **__):
        self.factor = float('inf') if runner.iter in self.iterations else 1.0

    def after_train_iter(self, runner, *_, **__):
        self.weights.append(copy.deepcopy(runner.model.state_dict()))
        self.scales.append(runner.optim_wrapper.loss_scaler.get_scale())


def differs(one, other):
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.usefixtures('mixed_precision')
@pytest.mark.parametrize('name', TRAININGS)
def test_a_step_of_infinite_gradients_is_skipped(data_root, tmp_path, name):
    changes = TRAININGS[name] | {'default_hooks.logger.interval': 1}
    runner = make_runner(data_root, tmp_path, 2, **changes)
    seen = Overflow({1})
    runner.register_hook(seen)
    runner.train()
    assert seen.scales == [2.0**8, 2.0**7, 2.0**7, 2.0**7]
    assert not differs(seen.weights[0], seen.weights[1])
    assert differs(seen.weights[1], seen.weights[2]) == seen.weights[0].keys()
    saved = read_checkpoint(tmp_path / 'epoch_2.pth')
    for part in {'state_dict', 'ema_state_dict'} & saved.keys():
        assert all(value.isfinite().all() for value in saved[part].values())
    assert len(read_log(tmp_path).training) == 4  # with a norm of gradients that is no number


@pytest.mark.usefixtures('mixed_precision')
def test_the_loss_scale_is_resumed(data_root, tmp_path):
    make_runner(data_root, tmp_path / 'whole', 2, **AMP).train()
    make_runner(data_root, tmp_path / 'cut', 1, **AMP).train()
    resumed = make_runner(data_root, tmp_path / 'cut', 2, **AMP)
    resumed.register_hook(ResumeHook())
    resumed.train()
    whole, cut = (read_checkpoint(tmp_path / run / 'epoch_2.pth') for run in ('whole', 'cut'))
    assert whole['optimizer']['loss_scaler']['scale'] == 2.0**9  # it grew in the second epoch
    assert cut['optimizer']['loss_scaler'] == whole['optimizer']['loss_scaler']
    assert not differs(whole['state_dict'], cut['state_dict'])


@pytest.mark.usefixtures('mixed_precision')
def test_a_run_goes_on_with_and_without_mixed_precision(data_root, tmp_path):
    for epochs, changes in enumerate([AMP, {}, AMP], start=1):
        runner = make_runner(data_root, tmp_path, epochs, **changes)
        runner.register_hook(ResumeHook())
        runner.train()
        assert runner.iter == 2 * epochs


@pytest.mark.usefixtures('mixed_precision')
def test_a_training_that_skips_every_step_is_ended(data_root, tmp_path):
    """Its weights stay finite: the loss scale alone says that it diverged."""
    scale = {'optim_wrapper.loss_scale': dict(init_scale=2.0**-12)}
    runner = make_runner(data_root, tmp_path, 2, **AMP | scale)
    runner.register_hook(Overflow({0, 1, 2, 3}))
    with pytest.raises(DivergedError, match=r'loss scale.* after 2 iterations.*--resume'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


class Losses(Hook):
    """Notes the loss of every iteration."""

    def __init__(self):
        self.values = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.values.append(outputs['loss'].item())


class ChannelsLast(Hook):
    """Has the model in channels_last memory, and its images."""

    def before_train(self, runner):
        runner.model.to(memory_format=torch.channels_last)
        runner.model.backbone.register_forward_pre_hook(
            lambda _, args: args[0].contiguous(memory_format=torch.channels_last)
        )


def losses(runner, *hooks):
    noted = Losses()
    for hook in (*hooks, noted):
        runner.register_hook(hook)
    runner.train()
    return noted.values


def test_a_training_in_channels_last_memory(data_root, tmp_path):
    expected = losses(make_runner(data_root, tmp_path / 'plain', 2))
    runner = make_runner(data_root, tmp_path / 'last', 2)
    assert losses(runner, ChannelsLast()) == pytest.approx(expected, rel=1e-3)
    assert runner.model.backbone.stages[0][0].token_mixer.convs[0].weight.stride()[1] == 1
    load(make_runner(data_root, tmp_path / 'new', 1).model, str(tmp_path / 'last/epoch_2.pth'))


@pytest.mark.slow
def test_a_compiled_training_step(data_root, tmp_path):
    expected = losses(make_runner(data_root, tmp_path / 'plain', 1))
    torch._dynamo.reset()
    counters.clear()
    compiled = make_runner(data_root, tmp_path / 'compiled', 1, compile=dict(backend='eager'))
    assert len(expected) == 2
    assert losses(compiled) == pytest.approx(expected, rel=1e-3)
    assert counters['frames']['ok'] > 0
    assert not counters['recompile_limit']


@pytest.mark.parametrize(
    ('file', 'library', 'count'),
    [
        # Three heads of four convolutions; scale heads of 1, 1, 2 and 3 convolutions; four of the
        # pooled maps and their bottleneck, three laterals, three outputs, a bottleneck, auxiliary.
        ('det/cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py', 'mmdet', 12),
        ('seg/fpn_spanetv2-s18-hybrid_4xb8-amp-40k_ade20k-512x512.py', 'mmseg', 7),
        ('seg/upernet_spanetv2-s18-pure_h320_4xb4-amp-160k_ade20k-512x512.py', 'mmseg', 13),
    ],
)
def test_sync_bn_is_in_the_heads_alone(file, library, count):
    registry = pytest.importorskip(f'{library}.registry')
    cfg = Config.fromfile(ROOT / 'configs' / file)
    init_default_scope(library)
    cfg.model.backbone.pop('init_cfg')
    model = registry.MODELS.build(cfg.model)

    def synchronized():
        return {name for name, part in model.named_modules() if isinstance(part, nn.SyncBatchNorm)}

    norms = synchronized()
    assert len(norms) == count
    assert not any('backbone' in name for name in norms)
    model = revert_sync_batchnorm(model)  # as MMEngine does for a single GPU
    assert not synchronized()
    for backbone in find_spanetv2(model).values():
        backbone.switch_to_deploy()
    model = convert_sync_batchnorm(model)  # as for sync_bn='torch' in a config
    assert synchronized() == norms
