"""Draw the learning rate of the ten ImageNet configs and of timm, in docs/images.

Run it as ``python -m dev.draw_imagenet_schedule``; needs timm.
"""

from pathlib import Path

import matplotlib
import mmengine.optim  # noqa: F401, registers the schedulers
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS
from timm.scheduler import create_scheduler_v2

matplotlib.use('Agg')
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
TIMM = dict(num_epochs=300, cooldown_epochs=10, warmup_epochs=20, warmup_lr=1e-6, min_lr=1e-5)


def rates_of_config(path: Path) -> list[float]:
    """The learning rate of each epoch."""
    cfg = Config.fromfile(path)
    optimizer = _optimizer(cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))
        for scheduler in cfg.param_scheduler
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def rates_of_timm(lr: float) -> list[float]:
    """The learning rate of each epoch in timm's training loop."""
    optimizer = _optimizer(lr)
    scheduler, epochs = create_scheduler_v2(optimizer, sched='cosine', **TIMM)
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        scheduler.step(epoch + 1)
    return rates


def _optimizer(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def main() -> None:
    curves = {p: rates_of_config(p) for p in sorted((ROOT / 'configs/cls').glob('*_in1k.py'))}
    theirs = {lr: rates_of_timm(lr) for lr in (4e-3, 8e-3)}
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 5), sharex=True, height_ratios=(2, 1), layout='constrained'
    )
    for path, ours in curves.items():
        peak = 8e-3 if 'hybrid' in path.name else 4e-3
        above.plot(ours, lw=1.2, label=path.name.split('_')[0].removeprefix('spanetv2-'))
        ratio = [a / b for a, b in zip(ours, theirs[peak], strict=True)]
        below.plot(ratio, lw=1.2)
    for lr, rates in theirs.items():
        above.plot(range(0, 310, 10), rates[::10], 'k.', label=f'timm, peak {lr:g}')
    above.set_ylabel('learning rate')
    above.legend(fontsize=7, ncols=2)
    below.set(ylabel='ours / timm', xlabel='epoch', ylim=(0.98, 1.02))
    for axis in (above, below):
        axis.grid(alpha=0.3)
    path = ROOT / 'docs/images/imagenet_schedule.png'
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(path)


if __name__ == '__main__':
    main()
