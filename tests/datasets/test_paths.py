"""Data sets that are not where a config says."""

import json

import pytest
from mmengine.config import Config

from mmspanet.datasets.paths import check_data
from mmspanet.errors import InputError


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
        check_data(cfg, ('train', 'val'))


def test_data_that_is_there_passes(tmp_path):
    (tmp_path / 'a.json').touch()
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='a.json', metainfo=None)
    check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train', 'val'))


def test_a_split_is_a_folder_of_imagenet_only(tmp_path):
    dataset = dict(type='CIFAR10', data_root=str(tmp_path), split='train')
    check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))


def test_missing_shapes_name_the_command():
    cfg = Config(dict(val_dataloader=dict(dataset=dict(data_root='nowhere/shapes/coco'))))
    with pytest.raises(FileNotFoundError, match=r'tools/make_shapes\.py'):
        check_data(cfg, ('val',))


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
        check_data(cfg, ('train',))
    (tmp_path / 'classes.txt').write_text('fig\npear\n')
    cfg.train_dataloader.dataset.metainfo = dict(classes=str(tmp_path / 'classes.txt'))
    check_data(cfg, ('train',))
    cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    with pytest.raises(InputError, match=complaint):
        check_data(cfg, ('train',))


@pytest.mark.parametrize('content', ['{"categories": [', '[]', '{"images": []}'])
def test_a_malformed_annotation_file_is_named(content, tmp_path):
    (tmp_path / 'train.json').write_text(content)
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='train.json')
    dataset['metainfo'] = dict(classes=('fig',))
    with pytest.raises(InputError, match=r'train\.json is no annotation file'):
        check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))
