"""Each kind of broken data has a defined outcome, and is named before a run."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmspanet.datasets import check
from mmspanet.errors import InputError
from tests.helpers import run

WIDTH, HEIGHT = 40, 24


def photo():
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def save_cut(path):
    photo().save(path)
    path.write_bytes(path.read_bytes()[:-20])


def save_turned(path):
    exif = Image.Exif()
    exif[check.EXIF_ORIENTATION] = 6
    photo().save(path, exif=exif)


def save_16_bit(path):
    Image.fromarray(np.full((HEIGHT, WIDTH), 40_000, np.uint16)).save(path)


# How the file is made: the findings, and the outcome in MMCV's loader (a shape, or an error).
IMAGES = {
    'good.jpg': (lambda p: photo().save(p), [], (HEIGHT, WIDTH, 3)),
    'gray.jpg': (lambda p: photo().convert('L').save(p), [], (HEIGHT, WIDTH, 3)),
    'cmyk.jpg': (lambda p: photo().convert('CMYK').save(p), [], (HEIGHT, WIDTH, 3)),
    'pixel.png': (lambda p: photo().crop((0, 0, 1, 1)).save(p), [], (1, 1, 3)),
    'rgba.png': (
        lambda p: photo().convert('RGBA').save(p),
        ['transparent image'],
        (HEIGHT, WIDTH, 3),
    ),
    '16_bit.png': (save_16_bit, ['16-bit image'], (HEIGHT, WIDTH, 3)),
    'turned.jpg': (save_turned, ['turned by EXIF'], (WIDTH, HEIGHT, 3)),
    'cut.jpg': (save_cut, ['broken image'], 'failed to load image'),
    'text.jpg': (lambda p: p.write_text('no image'), ['broken image'], 'failed to load image'),
    'empty.jpg': (lambda p: p.touch(), ['broken image'], 'buf.empty'),
    'absent.jpg': (lambda p: None, ['missing'], 'No such file'),
}


def test_images_larger_than_opencv_reads(tmp_path, monkeypatch):
    photo().save(tmp_path / 'a.png')
    monkeypatch.setattr(check, 'MOST_PIXELS', WIDTH * HEIGHT)
    assert check.check_image(tmp_path / 'a.png')[0] == []
    monkeypatch.setattr(check, 'MOST_PIXELS', WIDTH * HEIGHT - 1)
    ((finding,), size) = check.check_image(tmp_path / 'a.png')
    assert (finding.kind, size) == ('broken image', None)


@pytest.mark.parametrize('name', IMAGES)
def test_images(tmp_path, name):
    transforms = pytest.importorskip('mmcv.transforms')
    make, expected, outcome = IMAGES[name]
    path = tmp_path / name
    make(path)
    findings, size = check.check_image(path)
    assert [finding.kind for finding in findings] == expected
    load = transforms.LoadImageFromFile()
    if isinstance(outcome, str):
        assert size is None
        with pytest.raises((AssertionError, OSError, cv2.error), match=outcome):
            load(dict(img_path=str(path)))
    else:
        assert load(dict(img_path=str(path)))['img'].shape == outcome
        assert size == outcome[1::-1]


def coco(**changes):
    """A data set of one image and one annotation in COCO's format."""
    polygon = [4, 4, 20, 4, 20, 16]
    annotation = dict(id=7, image_id=1, category_id=3, bbox=[4, 4, 16, 12], area=96, iscrowd=0)
    annotation |= dict(segmentation=[polygon])
    content = dict(
        images=[dict(id=1, file_name='good.jpg', width=WIDTH, height=HEIGHT)],
        annotations=[annotation | changes.pop('annotation', {})],
        categories=[dict(id=3, name='cat'), dict(id=5, name='dog')],
    )
    return content | changes


