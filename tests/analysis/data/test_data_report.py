"""The page of data sets of all tasks: its counts, and images that two parts share."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmspanet.analysis.data import report
from mmspanet.analysis.data.looks import Part, look_at
from mmspanet.analysis.tables import read_csv
from mmspanet.datasets.check import Sample
from tests.helpers import SHAPES_CONFIGS, run, shapes_options


@pytest.mark.slow
def test_coco_with_an_image_in_two_parts(shapes_root, tmp_path):
    shutil.copytree(shapes_root / 'coco', tmp_path / 'coco')
    train, val = (min((tmp_path / f'coco/{part}2017').iterdir()) for part in ('train', 'val'))
    shutil.copy(train, val)
    page = tmp_path / 'report.html'
    command = ['tools/check_data.py', SHAPES_CONFIGS['det'], '--report', page, '--jobs', 1]
    run([*command, *shapes_options('det', tmp_path)[1:]])
    rows = read_csv(tmp_path / 'duplicates.csv')
    assert [(row['parts'], row['part']) for row in rows] == [('across', 'train'), ('across', 'val')]
    counts = read_csv(tmp_path / 'class_counts.csv')
    file = tmp_path / 'coco/annotations/instances_train2017.json'
    content = json.loads(file.read_text())
    for category, row in zip(content['categories'], counts, strict=True):
        own = [a for a in content['annotations'] if a['category_id'] == category['id']]
        assert int(row['objects, train']) == len(own)
        assert int(row['images, train']) == len({a['image_id'] for a in own})


@pytest.mark.slow
def test_maps_and_folders_with_a_checkpoint(trained, shapes_root, tmp_path):
    command = ['tools/check_data.py', SHAPES_CONFIGS['seg'], '--report', tmp_path / 'seg/a.html']
    run([*command, '--jobs', 1, *shapes_options('seg', shapes_root)[1:]])
    counts = read_csv(tmp_path / 'seg/class_counts.csv')
    total = sum(int(row['pixels, train']) for row in counts)
    assert total == 16 * 128 * 128  # no pixel of Shapes is ignored
    checkpoint = (trained('cls') / 'last_checkpoint').read_text()
    command = ['tools/check_data.py', SHAPES_CONFIGS['cls'], '--report', tmp_path / 'cls/a.html']
    command += ['--checkpoint', checkpoint, '--jobs', 1]
    run([*command, *shapes_options('cls', shapes_root)[1:]])
    assert 'mistakes, val' in (tmp_path / 'cls/a.html').read_text()


def test_examples_of_label_maps_with_a_palette(tmp_path):
    """The page shows where a class is by the numbers of the map, as the counts take them."""
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[10:20, 30:50] = (255, 0, 0)
    Image.fromarray(photo).save(tmp_path / 'photo.png')
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 30:50] = 1
    drawn = Image.fromarray(labels, 'P')
    drawn.putpalette([0, 0, 0, 128, 64, 0])
    drawn.save(tmp_path / 'map.png')
    sample = Sample(tmp_path / 'photo.png', None, tmp_path / 'map.png', range(2))
    _, look = look_at(sample)
    none = np.zeros(0, np.int64)
    part = Part('train', ['ground', 'thing'], [sample], none, none, np.zeros((0, 4)), [0, 1])
    (tile,) = report._examples(part, {sample: look}, 1)
    middle = tile[40:72, 40:72]
    assert (middle[..., 0] > 200).all()
    assert (middle[..., 1] < 50).all()
