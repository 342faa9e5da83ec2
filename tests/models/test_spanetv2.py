"""The backbone's contract: arguments, outputs, freezing, checkpointing, types and the oracle."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope

from mmspanet.checkpoints import backbone_to_authors
from mmspanet.errors import InputError
from mmspanet.models import SPAM, SPAMRevision, SPANetV2, find_spanetv2
from mmspanet.registry import MODELS
from tests.helpers import DEVICE, TINY, TINY_HYBRID, assert_close, random_model
from tests.oracle import Oracle

pytestmark = pytest.mark.usefixtures('device')

# --- the function -------------------------------------------------------------------------------


@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID], ids=['pure', 'hybrid'])
@pytest.mark.parametrize('mixer', ['SPAM', 'SPAMRevision'])
def test_equals_the_oracle_on_random_sizes(arch, mixer):
    mixers = [mixer if name == 'SPAM' else name for name in arch.get('mixers', ('SPAM',) * 4)]
    model = random_model(arch | dict(mixers=mixers), input_size=64)
    oracle = Oracle(backbone_to_authors(model.state_dict()), interleave=mixer == 'SPAM')
    sizes = np.random.RandomState(7).randint(3, 150, (6, 2)).tolist()
    for height, width in [*sizes, (3, 3), (64, 64), (64, 66), (3, 150)]:
        image = torch.randn(2, 3, height, width)
        with torch.no_grad():
            assert_close(model(image), oracle.features(image))


def test_kernel_sizes_change_the_heads():
    model = random_model(TINY | dict(mixers=(dict(type='SPAM', kernel_sizes=(3, 9)),) * 4))
    mixer = model.stages[0][0].token_mixer
    assert [conv.kernel_size[0] for conv in mixer.convs] == [3, 9]
    assert mixer.head_mix.weight.shape[1] == 2
    assert len(model(torch.randn(1, 3, 40, 40))) == 4


@pytest.mark.parametrize('name', sorted(SPANetV2.arch_settings))
def test_named_archs(name):
    with torch.device('meta'):
        model = SPANetV2(name)
    setting = SPANetV2.arch_settings[name]
    assert [len(stage) for stage in model.stages] == list(setting['depths'])
    kinds = [type(stage[0].token_mixer).__name__ for stage in model.stages]
    assert kinds == list(setting['mixers'])


def test_drop_path_grows_linearly_from_zero():
    model = SPANetV2(TINY, drop_path_rate=0.4)
    rates = [block.drop_path.rate for stage in model.stages for block in stage]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    model = SPANetV2(TINY, drop_path_rate=0.5)
    drop = model.stages[3][0].drop_path.train()
    torch.manual_seed(0)
    out = drop(torch.ones(4000, 2, 3, 3)).flatten(1)
    assert (out == out[:, :1]).all()
    assert set(out[:, 0].tolist()) == {0.0, 2.0}
    assert out.mean() == pytest.approx(1, abs=0.1)


def test_drop_path_drops_either_branch_of_a_block():
    """Each sample gets one of four sums: with either branch left out, or doubled."""
    block = random_model(TINY, drop_path_rate=0.5).stages[3][0].train()
    assert block.drop_path.rate == 0.5
    x = torch.randn(1, 64, 5, 4)
    r1, r2 = (scale[:, None, None] for scale in (block.res_scale1, block.res_scale2))
    expected = []
    for first, second in itertools.product((0, 2), repeat=2):
        mixed = r1 * x + first * block.token_mixer(block.norm1(x))
        expected.append(r2 * mixed + second * block.mlp(block.norm2(mixed)))
    expected = torch.cat(expected)
    with torch.no_grad():
        found = block(x.expand(64, -1, -1, -1))
    difference = (found[:, None] - expected).abs().flatten(2).amax(2) / expected.abs().max()
    assert (difference.amin(1) < 5e-5).all()
    assert set(difference.argmin(1).tolist()) == {0, 1, 2, 3}


def test_filters_are_stored_for_a_rectangular_input_size():
    model = SPANetV2(TINY, input_size=(64, 96))
    sizes = [tuple(stage[0].token_mixer.srf.filter.shape[1:]) for stage in model.stages]
    assert sizes == [(16, 13), (8, 7), (4, 4), (2, 2)]


def test_initial_weights():
    torch.manual_seed(0)
    model = SPANetV2('s18-hybrid')
    model.init_weights()
    for name, param in model.named_parameters():
        if (
            name.endswith(('norm.weight', 'norm1.weight', 'norm2.weight', 'act.scale'))
            or 'res_scale' in name
        ):
            assert (param == 1).all(), name
        elif name.endswith('.bias'):
            assert (param == 0).all(), name
        elif param.ndim > 1 and param.numel() > 1000:
            assert param.std().item() == pytest.approx(0.02, rel=0.1), name
            if 'filter' not in name:
                assert param.abs().max() <= 2


# --- the contract -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('kwargs', 'named'),
    [
        (dict(arch='s19-pure'), 's19-pure'),
        (dict(arch=dict(depths=(1, 1, 1, 1))), 'channels'),
        (dict(arch=TINY | dict(deep=3)), 'deep'),
        (dict(arch=TINY | dict(depths=(1, 1, 1))), 'depths'),
        (dict(arch=TINY | dict(depths=(1, 0, 1, 1))), 'depths'),
        (dict(arch=TINY | dict(mixers='SPAM')), 'mixers'),
        (
            dict(arch=TINY | dict(mixers=(dict(type='SPAM', kernel_sizes=(3, 4)),) * 4)),
            'kernel_sizes',
        ),
        (dict(arch=TINY | dict(channels=(30, 32, 64, 64))), 'channels=30'),
        (dict(arch=TINY_HYBRID | dict(channels=(32, 32, 48, 64))), 'channels=48'),
        (dict(out_indices=(0, 4)), 'out_indices'),
        (dict(out_indices=()), 'out_indices'),
        (dict(out_indices=(1, 1)), 'out_indices'),
        (dict(frozen_stages=5), 'frozen_stages'),
        (dict(out_indices=(0, 1), frozen_stages=3), 'frozen_stages'),
        (dict(drop_path_rate=1.0), 'drop_path_rate'),
        (dict(input_size=2), 'input_size'),
    ],
)
def test_wrong_arguments_are_named(kwargs, named):
    with pytest.raises(ValueError, match=named):
        SPANetV2(**kwargs)


def test_a_mixer_that_is_not_registered_is_named():
    with pytest.raises(KeyError, match='Nonsense'):
        SPANetV2(TINY | dict(mixers=('SPAM', 'SPAM', 'SPAM', 'Nonsense')))


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match='drop_rate'):
        SPANetV2(TINY, drop_rate=0.1)


@pytest.mark.parametrize('shape', [(1, 3, 2, 30), (1, 3, 30, 2), (3, 30, 30)])
def test_images_without_output_are_refused(shape):
    with pytest.raises(ValueError, match='3 pixels'):
        SPANetV2(TINY)(torch.zeros(shape))


def test_outputs():
    model = SPANetV2(TINY)
    for height, width in [(3, 3), (4, 7), (32, 64), (65, 33), (127, 129)]:
        maps = model(torch.randn(2, 3, height, width))
        size = ((height - 3) // 4 + 1, (width - 3) // 4 + 1)
        for out, channels in zip(maps, (32, 32, 64, 64), strict=True):
            assert out.shape == (2, channels, *size)
            assert out.is_contiguous()
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)


@pytest.mark.parametrize('out_indices', [(0,), (1, 3), 2, -1, (-2, 0)])
def test_only_what_is_asked_for_is_built_and_returned(out_indices):
    torch.manual_seed(0)
    model = SPANetV2(TINY, out_indices=out_indices)
    maps = model(torch.randn(2, 3, 64, 64))
    given = (out_indices,) if isinstance(out_indices, int) else out_indices
    wanted = sorted(i % 4 for i in given)
    assert len(model.stages) == wanted[-1] + 1
    assert len(maps) == len(wanted)
    norms = [name for name, _ in model.named_children() if name.startswith('norm')]
    assert norms == [f'norm{i}' for i in wanted]
    sum(out.square().sum() for out in maps).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_raw_maps_without_output_norm():
    model = random_model(output_norm=False)
    oracle = Oracle(backbone_to_authors(model.state_dict()))
    image = torch.randn(1, 3, 50, 60)
    with torch.no_grad():
        assert_close(model(image), [x.permute(0, 3, 1, 2) for x in oracle.stages(image)])


def test_in_channels():
    assert len(SPANetV2(TINY, in_channels=5)(torch.randn(1, 5, 32, 32))) == 4


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3, 4])
def test_frozen_stages(frozen):
    model = SPANetV2(TINY, frozen_stages=frozen, drop_path_rate=0.1).train()
    for i in range(4):
        for part in (model.downsample_layers[i], model.stages[i]):
            assert all(p.requires_grad == (i >= frozen) for p in part.parameters())
            assert all(m.training == (i >= frozen) for m in part.modules())
    sum(out.square().sum() for out in model(torch.randn(1, 3, 32, 32))).backward()


def test_gradient_checkpointing_gives_the_same_gradients():
    image = torch.randn(2, 3, 48, 40)
    gradients = []
    for with_cp in (False, True):
        model = random_model(TINY_HYBRID, with_cp=with_cp).train()
        sum(out.sin().sum() for out in model(image)).backward()
        gradients.append([p.grad for p in model.parameters()])
    assert_close(*gradients, tolerance=1e-5)


@pytest.mark.parametrize('with_cp', [False, True])
def test_gradient_checkpointing_computes_blocks_twice(with_cp):
    model = random_model(TINY, with_cp=with_cp).train()
    calls = []
    mixer = model.stages[2][1].token_mixer
    mixer.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    image = torch.randn(1, 3, 48, 40)
    sum(out.sum() for out in model(image)).backward()
    assert len(calls) == (2 if with_cp else 1)
    with torch.no_grad():
        model(image)
    assert len(calls) == (3 if with_cp else 2)


def test_layer_depth():
    model = SPANetV2('s18-pure')
    assert model.get_layer_depth('backbone.stages.2.8.norm1.weight', 'backbone.') == (5, 8)
    assert model.get_layer_depth('stages.3.0.norm1.weight') == (6, 8)
    assert model.get_layer_depth('backbone.norm0.weight', 'backbone.') == (7, 8)
    assert model.get_layer_depth('neck.conv.weight', 'backbone.') == (7, 8)
    with torch.device('meta'):
        deep = SPANetV2('s36-pure')
    assert deep.get_layer_depth('stages.2.17.norm1.weight') == (8, 11)


def test_a_registered_mixer_of_another_package():
    @MODELS.register_module(name='IdentityMixer', force=True)
    class IdentityMixer(torch.nn.Module):
        def __init__(self, channels, map_size, gain=1.0):
            super().__init__()
            self.built_with = channels, map_size, gain

        def forward(self, x):
            return x

    mixers = ('SPAM', dict(type='IdentityMixer', gain=2.0), 'SPAM', IdentityMixer)
    model = SPANetV2(TINY | dict(mixers=mixers), input_size=64)
    assert model.stages[1][0].token_mixer.built_with == (32, (8, 8), 2.0)
    assert model.stages[3][0].token_mixer.built_with == (64, (2, 2), 1.0)
    assert len(model(torch.randn(1, 3, 32, 32))) == 4


def test_mixers_are_found_in_the_scope_of_another_library():
    with DefaultScope.overwrite_default_scope('mmengine'):
        model = MMENGINE_MODELS.build(dict(type='mmspanet.SPANetV2', arch=TINY_HYBRID))
    assert type(model.stages[3][0].token_mixer).__name__ == 'Attention'


def test_find_spanetv2():
    student, teacher = SPANetV2(TINY), SPANetV2(TINY)
    detector = torch.nn.ModuleDict(dict(student=torch.nn.Sequential(student), teacher=teacher))
    assert find_spanetv2(detector) == {'student.0': student, 'teacher': teacher}
    assert find_spanetv2(student) == {'': student}
    with pytest.raises(InputError, match='Linear holds no SPANetV2'):
        find_spanetv2(torch.nn.Linear(1, 1))


def test_built_from_the_root_registry():
    model = MMENGINE_MODELS.build(dict(type='mmspanet.SPANetV2', arch=TINY))
    assert isinstance(model, SPANetV2)


# --- types and copies -----------------------------------------------------------------------


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('size', [(64, 64), (50, 70)])
def test_autocast_at_any_size(dtype, size, device):
    model = random_model(TINY_HYBRID)
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = model(image)
        with torch.autocast(device.type, dtype):
            actual = model(image)
    tolerance = dict([(torch.float16, 1e-2), (torch.bfloat16, 8e-2)])[dtype]
    assert_close([a.float() for a in actual], expected, tolerance)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_model(dtype):
    model = random_model(TINY)
    image = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        expected = model(image)
        actual = model.to(dtype)(image.to(dtype))
    assert all(a.dtype == dtype for a in actual)
    assert_close([a.float() for a in actual], expected, 0.1)


def test_float64_stays_float64():
    model = random_model(TINY_HYBRID)
    image = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        single = model(image)
        double = model.double()(image.double())
    assert all(out.dtype == torch.float64 for out in double)
    assert_close([s.double() for s in single], double)
    oracle = Oracle(backbone_to_authors(model.state_dict()))
    assert_close(double, oracle.features(image.double()), 1e-12)


def test_channels_last_input_gives_the_same():
    model = random_model(TINY_HYBRID)
    image = torch.randn(2, 3, 50, 70)
    with torch.no_grad():
        assert_close(model(image.contiguous(memory_format=torch.channels_last)), model(image))


def test_deepcopy_and_pickle():
    model = random_model(TINY_HYBRID)
    image = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        expected = model(image)
        assert_close(copy.deepcopy(model)(image), expected, 0)
        assert_close(pickle.loads(pickle.dumps(model))(image), expected, 0)


@pytest.mark.parametrize('kind', [SPAM, SPAMRevision])
def test_spam_gradcheck(kind):
    mixer = kind(8, (6, 7), kernel_sizes=(3, 5)).double()
    for param in mixer.parameters():
        torch.nn.init.normal_(param, std=0.5)
    x = torch.randn(1, 8, 5, 4, dtype=torch.float64, requires_grad=True)
    params = [p for p in mixer.parameters()]
    names = [n for n, _ in mixer.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(mixer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *params))


def test_maps_keep_the_type_that_autocast_gives():
    """In float32 a neck would take twice the memory."""
    model = random_model(TINY, output_norm=False)
    image = torch.randn(1, 3, 64, 64, device=DEVICE)
    with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
        maps = model(image)[:2]  # the stages behind have residual scales, in float32
    assert [out.dtype for out in maps] == [torch.bfloat16] * 2
