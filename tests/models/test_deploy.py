"""The deployed form: the same function, and a clear word about what it can't do any more."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmspanet.models import ScaledSpectralRescalingFilter, SPANetV2, deploy, dft
from mmspanet.models.srf import rescale
from tests import golden
from tests.helpers import DEVICE, TINY, TINY_HYBRID, TINY_REVISION, assert_close, random_model

from .test_golden import dense_model

pytestmark = pytest.mark.usefixtures('device')


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
        (TINY_REVISION, {}),
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
        (TINY_REVISION, {}),
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


@pytest.mark.skipif(DEVICE != 'cpu', reason='tiles are for caches of CPUs')
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
def test_autocast(dtype, device):
    model = random_model(TINY)
    deployed = copy.deepcopy(model)
    deployed.switch_to_deploy()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast(device.type, dtype):
        assert_close([m.float() for m in deployed(image)], [m.float() for m in model(image)], 0.1)


@pytest.fixture
def folded():
    """A trained block and its deployed form, and a map for them."""
    block = random_model(TINY).stages[2][0]
    with torch.no_grad():
        block.mlp.act.bias.fill_(0.7)
    return block, deploy.DeployedBlock(copy.deepcopy(block)), torch.randn(1, 64, 9, 11)


def left_out(fold: str, block: nn.Module, deployed: nn.Module) -> None:
    """Bring the deployed block into the state it would have without one of its folds."""
    mixer, mlp, trained = deployed.token_mixer, deployed.mlp, block.token_mixer
    weight = block.mlp.fc2.weight
    replaced = {
        'norm1 in query': (mixer.query, 'weight', trained.query.weight),
        'norm1 in context': (mixer.context, 'weight', trained.context.weight),
        'norm2 in fc1': (mlp.fc1, 'weight', block.mlp.fc1.weight),
        'scale in fc2': (mlp.fc2, 'weight', weight),
        'bias in fc2': (mlp.fc2, 'bias', torch.zeros_like(mlp.fc2.bias)),
        'order of the filters': (mixer.srf.reordered, 'filter', trained.srf.filter),
        'GELU of the query': (mixer.query, 'activation', 'none'),
        'ReLU of fc1': (mlp.fc1, 'activation', 'none'),
        'first residual scale': (deployed, 'res_scale1', None),
        'second residual scale': (deployed, 'res_scale2', None),
    }
    module, name, value = replaced[fold]
    setattr(module, name, nn.Parameter(value) if isinstance(value, torch.Tensor) else value)


@pytest.mark.parametrize(
    'fold',
    [
        *('norm1 in query', 'norm1 in context', 'norm2 in fc1', 'scale in fc2', 'bias in fc2'),
        *('order of the filters', 'GELU of the query', 'ReLU of fc1'),
        *('first residual scale', 'second residual scale'),
    ],
)
def test_every_fold_matters(fold, folded):
    """A deployed block equals the trained one, and no longer does without any one of its folds."""
    block, deployed, x = folded
    with torch.no_grad():
        expected = block(x)
        assert_close([deployed(x)], [expected], 1e-5)
        damaged = copy.deepcopy(deployed)  # without what the first run packed and kept
        damaged.token_mixer.srf._gains.clear()
        left_out(fold, block, damaged)
        assert (damaged(x) - expected).abs().max() > 1e-3 * expected.abs().max()


def test_a_torch_without_packed_products(monkeypatch):
    """Its private operators may go: the products are then plain ones, of the same values."""
    model = random_model(TINY)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(image)
        model.switch_to_deploy()
        monkeypatch.setattr(torch.ops, 'mkldnn', object())
        assert_close(model(image), expected, 1e-4)


# --- the filter's kept gains ----------------------------------------------------------------------


@pytest.fixture
def fixed():
    """A deployed filter, and the trained one in the order of its channels."""
    srf = ScaledSpectralRescalingFilter(8, (14, 14)).eval()
    nn.init.normal_(srf.filter)
    order = torch.randperm(8)
    expected = copy.deepcopy(srf)
    expected.filter.data = srf.filter.data[order]
    return deploy.FixedSRF(srf, order).requires_grad_(False), expected


def test_gains_of_many_sizes(fixed):
    """Sizes that come again, in both forms of the filter, and more of them than are kept."""
    deployed, expected = fixed
    with torch.no_grad():
        for side in [*range(5, 40), 5, 39, 38, 6]:
            u = torch.randn(1, 8, side, 45 - side)
            assert_close([deployed(u)], [expected(u)], 1e-5)
    assert len(deployed._gains) <= deploy.SIZES


@pytest.mark.parametrize('side', [20, 40])
def test_a_seen_size_is_not_resized_again(fixed, side, monkeypatch):
    deployed, _ = fixed
    u = torch.randn(1, 8, side, side)
    with torch.no_grad():
        first = deployed(u)
        monkeypatch.delattr(torch.nn.functional, 'interpolate')
        assert torch.equal(deployed(u), first)
        with pytest.raises(AttributeError):
            deployed(torch.randn(1, 8, side, side + 1))


def test_gains_follow_the_type(fixed):
    deployed, expected = fixed
    u = torch.randn(2, 8, 11, 12)
    with torch.no_grad():
        deployed(u.double())
        out = deployed.double()(u.double())
        assert_close([out], [expected.double()(u.double())], 1e-12)


def test_inference_mode_then_a_gradient_through_the_input(fixed):
    deployed, _ = fixed
    u = torch.randn(2, 8, 11, 12)
    with torch.inference_mode():
        deployed(u)
        deployed(u.double())  # by way of the FFT, as with a gradient
    u.requires_grad_()
    deployed(u).sum().backward()
    assert u.grad is not None


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


@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID, TINY_REVISION], ids=['pure', 'hybrid', 'rev'])
@pytest.mark.parametrize('size', [(64, 64), (37, 53), (200, 131)])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_types_stay_near_the_training_form(arch, size, dtype):
    model = random_model(arch)
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = model(image)
        model.switch_to_deploy(dtype)
        maps = model(image)
    assert all(actual.dtype == torch.float32 for actual in maps)
    assert_close(maps, expected, 2e-2)
    most = {torch.bfloat16: 2e-2, torch.float16: 3e-3}[dtype]
    for actual, exact in zip(maps, expected, strict=True):
        assert (actual - exact).norm() < most * exact.norm()


@pytest.mark.skipif(
    not deploy.has_bfloat16_products(), reason='this processor has no products in bfloat16'
)
@pytest.mark.parametrize('name', ['s18_pure', 's18_hybrid'])
def test_bfloat16_is_as_near_to_the_released_model_as_the_training_form(name):
    """What bfloat16 costs in 18 blocks, by PyTorch's own rounding of the plain formulas."""
    record = golden.load(name)
    model = dense_model(name)
    image = golden.image(record['input_seed'], record['cases'][0]['input'])
    plain = copy.deepcopy(model).bfloat16()
    with torch.no_grad():
        expected = model(image)
        rounded = plain(image.bfloat16())
        model.switch_to_deploy(torch.bfloat16)
        for ours, other, right in zip(model(image), rounded, expected, strict=True):
            assert (ours - right).norm() <= 1.1 * (other - right).norm()


@pytest.mark.skipif(
    not deploy.has_bfloat16_products(), reason='this processor has no products in bfloat16'
)
@pytest.mark.parametrize('size', [(7, 9), (28, 28), (61, 40)])
@pytest.mark.parametrize('largest_copies', [1, 5000, 2**23])
def test_maps_filtered_in_bfloat16(size, largest_copies, monkeypatch):
    """By products of all rows at once, of some at a time and of one, against the FFT in float32."""
    monkeypatch.setattr(dft, 'LARGEST_COPIES', largest_copies)
    u = torch.randn(2, *size, 8)
    gain = torch.rand(8, size[0], size[1] // 2 + 1)
    expected = rescale(u.permute(0, 3, 1, 2), gain).permute(0, 2, 3, 1)
    layout = gain.permute(1, 2, 0)[:, None].contiguous()
    assert_close([dft.filter_maps(u, layout)], [expected], 1e-5)
    half = dft.filter_maps(u.bfloat16(), layout.bfloat16())
    assert half.dtype == torch.bfloat16
    assert_close([half.float()], [expected], 2e-2)
