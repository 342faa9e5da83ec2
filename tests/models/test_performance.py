"""What a forward pass does, counted: costs that can't flake, where times would."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmspanet.models import SPANetV2

DEPTHS = (1, 1, 2, 1)
BLOCKS = sum(DEPTHS)
PURE = dict(depths=DEPTHS, channels=(32, 64, 64, 96))
HYBRID = PURE | dict(mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'))


class Count(TorchDispatchMode):
    """Calls of ATen's functions by name, as autograd leaves them."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count(model, size):
    """The calls of a second forward pass at this size."""
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        model(image)
        with Count() as counter:
            model(image)
    return counter.calls


@pytest.mark.parametrize('deployed', [True, False])
@pytest.mark.parametrize('size', [(64, 64), (96, 80), (65, 50)])
def test_pure(size, deployed):
    model = SPANetV2(PURE, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    calls = count(model, size)
    assert calls['_fft_r2c'] == calls['_fft_c2r'] == (0 if deployed else BLOCKS)
    assert calls['bmm'] == (4 * BLOCKS if deployed else 0)  # the transforms of small maps
    assert calls['upsample_bicubic2d'] == 0  # resized filters are kept
    assert calls['sigmoid'] == 0  # and so are their gains
    assert calls['cat'] + calls['stack'] == BLOCKS
    # One change of layout for each output, and one a block for the mix of the heads, which the
    # deployed form has in its join of small maps.
    layouts = len(DEPTHS) + (0 if deployed else BLOCKS)
    assert calls['clone'] + calls['copy_'] + calls['_to_copy'] == layouts
    # Query, context (one a head when deployed), reduce, proj, 2 of the MLP.
    products = (9 if deployed else 6) * BLOCKS
    assert calls['_linear_pointwise'] == (products if deployed else 0)
    # Four resolutions; 4 depthwise and the head mix; the products of the training form.
    assert calls['convolution'] == 4 + 5 * BLOCKS + (0 if deployed else products)
    assert calls['native_layer_norm'] == 2 * BLOCKS + 4 + 4  # blocks, resolutions, outputs


def test_the_deployed_form_writes_in_place():
    model = SPANetV2(PURE, input_size=64).eval()
    model.switch_to_deploy()
    calls = count(model, (64, 64))
    new = calls['mul'] + calls['add'] + calls['relu'] + calls['pow'] + calls['gelu']
    assert new == 0
    assert calls['gelu_'] == calls['pow_'] == BLOCKS
    assert calls['mul_'] == 2 * BLOCKS  # by the gain and by the query


def test_large_maps_of_the_deployed_form():
    """Above 28 positions a side: one FFT pair a block, and the MLP's hidden maps in tiles."""
    model = SPANetV2(PURE, input_size=64).eval()
    model.switch_to_deploy()
    calls = count(model, (600, 400))
    assert calls['_fft_r2c'] == calls['_fft_c2r'] == BLOCKS - 1  # stage 4 has maps of 19 x 13
    assert calls['bmm'] == 4
    tiles = 2  # of the 150 x 100 positions of stage 1
    assert calls['_linear_pointwise'] == 9 * BLOCKS + 2 * (tiles - 1)


@pytest.mark.parametrize('deployed', [True, False])
def test_hybrid(deployed):
    model = SPANetV2(HYBRID, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    calls = count(model, (64, 64))
    attention = [name for name in calls if 'scaled_dot_product' in name]
    assert sum(calls[name] for name in attention) == 3
    assert calls['_softmax'] == 0  # never written out
    assert calls['bmm'] == (8 if deployed else 0)  # the transforms of two blocks
    assert calls['_fft_r2c'] == (0 if deployed else 2)


@pytest.mark.parametrize('deployed', [True, False])
def test_torch_compile_gets_one_graph(deployed):
    """No break: a device or autocast question that dynamo can't read would make one a block."""
    torch.manual_seed(0)
    model = SPANetV2(HYBRID, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    image = torch.randn(1, 3, 64, 80)  # another size than the filters
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='eager', fullgraph=True)
    with torch.no_grad():
        for actual, expected in zip(compiled(image), model(image), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
