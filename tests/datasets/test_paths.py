"""Data sets that are not where a config says, or that a run would fail on."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmspanet.datasets import coco as coco_format
from mmspanet.datasets.coco import is_sound
from mmspanet.datasets.paths import check_data
from mmspanet.errors import InputError


@pytest.mark.parametrize(
    ('dataset', 'setting'),
    [
        (dict(data_root='nowhere/coco'), r'train_dataloader\.dataset\.data_root'),
        (dict(data_root='.', ann_file='a.json'), r'train_dataloader\.dataset\.ann_file'),
        (dict(data_root='.', data_prefix=dict(img='x/')), r'dataset\.data_prefix\.img'),
        (
            dict(type='ImageNet', data_root='.', split='train'),
            r'train_dataloader\.dataset\.split',
        ),
        (
            dict(type='RepeatDataset', dataset=dict(data_root='nowhere')),
            r'dataset\.dataset\.data_root',
        ),
        (
            dict(type='ConcatDataset', datasets=[dict(data_root='.'), dict(data_root='gone')]),
            r'dataset\.datasets\.1\.data_root',
        ),
    ],
)
def test_missing_data_is_named(dataset, setting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(InputError, match=setting):
        check_data(cfg, ('train', 'val'))


def test_data_sets_that_download_themselves_may_be_missing(tmp_path, monkeypatch):
    pytest.importorskip('mmpretrain')
    monkeypatch.chdir(tmp_path)
    dataset = dict(type='CIFAR10', data_root='data/cifar10')
    check_data(
        Config(dict(default_scope='mmpretrain', train_dataloader=dict(dataset=dataset))), ('train',)
    )
    cfg = Config(
        dict(default_scope='mmpretrain', train_dataloader=dict(dataset=dataset | {'download': 0}))
    )
    with pytest.raises(InputError, match='data_root'):
        check_data(cfg, ('train',))


IMAGES = [dict(id=1, file_name='1.jpg', width=4, height=4)]
ANNOTATION = dict(id=1, image_id=1, category_id=0, bbox=[0, 0, 4, 4], area=16, iscrowd=0)
ANNOTATION |= dict(segmentation=[[0, 0, 4, 0, 4, 4]])


def coco(**parts):
    """A file of one image and one annotation in COCO's format, whole but for ``parts``."""
    whole = dict(images=IMAGES, annotations=[ANNOTATION], categories=[dict(id=0, name='fig')])
    return json.dumps(whole | parts)


def test_data_that_is_there_passes(tmp_path):
    (tmp_path / 'a.json').write_text(coco())
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='a.json', metainfo=None)
    check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train', 'val'))


def test_a_split_is_a_folder_of_imagenet_only(tmp_path):
    dataset = dict(type='CIFAR10', data_root=str(tmp_path), split='train')
    check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))


def test_missing_shapes_name_the_command():
    cfg = Config(dict(val_dataloader=dict(dataset=dict(data_root='nowhere/shapes/coco'))))
    with pytest.raises(InputError, match=r'tools/make_shapes\.py'):
        check_data(cfg, ('val',))


@pytest.mark.parametrize(
    ('classes', 'complaint'),
    [
        (('pear', 'fig'), r"in the order of the file, \('fig', 'pear'\)"),
        (('fig', 'plum'), 'no category plum, only fig, apple, pear'),
        ('fig', r"is the text 'fig'.*\('fig',\) for one"),
    ],
)
def test_classes_of_a_coco_file_are_checked(classes, complaint, tmp_path):
    categories = [dict(id=i, name=name) for i, name in enumerate(('fig', 'apple', 'pear'))]
    (tmp_path / 'train.json').write_text(coco(categories=categories))
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


