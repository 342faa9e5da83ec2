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
    assert calls['_fft_r2c'] == calls['_fft_c2r'] == BLOCKS
    assert calls['upsample_bicubic2d'] == 0  # resized filters are kept
    assert calls['sigmoid'] == 0  # and so are their gains
    assert calls['cat'] == BLOCKS
    # One change of layout a block, for the mix of the heads, and one for each output.
    assert calls['clone'] + calls['copy_'] + calls['_to_copy'] == BLOCKS + len(DEPTHS)
    # Four resolutions; 4 depthwise and the head mix; query, context, reduce, proj, 2 of the MLP.
    products = 4 + 5 * BLOCKS + (5 if deployed else 6) * BLOCKS
    assert calls['convolution'] == products
    assert calls['native_layer_norm'] == 2 * BLOCKS + 4 + 4  # blocks, resolutions, outputs


def test_the_deployed_form_writes_in_place():
    model = SPANetV2(PURE, input_size=64).eval()
    model.switch_to_deploy()
    calls = count(model, (64, 64))
    new = calls['mul'] + calls['add'] + calls['relu'] + calls['pow']
    assert new == BLOCKS  # the spectra's gains alone
    assert calls['relu_'] == calls['pow_'] == calls['mul_'] == BLOCKS


@pytest.mark.parametrize('deployed', [True, False])
def test_hybrid(deployed):
    model = SPANetV2(HYBRID, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    calls = count(model, (64, 64))
    attention = [name for name in calls if 'scaled_dot_product' in name]
    assert sum(calls[name] for name in attention) == 3
    assert calls['_softmax'] == calls['bmm'] == 0  # never written out
    assert calls['_fft_r2c'] == 2
