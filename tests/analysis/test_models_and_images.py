"""Building what is looked at, and the stream of images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmspanet.analysis.images import batches, crop, evenly, find_images, keep, read_image, stretch
from mmspanet.analysis.models import RANDOM, Normalization, build, build_from_config, read_config
from mmspanet.errors import CheckpointError, InputError

CONFIGS = Path(__file__).parents[2] / 'configs'
SHAPES = str(CONFIGS / 'cls/spanetv2_shapes.py')


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


def test_evenly():
    paths = [Path(str(i)) for i in range(10)]
    assert [p.name for p in evenly(paths, 3)] == ['0', '3', '6']
    assert evenly(paths, 99) == paths


def test_policies(folder):
    wide = folder / 'a' / '2.png'
    cut = read_image(wide, crop, 35)
    assert cut.shape == (3, 35, 35)
    assert cut.dtype == torch.uint8
    assert cut[2, 17, 0] == 0  # the middle square of 70 of 100 columns keeps both halves
    assert cut[2, 17, -1] == 255
    assert read_image(wide, stretch, 35).shape == (3, 35, 35)
    own = read_image(wide, keep, 35)
    assert own.shape == (3, 64, 96)
    assert own[2, 0].tolist() == [0] * 48 + [255] * 48


def test_small_images_are_kept_whole(folder):
    """Below 32 pixels a side, the cut pads with black rather than leaving nothing."""
    assert read_image(folder / 'a' / '1.png', keep, 0).shape == (3, 32, 32)


def test_batches_hold_one_shape(folder):
    paths = find_images(folder)
    assert [b.shape[0] for b in batches(paths, 16, 2)] == [2, 1]
    assert [tuple(b.shape) for b in batches(paths, 0, 8, keep)] == [
        (1, 3, 32, 32),
        (1, 3, 64, 96),
        (1, 3, 32, 32),
    ]


def test_upright_by_exif(tmp_path):
    image = Image.new('RGB', (8, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / 'turned.jpg', exif=exif)
    assert read_image(tmp_path / 'turned.jpg', lambda i, _: i, 0).shape == (3, 8, 4)


def test_a_cut_file_is_named(tmp_path):
    path = tmp_path / 'cut.png'
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r'cut\.png can not be read'):
        read_image(path, crop, 8)


def test_normalization_as_the_librarys():
    """Against mmpretrain's own preprocessor, which takes BGR."""
    model = build(SHAPES)
    rgb = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    theirs = model.network.data_preprocessor(dict(inputs=rgb.flip(1)))['inputs']
    torch.testing.assert_close(model.normalize(rgb), theirs)


def test_bgr_networks_get_bgr():
    pixels = torch.tensor([10, 20, 30], dtype=torch.uint8)[None, :, None, None]
    shown = Normalization((1.0, 2.0, 3.0), (2.0, 2.0, 2.0), rgb=False)(pixels)
    assert shown.flatten().tolist() == [14.5, 9, 3.5]


def test_a_config_of_ours():
    model = build(SHAPES)
    assert model.title == f'spanetv2_shapes ({RANDOM})'
    assert model.classes == ('star', 'cross', 'ring', 'crescent', 'bolt')
    assert model.is_classifier
    assert model.input_size == 64
    assert model.network(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    same, other = build(SHAPES), build(SHAPES, seed=1)
    weight = model.backbone.stages[0][0].mlp.fc1.weight
    assert same.backbone.stages[0][0].mlp.fc1.weight.equal(weight)
    assert not other.backbone.stages[0][0].mlp.fc1.weight.equal(weight)


def test_pretrained_files_of_a_config_are_not_read():
    cfg = read_config(str(CONFIGS / 'seg/upernet_spanetv2.py'))
    assert cfg.model.backbone.init_cfg.type == 'Pretrained'
    pytest.importorskip('mmseg')
    model = build_from_config(cfg, 'upernet')
    assert not model.is_classifier
    assert model.weights == RANDOM


def test_checkpoints(tmp_path):
    given = build(SHAPES, seed=1)
    whole, partial = tmp_path / 'whole.pth', tmp_path / 'partial.pth'
    state = given.network.state_dict()
    torch.save(dict(state_dict=state), whole)
    loaded = build(SHAPES, str(whole))
    assert loaded.title == 'spanetv2_shapes'
    for name, value in loaded.network.state_dict().items():
        assert value.equal(state[name]), name
    del state['backbone.stages.0.0.mlp.fc1.weight']
    torch.save(state, partial)
    with pytest.raises(CheckpointError, match='lacks 1 weights of the backbone'):
        build(SHAPES, str(partial))
    with pytest.raises(InputError, match='does not exist'):
        build(SHAPES, 'nowhere.pth')


@pytest.mark.slow
def test_models_of_others():
    pytest.importorskip('timm')
    model = build('timm:resnet18')
    assert model.input_size == 224
    assert model.normalize.mean[0] == pytest.approx(0.485 * 255)
    for name in ('vit_tiny_patch16_224', 'swin_tiny_patch4_window7_224', 'resnet18'):
        small = build(f'timm:{name}', size=64)  # timm's own ViT and Swin refuse other sizes
        assert small.network(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
    with pytest.raises(InputError, match="timm can not build 'nothing'"):
        build('timm:nothing')
    with pytest.raises(InputError, match='can not be read'):
        read_config('mmpretrain::convnext/nothing.py')
    swin = build('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py')
    assert swin.name == 'swin-tiny'
    assert swin.network(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
