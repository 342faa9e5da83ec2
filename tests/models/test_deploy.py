"""The deployed form: the same function, and a clear word about what it can't do any more."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmspanet.models import SPANetV2, deploy
from tests import golden
from tests.helpers import TINY, TINY_HYBRID, assert_close, random_model

from .test_golden import dense_model


class Identity(nn.Identity):
    """A mixer that deploy.py doesn't know."""

    def __init__(self, channels: int, map_size: tuple[int, int]) -> None:
        super().__init__()


@pytest.mark.parametrize('name', ['s18_pure', 's18_hybrid'])
def test_equals_the_released_model(name):
    record = golden.load(name)
    model = dense_model(name)
    model.switch_to_deploy()
    for case in record['cases']:
        with torch.no_grad():
            maps = model(golden.image(record['input_seed'], case['input']))
        for actual, probe in zip(maps, case['features'], strict=True):
            golden.assert_probe(actual, probe)


@pytest.mark.parametrize(
    ('arch', 'options'),
    [
        (TINY, {}),
        (TINY_HYBRID, {}),
        (TINY, dict(scaled_sigmoid=True, interleave=False)),
        (TINY, dict(output_norm=False, out_indices=(1, 3))),
        (TINY | dict(mixers=('SPAM', Identity, 'SPAM', Identity)), {}),
    ],
    ids=['pure', 'hybrid', 'revision', 'raw maps', 'unknown mixer'],
)
@pytest.mark.parametrize('size', [(64, 64), (37, 53), (3, 3)])
def test_equals_the_training_form(arch, options, size):
    model = random_model(arch, **options)
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = model(image)
        assert_close(deployed(image), expected, 1e-4)
        assert_close(deployed(image), expected, 1e-4)  # nothing was written into the weights


@pytest.fixture
def plain(monkeypatch):
    """Turns the CPU's shortcuts off, for what runs after it is called."""
    return lambda: monkeypatch.setattr(deploy, 'takes_shortcuts', lambda x: False)


@pytest.mark.parametrize(
    ('arch', 'options'),
    [
        (TINY, {}),
        (TINY_HYBRID, {}),
        (TINY, dict(scaled_sigmoid=True, interleave=False)),
    ],
    ids=['pure', 'hybrid', 'revision'],
)
@pytest.mark.parametrize('size', [(64, 64), (37, 53), (3, 3), (200, 112), (120, 131)])
def test_shortcuts_equal_their_plain_twins(arch, options, size, plain):
    model = random_model(arch, **options)
    model.switch_to_deploy()
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        quick = model(image)
        plain()
        assert_close(quick, model(image), 2e-5)


def test_a_map_in_tiles_equals_the_map(monkeypatch, plain):
    """Tiles that end in the middle of a row, and one that is smaller than the others."""
    model = random_model(TINY)
    model.switch_to_deploy()
    image = torch.randn(2, 3, 90, 70)
    monkeypatch.setattr(deploy, 'TILE', 100)
    sizes = []
    model.stages[0][0].mlp.register_forward_hook(
        lambda _, inputs, __: sizes.append(inputs[0].shape)
    )
    with torch.no_grad():
        tiled = model(image)
        plain()
        assert_close(tiled, model(image), 2e-5)
    assert [size[2] for size in sizes[:-1]] == [100] * 7 + [48]  # 2 x 22 x 17 positions
    assert sizes[-1][2:] == (22, 17)


def test_copies_and_moves_after_a_run():
    model = random_model(TINY)
    model.switch_to_deploy()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(image)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert_close(other(image), expected, 1e-6)
        assert_close(model.double()(image.double()), expected, 1e-5)
        assert_close(model.float()(image), expected, 1e-5)


def test_gradients_of_the_image():
    """What Grad-CAM and the receptive fields need: the shortcuts have no backward pass."""
    model = random_model(TINY)
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    gradients = []
    for form in (model, deployed):
        image = torch.ones(1, 3, 64, 64, requires_grad=True)
        form(image)[3].square().sum().backward()
        gradients.append(image.grad)
    assert_close([gradients[1]], [gradients[0]], 1e-4)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    model = random_model(TINY)
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast('cpu', dtype):
        assert_close([m.float() for m in deployed(image)], [m.float() for m in model(image)], 0.1)


def test_every_fold_matters():
    """Each folded weight is random in these models, so a fold left out changes the outputs."""
    model = random_model(TINY)
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    image = torch.randn(1, 3, 64, 64)
    block = deployed.stages[0][0]
    for layer in (block.mlp.fc2, block.mlp.fc1, block.token_mixer.query, block.token_mixer.srf):
        damaged = copy.deepcopy(deployed)
        twin = dict(damaged.named_modules())[
            next(name for name, module in deployed.named_modules() if module is layer)
        ]
        next(twin.parameters()).data.mul_(1.1)
        with torch.no_grad():
            assert not torch.allclose(damaged(image)[0], model(image)[0], atol=1e-3)


def test_what_it_refuses():
    model = SPANetV2(TINY)
    weights = copy.deepcopy(model.state_dict())
    model.switch_to_deploy()
    model.switch_to_deploy()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    with pytest.raises(RuntimeError, match='can not be trained'):
        model.train()
    with pytest.raises(RuntimeError, match='can not be saved'):
        nn.Sequential(model).state_dict()
    with pytest.raises(RuntimeError, match='can not be loaded into'):
        nn.Sequential(model).load_state_dict({f'0.{k}': v for k, v in weights.items()})
