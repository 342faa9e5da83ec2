"""Laws that hold for any size, batch, architecture, type and memory layout."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmspanet.checkpoints import backbone_to_authors
from mmspanet.models import SPANetV2
from tests.oracle import Oracle

pytestmark = pytest.mark.usefixtures('device')

SLOW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))

sides = st.integers(3, 300)
small_sides = st.integers(3, 96)
# Torch 2.11 on CPUs with AMX: smaller maps in bfloat16 come out of oneDNN with NaN at times.
half_sides = st.integers(32, 96)
kernels = st.tuples(*[st.sampled_from([1, 3, 5, 7, 9])] * 4)  # the oracle knows four heads
mixers = st.tuples(*[st.sampled_from(['SPAM', 'Attention', 'MixAttention'])] * 4)


@st.composite
def archs(draw, spam):
    """Small architecture dicts: any depth of 1 or 2, any mixers, SPAM with any kernels."""
    spam = dict(type=spam, kernel_sizes=draw(kernels))
    names = draw(mixers.filter(lambda names: 'SPAM' in names))
    return dict(
        depths=draw(st.tuples(*[st.integers(1, 2)] * 4)),
        channels=draw(st.tuples(*[st.sampled_from([32, 64, 96])] * 4)),
        mixers=tuple(spam if name == 'SPAM' else name for name in names),
    )


def make(arch, seed=0, **options):
    torch.manual_seed(seed)
    model = SPANetV2(arch, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def tiny(device):
    return make(dict(depths=(1, 1, 1, 1), channels=(32, 32, 64, 64)))


@SLOW
@given(height=sides, width=sides, batch=st.integers(1, 3), channels_last=st.booleans())
def test_shapes_follow_the_strides(tiny, height, width, batch, channels_last):
    """The stem is a 7x7 convolution of stride 4, padding 2; stages then halve, rounding up."""
    image = torch.randn(batch, 3, height, width)
    if channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        maps = tiny(image)
    expected_height, expected_width = (height + 1) // 4, (width + 1) // 4
    for features, channels in zip(maps, (32, 32, 64, 64), strict=True):
        assert features.shape == (batch, channels, expected_height, expected_width)
        assert features.isfinite().all()
        expected_height, expected_width = -(-expected_height // 2), -(-expected_width // 2)


@SLOW
@given(data=st.data(), height=small_sides, width=small_sides, interleave=st.booleans())
def test_any_architecture_equals_the_oracle(data, height, width, interleave):
    arch = data.draw(archs('SPAM' if interleave else 'SPAMRevision'))
    model = make(arch, input_size=64)
    oracle = Oracle(backbone_to_authors(model.state_dict()), interleave)
    image = torch.randn(2, 3, height, width)
    with torch.no_grad():
        actual, expected = model(image), oracle.features(image)
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() <= 1e-4 * e.abs().max()


@SLOW
@given(height=half_sides, width=half_sides, dtype=st.sampled_from([torch.bfloat16, torch.half]))
def test_autocast_stays_near_float32(device, tiny, height, width, dtype):
    image = torch.randn(1, 3, height, width)
    with torch.no_grad():
        expected = tiny(image)
        with torch.autocast(device.type, dtype):
            actual = tiny(image)
    for a, e in zip(actual, expected, strict=True):
        assert (a.float() - e).abs().mean() <= 0.05 * e.abs().mean()


@SLOW
@given(batch=st.integers(1, 4), height=small_sides, width=small_sides)
def test_images_of_a_batch_do_not_see_each_other(tiny, batch, height, width):
    images = torch.randn(batch, 3, height, width)
    with torch.no_grad():
        together = tiny(images)
        alone = [tiny(image[None]) for image in images]
    for stage, features in enumerate(together):
        separate = torch.cat([maps[stage] for maps in alone])
        assert (features - separate).abs().max() <= 1e-4 * features.abs().max()


@pytest.mark.parametrize('training', [True, False])
def test_repeats_are_bit_equal(training):
    """With the determinism flags of torch, gradients included."""

    def run():
        torch.manual_seed(0)
        model = SPANetV2(
            dict(depths=(1, 1, 1, 1), channels=(32, 32, 64, 64)), drop_path_rate=0.5
        ).train(training)
        maps = model(torch.randn(2, 3, 65, 50))
        sum(features.square().sum() for features in maps).backward()
        return [*maps, *(parameter.grad for parameter in model.parameters())]

    torch.use_deterministic_algorithms(True)
    try:
        first, second = run(), run()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_bad_pixels_show(tiny, value):
    """NaN or infinity in an image comes out as NaN: nothing hides it, and no error is raised."""
    image = torch.randn(2, 3, 64, 64)
    image[0, 0, 10, 10] = value
    with torch.no_grad():
        maps = tiny(image)
    assert maps[-1][0].isnan().any()
    assert all(features[1].isfinite().all() for features in maps)


@pytest.mark.slow
@pytest.mark.parametrize('deployed', [True, False])
def test_torch_compile(deployed):
    """Compiled by inductor: for one shape, then for images of any size in batches of any number."""
    model = make(dict(depths=(1, 1, 1, 1), channels=(32, 32, 64, 64)))
    if deployed:
        model.switch_to_deploy()
    torch._dynamo.reset()  # it remembers the shapes that other tests gave the same code
    compiled = torch.compile(model)
    for shape in ((2, 3, 33, 47), (3, 3, 64, 80), (4, 3, 65, 50)):
        image = torch.randn(shape)
        with torch.no_grad():
            for actual, expected in zip(compiled(image), model(image), strict=True):
                np.testing.assert_allclose(actual.cpu(), expected.cpu(), rtol=1e-3, atol=2e-4)
