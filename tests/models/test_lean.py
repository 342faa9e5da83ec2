"""The steps with a backward pass of their own against the plain formula under autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from mmspanet.models import SPAM, SPANetV2, lean
from mmspanet.models.layers import PointwiseLinear, pointwise
from mmspanet.models.metaformer import Mlp
from mmspanet.models.srf import rescale
from tests.helpers import TINY

SMALL = dict(arch=dict(depths=(1, 1, 1, 1), channels=(8, 8, 16, 16)), input_size=64)
MIXERS = ('SPAM', 'SPAM', 'MixAttention', 'Attention')
ARCHS = {
    'pure': SMALL['arch'],
    'hybrid': dict(SMALL['arch'], channels=(8, 8, 32, 32), mixers=MIXERS),
    'revision': dict(SMALL['arch'], mixers=('SPAMRevision',) * 4),
}


def maps(*shape):
    values = torch.randn(shape, dtype=torch.double)
    return values.to(memory_format=torch.channels_last).requires_grad_()


def numbers(*shape):
    return torch.randn(shape, dtype=torch.double, requires_grad=True)


def star_relu_linear(x, scale, bias, weight):
    return pointwise(scale * F.relu(x) ** 2 + bias, weight)


def gated_linear(q, m, weight):
    return pointwise(F.gelu(q) * m, weight)


def norm_gelu_linear(x, scale, shift, eps, weight):
    return pointwise(F.gelu(F.group_norm(x, 1, scale, shift, eps)), weight)


STEPS = {
    'StarReLU': (
        lean.StarReLULinear,
        star_relu_linear,
        lambda: (maps(2, 8, 3, 2), numbers(1), numbers(1), numbers(3, 8)),
    ),
    'gate': (
        lean.GatedLinear,
        gated_linear,
        lambda: (maps(2, 4, 3, 2), maps(2, 4, 3, 2), numbers(3, 4)),
    ),
    'norm': (
        lean.NormGELULinear,
        norm_gelu_linear,
        lambda: (maps(2, 4, 3, 2), numbers(4), numbers(4), 1e-5, numbers(3, 4)),
    ),
} | {
    f'filter {height}x{width}': (
        lean.Rescale,
        rescale,
        lambda h=height, w=width: (maps(2, 3, h, w), numbers(3, h, w // 2 + 1)),
    )
    for height, width in ((4, 6), (5, 3), (1, 1), (3, 2), (1, 5))
}


@pytest.mark.parametrize('name', STEPS)
def test_gradients_are_those_of_finite_differences(name):
    step, _, inputs = STEPS[name]
    assert torch.autograd.gradcheck(step.apply, inputs())


@pytest.mark.parametrize('name', STEPS)
def test_a_step_is_its_plain_formula(name):
    step, plain, inputs = STEPS[name]
    inputs = inputs()
    wanted = [x for x in inputs if isinstance(x, torch.Tensor)]
    ours, theirs = step.apply(*inputs), plain(*inputs)
    torch.testing.assert_close(ours, theirs)
    along = torch.randn_like(ours)
    for one, other in zip(
        *(torch.autograd.grad(out, wanted, along) for out in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('name', STEPS)
def test_a_second_order_is_refused(name):
    step, _, inputs = STEPS[name]
    inputs = inputs()
    (gradient,) = torch.autograd.grad(
        step.apply(*inputs).square().sum(), inputs[0], create_graph=True
    )
    with pytest.raises(RuntimeError, match='twice'):
        gradient.sum().backward()


def trained(**options):
    torch.manual_seed(0)
    model = SPANetV2(**{**SMALL, **options}).train()
    with torch.no_grad():
        for parameter in model.parameters():  # no part may be hidden behind a small weight
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def gradients(model, images, enabled=False):
    """The maps, and the gradient of every parameter, in float32 or under autocast."""
    torch.manual_seed(1)
    model.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
        outs = model(images)
    sum((out.float() * torch.randn(out.shape)).mean() for out in outs).backward()
    return outs, {name: p.grad for name, p in model.named_parameters()}


def distances(ours, theirs):
    return {name: float((ours[name] - g).norm() / g.norm()) for name, g in theirs.items()}


@pytest.fixture
def plainly(monkeypatch):
    """Has the steps left out from where it is called."""
    return lambda: monkeypatch.setattr(lean, 'applies', lambda *modules: False)


@pytest.mark.parametrize('arch', ARCHS.values(), ids=ARCHS)
def test_a_model_trains_as_by_the_plain_formulas(plainly, arch):
    model, images = trained(arch=arch), torch.randn(2, 3, 65, 96)
    outs, ours = gradients(model, images)
    plainly()
    expected, theirs = gradients(model, images)
    for out, other in zip(outs, expected, strict=True):
        torch.testing.assert_close(out, other)
    assert max(distances(ours, theirs).values()) < 1e-4


@pytest.mark.parametrize('arch', ARCHS.values(), ids=ARCHS)
def test_bfloat16_is_as_near_to_float32_as_by_the_plain_formulas(plainly, arch):
    model, images = trained(arch=arch), torch.randn(2, 3, 65, 96)
    outs, ours = gradients(model, images, enabled=True)
    plainly()
    others, theirs = gradients(model, images, enabled=True)
    _, exact = gradients(model, images)
    assert [out.dtype for out in outs] == [out.dtype for out in others]
    ours, theirs = (distances(g, exact).values() for g in (ours, theirs))
    assert sum(ours) < 1.2 * sum(theirs)


# Bytes that one more image adds, a pixel, in float32 and under autocast to bfloat16, measured with
# torch 2.11; timm's ConvNeXt-T keeps 2175 and 1110, its ConvFormer-S18 3044 and 1575.
CEILINGS = {'s18-pure': (1940, 1046), 's18-hybrid': (1833, 972)}


@pytest.mark.parametrize('arch', CEILINGS)
def test_bytes_kept_for_the_backward_pass(arch):
    counting = pytest.importorskip('benchmarks.activation_memory', reason='needs timm')
    model = SPANetV2(arch).train()
    for enabled, ceiling in zip((False, True), CEILINGS[arch], strict=True):
        assert counting.bytes_per_pixel(model, enabled) < 1.02 * ceiling


def test_recomputed_blocks_have_the_same_gradients():
    images = torch.randn(2, 3, 64, 64)
    _, expected = gradients(trained(), images)
    _, ours = gradients(trained(with_cp=True), images)
    assert max(distances(ours, expected).values()) < 1e-6


def test_a_part_can_be_frozen():
    model, images = trained(), torch.randn(2, 3, 64, 64)
    _, expected = gradients(model, images)
    frozen = {name for name in expected if 'srf' in name or 'act' in name or 'norm' in name}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    _, ours = gradients(model, images)
    assert {name for name, gradient in ours.items() if gradient is None} == frozen
    kept = {name: gradient for name, gradient in expected.items() if name not in frozen}
    assert max(distances(ours, kept).values()) < 1e-6


def test_hooks_see_a_model_that_trains():
    model = SPANetV2(TINY)
    seen = []
    names = ('fc2', 'act', 'proj', 'reduce')
    modules = {n: m for n, m in model.named_modules() if n.rpartition('.')[2] in names}
    for name, module in modules.items():
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
    model(torch.randn(1, 3, 64, 64))
    assert sorted(seen) == sorted(modules)


def test_a_pruned_layer_trains():
    model = SPANetV2(TINY)
    layers = [m for n, m in model.named_modules() if n.endswith('fc2')]
    for layer in layers:
        prune.random_unstructured(layer, 'weight', 0.5)
    for _ in range(2):
        model.zero_grad()
        sum(map_.mean() for map_ in model(torch.randn(1, 3, 64, 64))).backward()
        for layer in layers:
            assert (layer.weight_orig.grad[layer.weight_mask == 0] == 0).all()


@pytest.mark.parametrize(
    'norm',
    [nn.GroupNorm(4, 16), nn.BatchNorm2d(16), nn.GroupNorm(1, 16, affine=False), nn.Identity()],
)
def test_another_norm_trains_as_it_tests(norm):
    spam = SPAM(8, (8, 8)).train()
    spam.norm = norm
    x = torch.randn(2, 8, 8, 8)
    with_gradients = spam(x)
    with torch.no_grad():
        torch.testing.assert_close(spam(x), with_gradients)


class Adapter(nn.Module):
    """A layer with a learned part beside it, which names the layer's weight as its own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.more = PointwiseLinear(layer.in_features, layer.out_features)

    @property
    def weight(self):
        return self.layer.weight

    def forward(self, x):
        return self.layer(x) + self.more(x)