def find_in_coco(root, content, classes=('cat', 'dog')):
    pytest.importorskip('mmdet')
    (root / 'train').mkdir(exist_ok=True)
    photo().save(root / 'train' / 'good.jpg')
    (root / 'file.json').write_text(content if isinstance(content, str) else json.dumps(content))
    dataset = ConfigDict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='file.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=classes),
        pipeline=[dict(type='LoadAnnotations', with_mask=True)],
    )
    samples, findings = check.read_samples(dataset, 'mmdet')
    return [f.kind for f in findings + [f for s in samples for f in check.check_sample(s)]]


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (coco(), []),
        (coco(annotation=dict(bbox=[30, 4, 16, 12])), ['box over the edge']),
        (coco(annotation=dict(bbox=[-20, 4, 16, 12])), ['empty box']),
        (coco(annotation=dict(bbox=[4, 4, 0, 12])), ['empty box']),
        (coco(annotation=dict(bbox=[4, 4, 16])), ['incomplete annotation']),
        (coco(annotation=dict(bbox=None)), ['incomplete annotation']),
        (coco(annotation=dict(bbox=[None, 4, 16, 12])), ['incomplete annotation']),
        (coco(annotation=dict(area=None)), ['incomplete annotation']),
        (coco(annotation=dict(category_id=4)), ['unknown category']),
        (coco(annotation=dict(segmentation=[[4, 4, 8, 8]])), ['degenerate polygon']),
        (coco(annotation=dict(segmentation=[[4, 4, 8, 8, 9, 9, 1]])), ['degenerate polygon']),
        (coco(annotation=dict(segmentation=[3, 4])), ['degenerate polygon']),
        (coco(annotation=dict(image_id=2)), ['unknown image', 'without instances']),
        (coco(annotations=[]), ['no annotations', 'without instances']),
        (coco(annotation=dict(bbox=[4, 4, float('inf'), 12])), ['not finite']),
        (coco(annotation=dict(bbox=[float('nan'), 4, 16, 12])), ['not finite']),
        (coco(annotation=dict(segmentation=[[4, 4, 8, 8, float('inf'), 8]])), ['not finite']),
        (coco(annotation=dict(segmentation=None)), ['missing segmentation']),
        (coco(annotation=dict(segmentation={})), ['missing segmentation']),
        (coco(annotation=dict(segmentation='4 4')), ['wrong segmentation']),
        (coco(annotation=dict(segmentation=dict(size=[1, 1], counts=[1]))), ['wrong RLE']),
        (coco(categories=[dict(id=3, name='cat'), dict(id=3, name='dog')]), ['duplicate id']),
        ('[' * 100_000, ['malformed annotations']),
        (coco(categories=[dict(id=3, name='cat')]), ['wrong classes']),
        (coco(categories=[dict(id=3, name='dog'), dict(id=5, name='cat')]), ['wrong classes']),
        (
            coco(images=[dict(id=1, file_name='good.jpg', width=HEIGHT, height=WIDTH)]),
            ['box over the edge', 'wrong size'],
        ),
        (coco(images=[dict(id=1, file_name='no.jpg', width=WIDTH, height=HEIGHT)]), ['missing']),
        ('{"images": [', ['malformed annotations']),
        ('[]', ['malformed annotations']),
        (dict(images=[], annotations=[]), ['malformed annotations']),
        ('\ufeff' + json.dumps(coco()), ['malformed annotations']),  # a byte order mark
    ],
)
def test_coco(tmp_path, content, expected):
    # Turned sizes make the 16 wide box reach over an image that is 24 wide and 40 high.
    if 'box over the edge' in expected and 'wrong size' in expected:
        content['annotations'][0]['bbox'] = [20, 4, 16, 12]
    assert find_in_coco(tmp_path, content) == expected


def test_an_image_above_the_limit_of_pillow_is_read(tmp_path, monkeypatch):
    photo().save(tmp_path / 'large.jpg')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)  # twice that is an error
    assert check.check_image(tmp_path / 'large.jpg') == ([], (WIDTH, HEIGHT))
    assert Image.MAX_IMAGE_PIXELS == 10


def test_classes_in_a_file(tmp_path):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    assert find_in_coco(tmp_path, coco(), str(tmp_path / 'classes.txt')) == []


def test_a_missing_annotation_file(tmp_path):
    pytest.importorskip('mmdet')
    dataset = ConfigDict(type='CocoDataset', data_root=str(tmp_path), ann_file='no.json')
    _, findings = check.read_samples(dataset, 'mmdet')
    assert findings == [check.Finding('missing', tmp_path / 'no.json')]


@pytest.mark.parametrize(
    ('values', 'reduce_zero_label', 'expected'),
    [
        (np.full((HEIGHT, WIDTH), 1), False, []),
        (np.full((HEIGHT, WIDTH), 2), False, ['label out of range']),
        (np.full((HEIGHT, WIDTH), 2), True, []),
        (np.full((HEIGHT, WIDTH), 255), False, []),
        (np.full((WIDTH, HEIGHT), 1), False, ['wrong size']),
        (np.full((HEIGHT, WIDTH, 3), 1), False, ['not a label map']),
        (None, False, ['missing']),
    ],
)
def test_label_maps(tmp_path, values, reduce_zero_label, expected):
    pytest.importorskip('mmseg')
    for folder in ('images', 'maps'):
        (tmp_path / folder).mkdir()
    photo().save(tmp_path / 'images' / 'good.jpg')
    if values is not None:
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / 'maps' / 'good.png')
    dataset = ConfigDict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('sky', 'sea')),
        reduce_zero_label=reduce_zero_label,
    )
    (sample,), findings = check.read_samples(dataset, 'mmseg')
    assert [f.kind for f in findings + check.check_sample(sample)] == expected


