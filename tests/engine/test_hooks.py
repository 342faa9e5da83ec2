"""The hooks that no training exercises."""

import random
from itertools import product
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.runner import BaseLoop

from mmspanet.engine.hooks import (
    CheckpointGuardHook,
    CollectInWorkDirHook,
    DrawInRGBHook,
    EpochSeedHook,
)
from mmspanet.errors import CheckpointError


@pytest.mark.parametrize('part', ['val', 'test'])
def test_mmpretrains_pictures_have_the_right_colors(part, tmp_path):
    """A red image, BGR as it is loaded, drawn by MMPretrain's own hook into a file."""
    hooks = pytest.importorskip('mmpretrain.engine.hooks')
    import mmcv
    from mmengine.runner.priority import get_priority
    from mmpretrain.structures import DataSample
    from mmpretrain.visualization import UniversalVisualizer

    UniversalVisualizer.get_instance('visualizer', vis_backends=None)
    draw = hooks.VisualizationHook(enable=True, interval=1, out_dir=str(tmp_path), resize=256)
    assert get_priority(DrawInRGBHook.priority) < get_priority(draw.priority)
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[2] = 255
    batch, runner = dict(inputs=[image]), SimpleNamespace(train_loop=None, iter=0)
    sample = DataSample().set_gt_label(0).set_pred_label(0)
    sample.set_metainfo(dict(img_path='red.jpg'))
    for hook in (DrawInRGBHook(), draw):
        getattr(hook, f'after_{part}_iter')(runner, 0, batch, [sample])
    drawn = mmcv.imread(str(tmp_path / 'red.jpg_0.png'), channel_order='rgb')
    assert drawn.shape[:2] == (256, 256)
    np.testing.assert_array_equal(drawn[-1, -1], [255, 0, 0])


def test_seeds_of_epochs_runs_and_processes_differ():
    drawn = set()
    hook = EpochSeedHook()
    for seed, epoch, rank in product(range(3), range(4), range(2)):
        hook.before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch, rank=rank))
        drawn |= {torch.rand(()).item(), float(np.random.rand()), random.random()}
    assert len(drawn) == 3 * 3 * 4 * 2


@pytest.mark.parametrize(
    'weight',
    ['text', torch.ones(2, dtype=torch.complex64), torch.tensor([1.0, float('nan')])],
    ids=['text', 'complex', 'NaN'],
)
def test_fine_tuning_starts_from_weights(weight):
    """MMEngine takes a part of the weights for load_from, and complex ones with a warning."""
    runner = SimpleNamespace(_load_from='file.pth', _resume=False, _train_loop=Mock(spec=BaseLoop))
    hook = CheckpointGuardHook()
    hook.after_load_checkpoint(runner, dict(state_dict=dict(a=torch.ones(2))))
    hook.after_load_checkpoint(runner, dict(a=torch.ones(2)))  # bare
    with pytest.raises(CheckpointError, match=r'b in the checkpoint file\.pth'):
        hook.after_load_checkpoint(runner, dict(state_dict=dict(a=torch.ones(2), b=weight)))


@pytest.mark.parametrize('is_resumed', [True, False], ids=['resumed', 'tested'])
@pytest.mark.parametrize('weights', [dict(weight=torch.ones(3, 2)),
                                     dict(weight=torch.ones(3, 2), bias=torch.ones(4))],
                         ids=['a missing one', 'one of another size'])  # fmt: skip
def test_a_checkpoint_of_another_model_ends_a_run(weights, is_resumed):
    """MMEngine would leave what does not fit at random, and go on."""
    runner = SimpleNamespace(
        model=torch.nn.Linear(2, 3),
        _load_from='file.pth',
        _resume=is_resumed,
        _train_loop=Mock(spec=BaseLoop) if is_resumed else None,
    )
    with pytest.raises(CheckpointError, match='bias'):
        CheckpointGuardHook().after_load_checkpoint(runner, dict(state_dict=weights))


@pytest.mark.parametrize('part', ['val', 'test'])
def test_processes_collect_results_in_the_run_s_own_folder(part):
    metrics = [SimpleNamespace(), SimpleNamespace()]
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    runner = SimpleNamespace(log_dir='work/1', **{f'{part}_loop': loop})
    getattr(CollectInWorkDirHook(), f'before_{part}')(runner)
    assert all(metric.collect_dir.startswith('work/1/') for metric in metrics)
