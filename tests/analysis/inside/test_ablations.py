"""Images without a band of frequencies, and heads without their filter."""

import numpy as np
import pytest
import torch

from mmspanet.analysis.inside.ablations import filtered_heads, head_switched_off, without_band
from mmspanet.errors import InputError
from mmspanet.models import SPANetV2

from .conftest import ARCH


def waves(*periods: int) -> np.ndarray:
    """Gray, and a horizontal cosine of amplitude 20 for each period in pixels."""
    x = np.arange(64)
    rows = np.full(64, 128.0)
    for period in periods:
        rows += 20 * np.cos(2 * np.pi * x / period)
    return np.tile(rows[None, :, None], (48, 1, 3)).round().astype(np.uint8)


@pytest.mark.parametrize(
    ('low', 'high', 'left'),
    [(0.2, 0.3, (32, 4)), (0.0, 0.1, (8, 4)), (0.4, 1.0, (32, 8)), (0.0, 1.0, ())],
)
def test_a_band_takes_its_waves_and_leaves_the_others(low, high, left):
    """Periods of 32, 8 and 4 pixels are 1/16, 1/4 and 1/2 of Nyquist's frequency."""
    changed = without_band(waves(32, 8, 4), low, high)
    assert changed.dtype == np.uint8
    np.testing.assert_allclose(changed.astype(int), waves(*left), atol=2)


def test_the_rest_and_the_band_are_the_image():
    image = np.random.default_rng(0).integers(96, 160, (33, 47, 3), dtype=np.uint8)
    low, high = (without_band(image, *band).astype(int) for band in ((0, 0.5), (0.5, 1)))
    mean = image.mean(axis=(0, 1))
    np.testing.assert_allclose(low + high - mean, image, atol=1.01)


def test_an_empty_band_is_refused():
    with pytest.raises(InputError, match=r'from 0\.5 to 0\.5 is empty'):
        without_band(waves(8), 0.5, 0.5)


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = SPANetV2(
        arch=ARCH | dict(mixers=('SPAM', 'SPAM', 'SPAM', 'Attention')), input_size=64
    )
    with torch.no_grad():
        for stage in network.stages[:3]:
            for block in stage:
                block.token_mixer.srf.filter.normal_()
    return network.eval().requires_grad_(False)


def srf_outputs(model, x):
    """What the filters of stage 1 get and give."""
    kept = []
    handles = [
        block.token_mixer.srf.register_forward_hook(
            lambda _, args, out: kept.append((args[0], out))
        )
        for block in model.stages[0]
    ]
    outputs = model(x)
    for handle in handles:
        handle.remove()
    return kept, outputs


def test_heads_are_those_with_a_filter(model):
    assert filtered_heads(model) == {stage: [3, 5, 7, 9] for stage in (1, 2, 3)}


def test_a_flat_filter_passes_every_frequency_alike(model):
    """As the same filter does whose raw values are all equal to the mean gain's."""
    x = torch.randn(1, 3, 64, 64)
    before = model(x)
    with head_switched_off(model, 1, 2):
        kept, outputs = srf_outputs(model, x)
    for (u, s), block in zip(kept, model.stages[0], strict=True):
        srf = block.token_mixer.srf
        half = srf.gain((16, 16))  # all columns but the first and the last stand for two
        whole = torch.cat([half, half[:, :, 1:8]], dim=2)
        level = whole.mean(dim=(1, 2))[2:4, None, None]
        torch.testing.assert_close(s[:, 2:4], u[:, 2:4] * level)
        others = [0, 1, 4, 5, 6, 7]
        torch.testing.assert_close(s[:, others], srf(u)[:, others])
    assert not torch.allclose(outputs[0], before[0])
    torch.testing.assert_close(model(x)[0], before[0], rtol=0, atol=0)  # and is itself again


def test_a_silent_head_gives_nothing(model):
    with head_switched_off(model, 1, 4, 'silent'):
        kept, _ = srf_outputs(model, torch.randn(1, 3, 64, 64))
    for u, s in kept:
        assert u[:, 6:].abs().max() > 0
        assert s[:, 6:].abs().max() == 0
        assert s[:, :6].abs().max() > 0


@pytest.mark.parametrize(('stage', 'head'), [(4, 1), (1, 5), (1, 0)])
def test_heads_that_are_not_there_are_refused(model, stage, head):
    with pytest.raises(InputError, match=f'no head {head} with a filter in stage {stage}'):
        head_switched_off(model, stage, head).__enter__()