def mask_data(root, text, with_mask=True, **evaluator):
    (root / 'train.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    steps = [dict(type='LoadAnnotations', with_mask=with_mask)]
    dataset = dict(type='CocoDataset', data_root=str(root), ann_file='train.json', pipeline=steps)
    loader = dict(type='RepeatDataset', dataset=dict(metainfo=None, **dataset))
    return Config(dict(train_dataloader=dict(dataset=loader), train_evaluator=evaluator))


def changed(**values):
    return coco(annotations=[{**ANNOTATION, **values}])


RLE = dict(size=[4, 4], counts=[0, 8, 8])

# Content of a file, and the kind of fault for which a run is refused.
STOPPING = {
    'no JSON': ('{"categories": [', 'malformed annotations'),
    'no mapping': ('[]', 'malformed annotations'),
    'no categories': ('{"images": []}', 'malformed annotations'),
    'empty': ('', 'malformed annotations'),
    'not UTF-8': ('"\udcff"', 'malformed annotations'),
    'a byte order mark': ('\ufeff' + coco(), 'malformed annotations'),
    'nested without end': ('[' * 100_000, 'malformed annotations'),
    'an image without a size': (
        coco(images=[dict(id=1, file_name='a', width='4', height=4)]),
        'malformed annotations',
    ),
    'no images': (coco(images=[], annotations=[]), 'no images'),
    'no annotations': (coco(annotations=[]), 'no annotations'),
    'NaN': (changed(bbox=[0, float('nan'), 4, 4]), 'not finite'),
    'infinite': (changed(bbox=[0, 0, float('inf'), 4]), 'not finite'),
    'beyond floats': (changed(bbox=[0, 0, 1, 4]).replace('[0, 0, 1', '[0, 0, 1e999'), 'not finite'),
    'a huge integer': (changed(bbox=[0, 0, 10**400, 4]), 'not finite'),
    'an infinite area': (changed(area=float('inf')), 'not finite'),
    'a polygon to infinity': (
        changed(segmentation=[[0, 0, float('inf'), 0, 4, 4]]),
        'not finite',
    ),
    'a long polygon to infinity': (
        changed(segmentation=[[1.25] * 30]).replace('1.25]', '-1e999]'),
        'not finite',
    ),
    'three numbers': (changed(bbox=[0, 0, 4]), 'incomplete annotation'),
    'a box of text': (changed(bbox='0 0 4 4'), 'incomplete annotation'),
    'an id that is a list': (changed(image_id=[1]), 'incomplete annotation'),
    'two annotations': (coco(annotations=[ANNOTATION, ANNOTATION]), 'duplicate id'),
    'two images': (coco(images=IMAGES * 2), 'duplicate id'),
    'two categories': (coco(categories=[dict(id=0, name=name) for name in 'ab']), 'duplicate id'),
    'no segmentation': (
        coco(annotations=[{k: v for k, v in ANNOTATION.items() if k != 'segmentation'}]),
        'missing segmentation',
    ),
    'an empty segmentation': (changed(segmentation=[]), 'missing segmentation'),
    'text as segmentation': (changed(segmentation='polygon'), 'wrong segmentation'),
    'a number as segmentation': (changed(segmentation=3), 'wrong segmentation'),
    'turned RLE': (changed(segmentation=dict(RLE, size=[4, 5])), 'wrong RLE'),
    'RLE of more pixels': (changed(segmentation=dict(RLE, counts=[0, 8, 9])), 'wrong RLE'),
    'RLE below nothing': (changed(segmentation=dict(RLE, counts=[-1, 9, 8])), 'wrong RLE'),
    'RLE of text': (changed(segmentation=dict(RLE, counts=['8', '8'])), 'wrong RLE'),
    'RLE without counts': (changed(segmentation=dict(size=[4, 4])), 'wrong RLE'),
    'RLE of other characters': (changed(segmentation=dict(RLE, counts='~~')), 'wrong RLE'),
    'RLE cut short': (changed(segmentation=dict(RLE, counts='0P')), 'wrong RLE'),
}


@pytest.mark.parametrize('case', STOPPING)
@pytest.mark.parametrize('parser', ['orjson', 'json'])
def test_annotations_that_stop_a_run_are_refused_before_it(case, parser, tmp_path, monkeypatch):
    if parser == 'json':
        monkeypatch.setitem(sys.modules, 'orjson', None)
    text, kind = STOPPING[case]
    with pytest.raises(InputError, match=rf'train\.json has a fault, {kind}') as caught:
        check_data(mask_data(tmp_path, text), ('train',))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'text',
    [
        coco(),
        coco().replace(', ', ' ,\n\t').replace(': ', ' :\n '),
        changed(segmentation=RLE),
        changed(segmentation=dict(RLE, counts='088')),
        changed(segmentation=[[1.25] * 30, [1e-7] * 30]),
        changed(segmentation=dict(size=[4, 4], counts=[0] * 50 + [16])),
        changed(bbox=[-1, 0, 9, 9]),
        changed(bbox=[0, 0, 0, 0]),  # dropped by the loader
        coco(images=[dict(IMAGES[0], file_name='\ud83d')]),  # half of a surrogate pair
    ],
)
def test_sound_annotations_pass(text, tmp_path):
    check_data(mask_data(tmp_path, text), ('train',))


def test_boxes_alone_need_no_segmentation(tmp_path):
    check_data(mask_data(tmp_path, changed(segmentation=[]), with_mask=False), ('train',))


@pytest.mark.parametrize(
    'pipeline',
    [
        [],
        [dict(type='mmdet.LoadAnnotations', with_bbox=True)],
        [dict(type='TestTimeAug', transforms=[[dict(type='A')], [dict(type='LoadAnnotations')]])],
    ],
)
def test_boxes_alone_whatever_loads_them(pipeline, tmp_path):
    cfg = mask_data(tmp_path, changed(segmentation=[]))
    cfg.train_dataloader.dataset.dataset.pipeline = pipeline
    check_data(cfg, ('train',))


