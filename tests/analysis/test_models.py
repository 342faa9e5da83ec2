"""Building the models that are looked at."""

from pathlib import Path

import pytest
import torch

from mmspanet.analysis.models import RANDOM, Normalization, build, build_from_config, read_config
from mmspanet.errors import CheckpointError, InputError

CONFIGS = Path(__file__).parents[2] / 'configs'
SHAPES = str(CONFIGS / 'cls/spanetv2_shapes.py')


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