def write_ade20k(root, values):
    """An image and a map whose config names two of the 150 classes."""
    for folder, suffix in (('images', 'jpg'), ('annotations', 'png')):
        (root / folder).mkdir()
        Image.fromarray(np.array(values, np.uint8)).save(root / folder / f'good.{suffix}')
    return ConfigDict(
        type='ADE20KDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='annotations'),
        metainfo=dict(classes=('building', 'wall')),
        pipeline=[dict(type='LoadAnnotations')],
    )


@pytest.mark.parametrize(('value', 'expected'), [(150, []), (151, ['label out of range'])])
def test_maps_of_some_of_a_types_classes_keep_the_numbers_of_all(tmp_path, value, expected):
    pytest.importorskip('mmseg')
    (sample,), findings = check.read_samples(write_ade20k(tmp_path, [[value]]), 'mmseg')
    assert [f.kind for f in findings + check.check_sample(sample)] == expected


def test_values_of_some_of_a_types_classes(tmp_path):
    pytest.importorskip('mmseg')
    with DefaultScope.overwrite_default_scope('mmseg'):
        built = DATASETS.build(write_ade20k(tmp_path, [[2, 1, 3]]))
    assert built[0]['gt_seg_map'].tolist() == [0, 1, 255]  # as MMSegmentation reads it
    assert check.map_values(built) == [2, 1]


def test_images_without_label_maps(tmp_path):
    pytest.importorskip('mmseg')
    (tmp_path / 'images').mkdir()
    photo().save(tmp_path / 'images' / 'good.jpg')
    dataset = ConfigDict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images'),
        metainfo=dict(classes=('sky', 'sea')),
    )
    (sample,), findings = check.read_samples(dataset, 'mmseg')
    assert (sample.label_map, findings) == (None, [])
    assert check.check_sample(sample) == []


def test_annotations_that_are_not_of_coco(tmp_path):
    pytest.importorskip('mmdet')
    dataset = ConfigDict(type='VOCDataset', data_root=str(tmp_path), ann_file='trainval.txt')
    with pytest.raises(InputError, match='VOCDataset has another'):
        check.read_samples(dataset, 'mmdet')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(type='MultiLabelDataset', ann_file='labels.json'), ['label out of range']),
        (dict(type='CustomDataset', with_label=False), []),
    ],
)
def test_images_with_several_labels_and_with_none(options, expected, tmp_path):
    pytest.importorskip('mmpretrain')
    photo().save(tmp_path / 'good.jpg')
    entries = [dict(img_path='good.jpg', gt_label=labels) for labels in ([0, 1], [], [2])]
    content = dict(metainfo=dict(classes=['cat', 'dog']), data_list=entries)
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    dataset = ConfigDict(data_root=str(tmp_path), **options)
    samples, findings = check.read_samples(dataset, 'mmpretrain')
    assert [finding.kind for finding in findings] == expected
    assert {sample.image.name for sample in samples} == {'good.jpg'}
    looks = pytest.importorskip('mmspanet.analysis.data.looks')
    part = looks.read_part('val', dataset, 'mmpretrain')
    assert list(zip(part.images.tolist(), part.labels.tolist(), strict=True)) == (
        [(0, 0), (0, 1), (2, 2)] if expected else []
    )


def test_classes_by_list(tmp_path):
    pytest.importorskip('mmpretrain')
    photo().save(tmp_path / 'good.jpg')
    (tmp_path / 'list.txt').write_text('good.jpg 1\ngood.jpg 2\n')
    dataset = ConfigDict(
        type='CustomDataset',
        data_root=str(tmp_path),
        ann_file='list.txt',
        metainfo=dict(classes=('cat', 'dog')),
    )
    samples, findings = check.read_samples(dataset, 'mmpretrain')
    assert len(samples) == 2
    assert [(f.kind, f.detail) for f in findings] == [('label out of range', '2')]
    (tmp_path / 'list.txt').write_text('good.jpg dog\n')
    _, findings = check.read_samples(dataset, 'mmpretrain')
    assert [f.kind for f in findings] == ['malformed annotations']


@pytest.mark.slow
def test_the_command(tmp_path):
    """Faults end in status 1, with the files' names; their list is a table."""
    for part in ('train', 'val'):
        (tmp_path / part / 'star').mkdir(parents=True)
        photo().save(tmp_path / part / 'star' / 'good.jpg')
    save_cut(tmp_path / 'train' / 'star' / 'cut.jpg')
    command = ['tools/check_data.py', 'configs/cls/spanetv2_shapes.py']
    command += ['--out', tmp_path / 'faults.csv', '--cfg-options']
    for part in ('train', 'val', 'test'):
        command.append(f'{part}_dataloader.dataset.data_root={tmp_path}')
        command.append(f'{part}_dataloader.dataset.metainfo.classes=("star",)')
    said = run(command, status=1)
    assert 'fault: broken image, 1 times' in said
    assert 'train/star/cut.jpg' in said
    assert len((tmp_path / 'faults.csv').read_text().splitlines()) == 2