def test_masks_that_are_loaded_in_a_nested_step_are_checked(tmp_path):
    step = dict(type='mmdet.LoadAnnotations', with_mask=True)
    cfg = mask_data(tmp_path, changed(segmentation=[]))
    cfg.train_dataloader.dataset.dataset.pipeline = [dict(type='TestTimeAug', transforms=[[step]])]
    with pytest.raises(InputError, match='missing segmentation'):
        check_data(cfg, ('train',))


def test_an_unlabeled_part_needs_no_annotations(tmp_path):
    unlabeled = dict(images=IMAGES, categories=[dict(id=0, name='fig')])
    cfg = mask_data(tmp_path, json.dumps(unlabeled))
    cfg.train_dataloader.dataset.dataset.pipeline = [dict(type='LoadEmptyAnnotations')]
    check_data(cfg, ('train',))


@pytest.mark.parametrize(
    'options',
    [
        dict(data_root='s3://bucket/coco/'),
        dict(data_root='data/far/', backend_args=dict(backend='petrel')),
    ],
)
def test_data_in_a_storage_is_left_to_the_run(options):
    dataset = dict(type='CocoDataset', ann_file='train.json', **options)
    check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))


def test_polygons_that_pycocotools_does_not_read_are_refused_where_it_measures():
    content = dict(
        images=[dict(id=1, file_name='a.jpg', width=9, height=9)],
        annotations=[
            dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 5, 5], area=9, segmentation=[[1] * 4])
        ],
        categories=[dict(id=1, name='a')],
    )
    assert is_sound(content, with_masks=True)
    assert is_sound(content, with_masks=False, is_measured=True)
    assert not is_sound(content, with_masks=True, is_measured=True)
    for polygon in (list('123456'), '12345678', [None] * 6):
        content['annotations'][0]['segmentation'] = [polygon]
        assert not is_sound(content, with_masks=True, is_measured=True)
    content['annotations'][0]['segmentation'] = [[1] * 6]
    assert is_sound(content, with_masks=True, is_measured=True)


def test_results_that_are_only_written_down_need_no_annotations(tmp_path):
    images_alone = json.dumps(dict(images=IMAGES, categories=[dict(id=0, name='fig')]))
    cfg = mask_data(tmp_path, images_alone, format_only=True)
    check_data(cfg, ('train',))
    cfg.train_evaluator = [cfg.train_evaluator]
    check_data(cfg, ('train',))
    cfg.train_evaluator.append(dict(type='CocoMetric'))
    with pytest.raises(InputError):
        check_data(cfg, ('train',))


def test_the_first_process_checks_for_all(tmp_path, monkeypatch):
    cfg = mask_data(tmp_path, '[]')
    cfg.launcher = 'pytorch'
    monkeypatch.setenv('RANK', '1')
    check_data(cfg, ('train',))
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(InputError):
        check_data(cfg, ('train',))


def test_runs_that_srun_numbers_check_each_their_own(tmp_path, monkeypatch):
    """A sweep: several runs of one process."""
    cfg = mask_data(tmp_path, '[]')
    cfg.launcher = 'none'
    monkeypatch.setenv('SLURM_PROCID', '1')
    with pytest.raises(InputError):
        check_data(cfg, ('train',))


@pytest.mark.parametrize('loader', [None, {}, dict(batch_size=2), dict(dataset=None)])
def test_a_config_without_data_sets(loader):
    with pytest.raises(InputError, match='train_dataloader'):
        check_data(Config(dict(train_dataloader=loader)), ('train', 'val'))


def test_an_empty_folder_of_images(tmp_path):
    (tmp_path / 'images').mkdir()
    dataset = dict(data_root=str(tmp_path), data_prefix=dict(img_path='images'))
    with pytest.raises(InputError, match=r'data_prefix\.img_path\) is an empty folder'):
        check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ('train',))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda runs: sum(runs) > 0),
)
def test_packed_runs_are_read_as_pycocotools_packs_them(runs):
    """Against its C code, which wrote them."""
    mask = pytest.importorskip('pycocotools.mask')
    pixels = np.concatenate([np.full(run, i % 2, np.uint8) for i, run in enumerate(runs)])
    packed = mask.encode(np.asfortranarray(pixels[:, None]))['counts'].decode()
    counts = coco_format.decode_counts(packed)
    again = np.concatenate([np.full(run, i % 2, np.uint8) for i, run in enumerate(counts)])
    np.testing.assert_array_equal(again, pixels)
    assert not coco_format.is_wrong_rle(dict(size=[len(pixels), 1], counts=packed), (sum(runs), 1))
    assert coco_format.is_wrong_rle(dict(size=[len(pixels), 1], counts=packed[:-1]), (sum(runs), 1))
