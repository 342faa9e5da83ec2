"""What the scripts do before the Runner: the machine's limits and the user's mistakes."""

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmspanet.engine import launch
from mmspanet.errors import CheckpointError, InputError

ROOT = Path(__file__).parents[2]


def machine_config(**kwargs) -> Config:
    return Config(
        dict(
            model=dict(neck=dict(norm_cfg=dict(type='SyncBN')), heads=[dict(type='SyncBN')]),
            optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', accumulative_counts=2),
            train_dataloader=dict(pin_memory=True, batch_size=2),
            **kwargs,
        )
    )


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')


@pytest.mark.usefixtures('no_accelerator')
def test_fit_to_a_cpu(capsys):
    cfg = machine_config()
    launch.fit_to_machine(cfg)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', accumulative_counts=2)
    assert cfg.model == dict(neck=dict(norm_cfg=dict(type='BN')), heads=[dict(type='BN')])
    assert cfg.train_dataloader == dict(pin_memory=False, batch_size=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    launch.fit_to_machine(cfg)
    assert capsys.readouterr().out == ''


def test_an_accelerator_changes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg = machine_config()
    launch.fit_to_machine(cfg)
    assert cfg.to_dict() == machine_config().to_dict()
    assert capsys.readouterr().out == ''


@pytest.mark.usefixtures('no_accelerator')
def test_slurm_without_gpus_is_refused():
    with pytest.raises(InputError, match=r'dist_train\.sh'):
        launch.fit_to_machine(machine_config(launcher='slurm'))


@pytest.mark.parametrize(
    ('dataset', 'setting'),
    [
        (dict(data_root='nowhere/coco'), r'train_dataloader\.dataset\.data_root'),
        (dict(data_root='{tmp}', ann_file='a.json'), r'train_dataloader\.dataset\.ann_file'),
        (dict(data_root='{tmp}', data_prefix=dict(img='x/')), r'dataset\.data_prefix\.img'),
        (
            dict(type='ImageNet', data_root='{tmp}', split='train'),
            r'train_dataloader\.dataset\.split',
        ),
        (
            dict(type='RepeatDataset', dataset=dict(data_root='nowhere')),
            r'dataset\.dataset\.data_root',
        ),
        (
            dict(type='ConcatDataset', datasets=[dict(data_root='{tmp}'), dict(data_root='gone')]),
            r'dataset\.datasets\.1\.data_root',
        ),
    ],
)
def test_missing_data_is_named(dataset, setting, tmp_path):
    dataset = eval(repr(dataset).replace('{tmp}', str(tmp_path)))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(FileNotFoundError, match=setting):
        launch.check_data(cfg, ('train', 'val'))


def test_data_that_is_there_passes(tmp_path):
    (tmp_path / 'a.json').touch()
    dataset = dict(data_root=str(tmp_path), ann_file='a.json')
    launch.check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train', 'val'))


def test_a_split_is_a_folder_of_imagenet_only(tmp_path):
    dataset = dict(type='CIFAR10', data_root=str(tmp_path), split='train')
    launch.check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))


def test_options_that_do_not_fit(tmp_path):
    (tmp_path / 'config.py').write_text('hooks = [dict(a=1)]\n')
    assert launch.load_config(str(tmp_path / 'config.py'), {'hooks.0.a': 2}).hooks[0].a == 2
    with pytest.raises(InputError, match='--cfg-options do not fit'):
        launch.load_config(str(tmp_path / 'config.py'), {'hooks.3.a': 2})


def test_missing_shapes_name_the_command():
    cfg = Config(dict(val_dataloader=dict(dataset=dict(data_root='nowhere/shapes/coco'))))
    with pytest.raises(FileNotFoundError, match=r'tools/make_shapes\.py'):
        launch.check_data(cfg, ('val',))


def test_checkpoints(tmp_path):
    good = tmp_path / 'good.pth'
    torch.save(dict(weight=torch.ones(1000)), good)
    launch.check_checkpoint(str(good))
    launch.check_checkpoint('https://host/file.pth')
    with pytest.raises(FileNotFoundError, match=r'gone\.pth'):
        launch.check_checkpoint(str(tmp_path / 'gone.pth'))
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(good.read_bytes()[:-500])
    page = tmp_path / 'page.pth'
    page.write_text('<html>not found</html>')
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), script)
    archive = tmp_path / 'archive.pth'
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('notes.txt', 'no weights')
    for bad in (cut, page, script, archive):
        with pytest.raises(CheckpointError, match=bad.name):
            launch.check_checkpoint(str(bad))


