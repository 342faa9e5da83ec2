"""What a forward pass does, counted: costs that can't flake, where times would."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmspanet.models import SPANetV2

pytestmark = pytest.mark.usefixtures('device')

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
@pytest.mark.parametrize('size', [(64, 64), (600, 400)])
def test_one_fft_pair_a_block(size, deployed, device):
    """For all heads together; on CPUs, the deployed form has none for maps of up to 28 a side."""
    model = SPANetV2(PURE, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    calls = count(model, size)
    without = 0
    if deployed and device.type == 'cpu':
        without = BLOCKS if size == (64, 64) else 1
    assert calls['_fft_r2c'] == calls['_fft_c2r'] == BLOCKS - without


@pytest.mark.parametrize('size', [(96, 80), (600, 400)])
def test_the_deployed_form_resizes_nothing_at_a_size_it_has_seen(size):
    model = SPANetV2(PURE, input_size=64).eval()
    model.switch_to_deploy()
    calls = count(model, size)
    assert calls['upsample_bicubic2d'] == calls['sigmoid'] == 0


@pytest.mark.parametrize('deployed', [True, False])
def test_attention_is_never_written_out(deployed):
    model = SPANetV2(HYBRID, input_size=64).eval()
    if deployed:
        model.switch_to_deploy()
    calls = count(model, (64, 64))
    assert sum(calls[name] for name in calls if 'scaled_dot_product' in name) == 3
    assert calls['_softmax'] == 0


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
