"""The learning rates of the ImageNet configs against timm's scheduler, with which they began."""

from pathlib import Path

import mmengine.optim  # noqa: F401, registers the schedulers
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

factory = pytest.importorskip('timm.scheduler')

CONFIGS = Path(__file__).parents[2] / 'configs/cls'
FILES = sorted(path.name for path in CONFIGS.glob('*_in1k.py'))
IMAGES = 1281167  # of ImageNet's training set


def timms_curve(lr):
    """The rate of each epoch in timm's training loop, with its default of ten cooldown epochs."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, epochs = factory.create_scheduler_v2(
        optimizer,
        sched='cosine',
        num_epochs=300,
        cooldown_epochs=10,
        warmup_epochs=20,
        warmup_lr=1e-6,
        min_lr=1e-5,
    )
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        scheduler.step(epoch + 1)
    return np.array(rates)


def our_curve(cfg):
    """The rate of each epoch, as MMEngine's Runner builds and steps the config's schedulers."""
    optimizer = torch.optim.SGD(
        [torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr
    )
    iterations = IMAGES // (4 * cfg.train_dataloader.batch_size)
    schedulers = [
        PARAM_SCHEDULERS.build(
            scheduler, default_args=dict(optimizer=optimizer, epoch_length=iterations)
        )
        for scheduler in cfg.param_scheduler
    ]
    assert all(scheduler.by_epoch for scheduler in schedulers)
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize('file', FILES)
def test_every_epoch_has_timms_learning_rate(file):
    cfg = Config.fromfile(CONFIGS / file)
    theirs = timms_curve(8e-3 if 'hybrid' in file else 4e-3)
    ours = our_curve(cfg)
    assert len(ours) == len(theirs) == 310
    np.testing.assert_allclose(ours[20:], theirs[20:], rtol=1e-4)
    np.testing.assert_allclose(ours[:20], theirs[:20], rtol=2e-2)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=5e-4)
    assert cfg.train_cfg.val_interval == 1  # the cooldown's epochs, too, may be the best


# Images a GPU in the released scripts, on 4 GPUs: M36 and B36 fit 80 GB in float32 with these.
IMAGES_A_GPU = {'s18-pure': 128, 's18-hybrid': 64, 's36': 64, 'm36': 32, 'b36': 32}


@pytest.mark.parametrize('file', FILES)
def test_batches_are_split_as_in_the_released_scripts(file):
    cfg = Config.fromfile(CONFIGS / file)
    images = next(number for start, number in IMAGES_A_GPU.items() if f'spanetv2-{start}' in file)
    assert f'_4xb{images}-' in file
    assert cfg.train_dataloader.batch_size == images
    assert cfg.auto_scale_lr.base_batch_size == 4 * images
    assert 4 * images * cfg.optim_wrapper.accumulative_counts == 4096
