"""Images that models are shown: found, chosen, read, cut and batched."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmspanet.analysis.images import (
    SIZE_POLICIES,
    batches,
    choose_images,
    crop,
    find_images,
    keep,
    read_image,
    stretch,
)
from mmspanet.cli import POLICY_HELP
from mmspanet.errors import InputError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three images in folders: 40 x 30 red, 100 x 70 with a blue right half, 32 x 32 gray."""
    root = tmp_path_factory.mktemp('images')
    (root / 'a').mkdir()
    Image.new('RGB', (40, 30), (255, 0, 0)).save(root / 'a' / '1.png')
    halves = np.zeros((70, 100, 3), np.uint8)
    halves[:, 50:, 2] = 255
    Image.fromarray(halves).save(root / 'a' / '2.png')
    Image.new('L', (32, 32), 128).save(root / 'b.jpg')
    (root / 'notes.txt').write_text('no image')
    return root


def test_images_are_found_in_order(folder, tmp_path):
    assert [p.name for p in find_images(folder)] == ['1.png', '2.png', 'b.jpg']
    with pytest.raises(InputError, match='no images in'):
        find_images(tmp_path)


def test_policies(folder):
    wide = folder / 'a' / '2.png'
    cut = read_image(wide, crop, 35).pixels
    assert cut.shape == (3, 35, 35)
    assert cut.dtype == torch.uint8
    assert cut[2, 17, 0] == 0  # the middle square of 70 of 100 columns keeps both halves
    assert cut[2, 17, -1] == 255
    assert read_image(wide, stretch, 35).pixels.shape == (3, 35, 35)
    kept = read_image(wide, keep, 35).pixels
    assert kept.shape == (3, 64, 96)
    assert kept[2, 0].tolist() == [0] * 48 + [255] * 48


def test_small_images_are_kept_whole(folder):
    """Below 32 pixels a side, the cut pads with black rather than leaving nothing."""
    assert read_image(folder / 'a' / '1.png', keep, 0).pixels.shape == (3, 32, 32)


def test_batches_hold_one_shape(folder):
    paths = find_images(folder)
    squares = [read_image(path, crop, 16) for path in paths]
    assert [b.shape[0] for b in batches(squares, 2)] == [2, 1]
    kept = [read_image(path, keep, 0) for path in paths]
    assert [tuple(b.shape) for b in batches(kept, 8)] == [
        (1, 3, 32, 32),
        (1, 3, 64, 96),
        (1, 3, 32, 32),
    ]


def test_upright_by_exif(tmp_path):
    image = Image.new('RGB', (8, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / 'turned.jpg', exif=exif)
    assert read_image(tmp_path / 'turned.jpg', lambda i, _: i, 0).pixels.shape == (3, 8, 4)


def test_a_cut_file_is_named(tmp_path):
    path = tmp_path / 'cut.png'
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r'cut\.png can not be read'):
        read_image(path, crop, 8)


def test_every_policy_has_a_help_text():
    assert set(POLICY_HELP) == set(SIZE_POLICIES)


def test_images_are_chosen_from_a_folder_or_a_data_set(folder):
    assert [p.name for p in choose_images(folder, None, 2)] == ['1.png', '2.png']
    with pytest.raises(InputError, match='--images'):
        choose_images(None, None, 2)
