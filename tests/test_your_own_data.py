"""docs/your_own_data.md: its commands as written, on the data that its first one makes."""

import argparse
import ast
import re

import pytest
from mmengine.config import Config

from mmspanet import cli
from mmspanet.datasets.paths import dataset_paths
from tests.helpers import ROOT, run_block

PAGE = (ROOT / 'docs/your_own_data.md').read_text()
BLOCKS = re.findall(r'```shell\n(.*?)```', PAGE, re.DOTALL)
SHORTER = dict(
    own_coco='train_cfg.max_epochs=1 train_cfg.val_interval=1 default_hooks.checkpoint.interval=1',
    own_folders='train_cfg.max_epochs=1 train_cfg.val_interval=1 '
    'default_hooks.checkpoint.interval=1',
    own_masks='train_cfg.max_iters=2 train_cfg.val_interval=2 default_hooks.checkpoint.interval=2',
)
FEWER = ' '.join(
    f'{part}_dataloader.{option}'
    for part in ('train', 'val', 'test')
    for option in ('dataset.indices=8', 'num_workers=0', 'persistent_workers=False')
)
METRICS = dict(own_coco='coco/segm_mAP', own_masks='mIoU', own_folders='accuracy/top1')


class SmallModel(ast.NodeTransformer):
    """Takes out of a tutorial config what belongs to the small model and its pipelines."""

    def __init__(self, base: str) -> None:
        self.base = base

    def visit_Assign(self, node):
        (target,) = node.targets
        if target.id == '_base_':
            return ast.parse(f'_base_ = {self.base!r}').body
        if target.id in ('side', 'crop', 'train_pipeline', 'test_pipeline'):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node):
        node = self.generic_visit(node)
        small = ('input_size', 'size', 'batch_size', 'pipeline', 'pad_value')
        node.keywords = [word for word in node.keywords if word.arg not in small]
        return node


@pytest.mark.parametrize(
    ('name', 'head'),
    [('own_coco', 'roi_head'), ('own_masks', 'decode_head'), ('own_folders', 'head')],
)
def test_settings_of_other_data_reach_the_model(name, head, tmp_path):
    """The config with the settings of the page's own example in the place of the first ones."""
    example = re.search(
        rf'{name}\.py.*?```python\n(.*?)```', PAGE.split('## Objects')[1], re.DOTALL
    )
    settings = example.group(1)
    lines = (ROOT / f'configs/tutorial/{name}.py').read_text()
    lines = lines.replace("'../", f"'{ROOT}/configs/")
    for setting in settings.strip().splitlines():
        key = setting.split(' = ')[0]
        lines, found = re.subn(rf'^{key} = .*$', setting, lines, flags=re.MULTILINE)
        assert found == 1, key
    (tmp_path / 'mine.py').write_text(lines)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    classes = len(cfg.train_dataloader.dataset.metainfo.classes)
    part = cfg.model[head]
    heads = [part.bbox_head, part.mask_head] if name == 'own_coco' else [part]
    assert {h.num_classes for h in heads} == {classes} != {5}
    missing = [path for _, path in _paths(cfg)]
    assert missing
    assert all(str(path).startswith('/data/') for path in missing)


@pytest.mark.parametrize('name', METRICS)
def test_the_full_model(name, tmp_path):
    """The page's last table: another base, without what belongs to the small one."""
    base = re.search(rf"\| {name}\.py \| `'\.\./(.*?)'", PAGE).group(1)
    small = ast.parse((ROOT / f'configs/tutorial/{name}.py').read_text())
    lines = ast.unparse(SmallModel(f'{ROOT}/configs/{base}').visit(small))
    if name == 'own_folders':  # replaces the data set, so the base's pipelines are named
        for part, kind in (('train', 'train'), ('val', 'test')):
            prefix = f"data_prefix='{part}'"
            lines = lines.replace(prefix, f'{prefix}, pipeline=_base_.{kind}_pipeline')
    (tmp_path / 'full.py').write_text(lines)
    cfg = Config.fromfile(tmp_path / 'full.py')
    published = Config.fromfile(ROOT / 'configs' / base)
    assert cfg.model.backbone == published.model.backbone
    for part in ('train', 'val'):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert dataset.pipeline == published[f'{part}_dataloader'].dataset.pipeline
        assert str(dataset.data_root).startswith('data/own')
        assert len(dataset.metainfo.classes) in (5, 6)
    options = re.search(
        rf'\| {name}\.py \| `(\w+\..*?)` \|\n', PAGE.split('## Fine-tune the published model')[1]
    )
    parser = argparse.ArgumentParser()
    cli.add_run_options(parser)
    args = parser.parse_args(['full.py', '--cfg-options', *options.group(1).split()])
    short = cli.load_config(str(tmp_path / 'full.py'), args.cfg_options)
    last = short.train_cfg.get('max_epochs') or short.train_cfg.max_iters
    warmup, main = short.param_scheduler
    assert main.end == last
    assert main.get('T_max', main.end - main.begin) == main.end - main.begin
    images, batch = 300, short.train_dataloader.batch_size
    warmup_images = warmup.end * (images if warmup.by_epoch else batch)
    assert warmup_images <= 0.1 * last * (images if name != 'own_masks' else batch)
    assert last % short.train_cfg.get('val_interval', 1) == 0


def _paths(cfg):
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        yield from dataset_paths(dataset)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder in which the page's commands can be run, and what they write stays."""
    folder = tmp_path_factory.mktemp('own')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    (block,) = [b for b in BLOCKS if 'make_shapes' in b]
    run_block(block.replace('--train 1000 --val 50', '--train 10 --val 5'), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('name', SHORTER)
def test_from_data_to_pictures(name, folder):
    (block,) = [b for b in BLOCKS if name in b]
    options = f' --cfg-options {SHORTER[name]} {FEWER}\n'
    last = 'iter_2.pth' if name == 'own_masks' else 'epoch_1.pth'
    block = re.sub(r'(epoch|iter)_\d+\.pth', last, block)
    said = run_block(block.replace('\n', options), folder)
    assert said.count(METRICS[name]) >= 2  # after training, and by the test
    pictures = [*(folder / f'work_dirs/{name}/pictures').rglob('*.*g')]
    assert len(pictures) == 5