def test_a_layer_in_the_place_of_ours_trains():
    spam, mlp = SPAM(8, (8, 8)).train(), Mlp(8).train()
    spam.proj, spam.reduce, mlp.fc2 = map(Adapter, (spam.proj, spam.reduce, mlp.fc2))
    mlp(spam(torch.randn(2, 8, 8, 8))).sum().backward()
    for adapter in (spam.proj, spam.reduce, mlp.fc2):
        assert adapter.more.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('training', [False, True])
def test_float16_holds_what_squares_leave(compiled, training):
    """Hidden values of some hundreds, whose squares are beyond 65504."""
    torch.manual_seed(0)
    mlp = Mlp(8).train(training)
    x = 200 * torch.randn(1, 8, 4, 4)
    expected = mlp(x)
    call = torch.compile(mlp, backend='aot_eager', fullgraph=True) if compiled else mlp
    with torch.autocast('cpu', torch.float16):
        hidden, found = mlp.fc1(x), call(x)
    assert hidden.max() > 256
    torch.testing.assert_close(
        found.float(), expected, rtol=0.02, atol=0.01 * float(expected.abs().max())
    )


def test_compilers_and_exporters_see_the_plain_formula():
    model, images = trained(), torch.randn(1, 3, 64, 64)
    exported = torch.export.export(model, (images,)).module()
    assert not any('autograd_function' in str(node.target) for node in exported.graph.nodes)
    for ours, other in zip(exported(images), model(images), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)


def test_a_compiled_model_has_the_same_gradients():
    model, images = trained(), torch.randn(2, 3, 64, 64)
    _, expected = gradients(model, images)
    _, ours = gradients(torch.compile(model, backend='aot_eager', fullgraph=True), images)
    ours = {name.removeprefix('_orig_mod.'): gradient for name, gradient in ours.items()}
    assert max(distances(ours, expected).values()) < 1e-4
