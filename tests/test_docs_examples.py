"""The examples of the pages run: Python blocks, and shell blocks in a folder of their own.

An example that takes minutes, installs packages or needs data of its own is left out by a
comment before it on the page: ``<!--- skip: next "reason" -->``.
"""

import argparse
import re
from pathlib import Path
from unittest import SkipTest

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from mmspanet import cli
from mmspanet.engine import device
from mmspanet.registry import MODELS as OUR_MODELS
from tests.helpers import ROOT, run_block

PAGES = [
    ROOT / 'README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *(ROOT / folder / 'README.md' for folder in ('benchmarks', 'projects/side_by_side')),
    ROOT / 'projects/shape_bias/README.md',
]


def run_shell(example: Example) -> None:
    run_block(example.parsed, Path.cwd())


SYBIL = Sybil([PythonCodeBlockParser(), CodeBlockParser('shell', run_shell), SkipParser()])


def marked(page: Path):
    """A page as a parameter, slow if it has commands."""
    marks = [pytest.mark.slow] if '```shell' in page.read_text() else []
    return pytest.param(page, id=page.relative_to(ROOT).as_posix(), marks=marks)


@pytest.mark.parametrize('page', map(marked, PAGES))
def test_examples_run(page, tmp_path, monkeypatch):
    pytest.importorskip('mmpretrain')
    for name in ('configs', 'tools', 'dev', 'projects', 'benchmarks'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    registered = dict(OUR_MODELS.module_dict)
    try:
        for example in SYBIL.parse(page).examples():
            try:
                example.evaluate()
            except SkipTest:
                continue
    finally:
        OUR_MODELS.module_dict.clear()
        OUR_MODELS.module_dict.update(registered)


def test_a_failing_example_fails(tmp_path):
    page = tmp_path / 'page.md'
    for block in ('```python\n1 / 0\n```', '```shell\nfalse\ntrue\n```'):
        page.write_text(f'<!--- skip: next "minutes" -->\n\n{block}\n\n{block}\n')
        first, second, third = SYBIL.parse(page).examples()
        first.evaluate()
        with pytest.raises(SkipTest, match='minutes'):
            second.evaluate()
        with pytest.raises((ZeroDivisionError, AssertionError)):
            third.evaluate()


def blocks(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)


def test_the_variant_can_be_trained(tmp_path):
    """docs/variants.md, "A variant": built, with its optimizer."""
    pytest.importorskip('mmdet')
    lines = blocks('docs/variants.md')[0].replace("'./", f"'{ROOT}/configs/det/")
    (tmp_path / 'variant.py').write_text(lines)
    cfg = Config.fromfile(tmp_path / 'variant.py')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert [len(stage) for stage in model.backbone.stages] == [3, 3, 12, 3]
    device.adapt_to_cpu(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert min(group['lr'] for group in groups) == pytest.approx(1e-4 * 0.95**8)


@pytest.mark.parametrize(('task', 'gpus'), [('det', 4), ('seg', 4)])
def test_one_gpu_at_the_same_batch(task, gpus):
    """docs/scaling_out.md: as many images and optimizer steps as the recipe, on one GPU."""
    page = (ROOT / 'docs/scaling_out.md').read_text()
    line = re.search(rf'^python tools/train.py (configs/{task}/.* --cfg-options .*)$', page, re.M)
    parser = argparse.ArgumentParser()
    cli.add_run_options(parser)
    args = parser.parse_args(line[1].split())
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