@pytest.mark.parametrize(
    ('command', 'expected'),
    [
        (['train.py', 'configs/gone.py'], 'configs/gone.py'),
        (
            ['train.py', 'configs/det/maskrcnn_spanetv2.py', '--cfg-options',
             'train_dataloader.dataset.data_root=nowhere'],
            'nowhere',
        ),
        (['test.py', 'configs/det/maskrcnn_spanetv2.py', 'gone.pth'], 'gone.pth'),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_mistake_ends_in_one_line(command, expected):
    script, *args = command
    run = subprocess.run(
        [sys.executable, f'tools/{script}', *args], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 1
    errors = [line for line in run.stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1
    assert expected in errors[0]
    assert 'Traceback' not in run.stderr


def test_a_file_that_can_not_be_fetched_names_both_remedies(monkeypatch, tmp_path):
    from urllib.error import URLError

    from mmspanet.checkpoints import release

    def refuse(url, map_location=None):
        raise URLError('no route')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(release, 'load_from_http', refuse)
    with pytest.raises(FileNotFoundError) as error:
        release.load_from_release('spanetv2://s18-pure')
    text = str(error.value)
    assert 'checkpoints/spanetv2_s18_pure_res-scale_Full-ExSPAM.pth' in text
    assert 'model.backbone.init_cfg=None' in text
    assert '\n' not in text
    (tmp_path / 'checkpoints').mkdir()
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'checkpoints' / release.FILES['s18-pure'])
    assert release.load_from_release('spanetv2://s18-pure')['weight'] == 1
    with pytest.raises(ValueError, match='t18-pure is not published'):
        release.load_from_release('spanetv2://t18-pure')


def test_resume_passes_damaged_checkpoints_over(tmp_path, capsys):
    assert launch.newest_whole_checkpoint(str(tmp_path)) is None
    (tmp_path / 'epoch_36-1a2b3c4d.pth').touch()  # published, no state of a training
    assert launch.newest_whole_checkpoint(str(tmp_path)) is None
    for epoch in (2, 9, 10):
        torch.save(dict(weight=torch.randn(1000)), tmp_path / f'epoch_{epoch}.pth')
    assert launch.newest_whole_checkpoint(str(tmp_path)).endswith('epoch_10.pth')
    os.truncate(tmp_path / 'epoch_10.pth', 3000)
    flipped = bytearray((tmp_path / 'epoch_9.pth').read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (tmp_path / 'epoch_9.pth').write_bytes(flipped)
    assert launch.newest_whole_checkpoint(str(tmp_path)).endswith('epoch_2.pth')
    warned = capsys.readouterr().out
    assert 'epoch_10.pth is damaged' in warned
    assert 'epoch_9.pth is damaged' in warned
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='All checkpoints in'):
        launch.newest_whole_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ('classes', 'complaint'),
    [
        (('pear', 'fig'), r"in the order of the file, \('fig', 'pear'\)"),
        (('fig', 'plum'), 'no category plum, only fig, apple, pear'),
    ],
)
def test_classes_of_a_coco_file_are_checked(classes, complaint, tmp_path):
    categories = [dict(id=i, name=name) for i, name in enumerate(('fig', 'apple', 'pear'))]
    (tmp_path / 'train.json').write_text(json.dumps(dict(categories=categories)))
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='train.json')
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    for fitting in (('fig', 'pear'), ('fig', 'apple', 'pear')):
        cfg.train_dataloader.dataset.metainfo = dict(classes=fitting)
        launch.check_data(cfg, ('train',))
    (tmp_path / 'classes.txt').write_text('fig\npear\n')
    cfg.train_dataloader.dataset.metainfo = dict(classes=str(tmp_path / 'classes.txt'))
    launch.check_data(cfg, ('train',))
    cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    with pytest.raises(launch.InputError, match=complaint):
        launch.check_data(cfg, ('train',))


@pytest.mark.parametrize('is_begun', [False, True])
def test_resume_starts_from_load_from_where_there_is_nothing_yet(is_begun, tmp_path, monkeypatch):
    """A fine-tuning that is always launched with --resume."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    train = importlib.import_module('train')
    given = []
    runner = SimpleNamespace(model=None, train=lambda: None)
    from_cfg = SimpleNamespace(from_cfg=lambda cfg: given.append(cfg) or runner)
    monkeypatch.setattr(train, 'Runner', from_cfg)
    monkeypatch.setattr(launch, 'check_data', lambda *_: None)
    monkeypatch.setattr(launch, 'check_fit', lambda *_: None)
    start, newest = str(tmp_path / 'start.pth'), str(tmp_path / 'epoch_1.pth')
    for path in (start, newest) if is_begun else (start,):
        torch.save(dict(weight=torch.ones(1)), path)
    monkeypatch.setattr(
        sys, 'argv',
        ['train.py', str(ROOT / 'configs/cls/spanetv2_shapes.py'), '--work-dir', str(tmp_path),
         '--resume', '--cfg-options', f'load_from={start}'],
    )  # fmt: skip
    train.main()
    assert given[0].resume == is_begun
    assert given[0].load_from == (newest if is_begun else start)
