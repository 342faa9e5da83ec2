"""What the documentation shows, done: configs of one's own, options, a deployed graph."""

import argparse
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from mmspanet import cli
from mmspanet.engine import device
from mmspanet.models import SPANetV2
from mmspanet.registry import MODELS as OUR_MODELS

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    """The Python blocks of a page of the documentation."""
    return re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / page).read_text(), re.DOTALL)


def test_the_variant_of_the_page_can_be_trained(tmp_path):
    """docs/configs.md, "A variant of your own": built, with its optimizer."""
    pytest.importorskip('mmdet')
    lines = blocks('configs.md')[0].replace("'./", f"'{ROOT}/configs/det/")
    (tmp_path / 'variant.py').write_text(lines)
    cfg = Config.fromfile(tmp_path / 'variant.py')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert [len(stage) for stage in model.backbone.stages] == [3, 3, 12, 3]
    device.adapt_to_cpu(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert min(group['lr'] for group in groups) == pytest.approx(1e-4 * 0.95**8)


def test_the_mixer_of_the_page_computes():
    exec(blocks('configs.md')[1], {})
    mixers = ('SPAM', 'SPAM', 'Identity', 'Attention')
    try:
        backbone = SPANetV2(dict(depths=(1,) * 4, channels=(32,) * 4, mixers=mixers))
    finally:
        OUR_MODELS.module_dict.pop('Identity')
    assert backbone(torch.randn(1, 3, 32, 32))[2].shape == (1, 32, 2, 2)


@pytest.mark.parametrize(('task', 'gpus'), [('det', 4), ('seg', 4)])
def test_one_gpu_at_the_same_batch(task, gpus):
    """docs/scaling_out.md: as many images and optimizer steps as the recipe, on one GPU."""
    page = (ROOT / 'docs/scaling_out.md').read_text()
    line = re.search(rf'^python tools/train.py (configs/{task}/.* --cfg-options .*)$', page, re.M)[
        1
    ]
    parser = argparse.ArgumentParser()
    cli.add_run_options(parser)
    args = parser.parse_args(line.split())
    recipe, single = (cli.load_config(args.config, o) for o in (None, args.cfg_options))
    factor = single.optim_wrapper.accumulative_counts / recipe.optim_wrapper.get(
        'accumulative_counts', 1
    )
    assert factor == gpus
    for ours, theirs in zip(single.param_scheduler, recipe.param_scheduler, strict=True):
        in_iterations = 1 if theirs.by_epoch else factor
        assert (ours.begin, ours.end) == (theirs.begin * in_iterations, theirs.end * in_iterations)
    for key in ('max_iters', 'val_interval') if task == 'seg' else ():
        assert single.train_cfg[key] == recipe.train_cfg[key] * factor
    interval = 1 if task == 'det' else factor
    checkpoints = (cfg.default_hooks.checkpoint.interval for cfg in (single, recipe))
    assert next(checkpoints) == next(checkpoints) * interval
