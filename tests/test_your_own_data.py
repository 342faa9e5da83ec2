"""docs/your_own_data.md: its commands as written, on the data that its first one makes."""

import re

import pytest
from mmengine.config import Config

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


@pytest.mark.parametrize('name', ['coco', 'masks', 'folders'])
def test_fine_tuning_keeps_the_published_recipe(name):
    """The data, the heads' classes and the schedule are new; backbone and pipelines are not."""
    file = ROOT / f'configs/tutorial/finetune_{name}.py'
    (base,) = re.findall(r"^_base_ = '(.*)'", file.read_text(), re.MULTILINE)
    cfg, published = Config.fromfile(file), Config.fromfile(file.parent / base)
    weights = cfg.model.backbone.pop('init_cfg')
    published.model.backbone.pop('init_cfg', None)
    assert weights == dict(type='Pretrained', checkpoint='spanetv2://s18-pure')
    assert cfg.model.backbone == published.model.backbone
    small = Config.fromfile(file.with_name(f'own_{name}.py'))
    for part in ('train', 'val', 'test'):
        dataset = cfg[f'{part}_dataloader'].dataset
        theirs = published[f'{part}_dataloader'].dataset.pipeline
        for step in theirs:  # ADE20K's 0 is unlabeled; with own data the data set says it
            step.pop('reduce_zero_label', None)
        assert dataset.pipeline == theirs
        assert dataset.metainfo.classes == small[f'{part}_dataloader'].dataset.metainfo.classes
    assert [*_paths(cfg)] == [*_paths(small)]
    heads = [cfg.model.get(key, {}) for key in ('head', 'decode_head', 'auxiliary_head')]
    heads += [cfg.model.get('roi_head', {}).get(key, {}) for key in ('bbox_head', 'mask_head')]
    assert {head.num_classes for head in heads if head} == {len(dataset.metainfo.classes)}
    warmup, main = cfg.param_scheduler
    last = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert main.end == last
    assert main.get('T_max', main.end - main.begin) == main.end - main.begin
    images, batch = 300, cfg.train_dataloader.batch_size
    warmup_images = warmup.end * (images if warmup.by_epoch else batch)
    assert warmup_images <= 0.1 * last * (images if name != 'masks' else batch)
    assert last % cfg.train_cfg.get('val_interval', 1) == 0


@pytest.mark.parametrize('name', METRICS)
def test_the_best_checkpoint_has_others_to_be_better_than(name):
    """A run that validates once has nothing to choose from."""
    cfg = Config.fromfile(ROOT / f'configs/tutorial/{name}.py')
    last = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert last >= 4 * cfg.train_cfg.val_interval
    assert cfg.default_hooks.checkpoint.save_best == cfg.custom_hooks[1].monitor


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
