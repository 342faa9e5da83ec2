"""The maps of a data set beside those that were found."""

import numpy as np
import pytest
from mmengine.config import ConfigDict
from PIL import Image

from mmspanet.errors import InputError

pytest.importorskip('mmseg')
from mmspanet.analysis.run.segmentor import Maps

LABELS = np.array([[0, 1], [1, 255]], np.uint8)


def make(root, truth=LABELS, names=('a/1', 'a/2')):
    for name in names:
        for folder, pixels in (('images', LABELS), ('maps', truth)):
            path = root / folder / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        (root / 'found').mkdir(exist_ok=True)
        found = np.where(LABELS == 255, 0, LABELS)
        Image.fromarray(found).save(root / f'found/{name.rpartition("/")[2]}.png')
    dataset = ConfigDict(
        type='BaseSegDataset',
        data_root=str(root),
        img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='maps'),
        metainfo=dict(classes=('sky', 'sea')),
        reduce_zero_label=False,
    )
    return Maps(dataset, root / 'found')


def test_truth_and_what_was_found(tmp_path):
    maps = make(tmp_path)
    assert len(maps) == 2
    for _, truth, found in maps:
        np.testing.assert_array_equal(truth, LABELS)
        assert found.max() == 1


def test_images_of_one_name_have_one_map_alone(tmp_path):
    with pytest.raises(InputError, match='2 images of the data set are called 1'):
        make(tmp_path, names=('a/1', 'b/1'))


def test_a_true_label_beyond_the_classes(tmp_path):
    maps = make(tmp_path, truth=np.full((2, 2), 9, np.uint8))
    with pytest.raises(InputError, match='labels beyond the 2 classes'):
        maps[0]
