"""The spectral filter as matrix products: torch.fft is the oracle."""

import copy

import pytest
import torch

from mmspanet.deployment.dft import MatrixSpectralFilter, factors
from mmspanet.deployment.filters import replace_filters
from mmspanet.deployment.layers import rewrite_layers
from mmspanet.models import ScaledSpectralRescalingFilter, SpectralRescalingFilter
from tests.helpers import TINY, TINY_HYBRID, TINY_REVISION, assert_close, random_model

pytestmark = pytest.mark.usefixtures('device')


@pytest.mark.parametrize('scaled', [False, True])
@pytest.mark.parametrize(
    'size',
    [(1, 1), (8, 8), (8, 9), (13, 6), (5, 21), (50, 84), (90, 81), (83, 82), (116, 37), (89, 1)],
)
def test_the_filter_is_the_same_function(size, scaled):
    """Random gains, so that the spectrum's two halves differ and a mix-up would show."""
    srf = (ScaledSpectralRescalingFilter if scaled else SpectralRescalingFilter)(6, (8, 8))
    torch.nn.init.normal_(srf.filter, std=2.0)
    if scaled:
        torch.nn.init.constant_(srf.alpha, 1.7)
    maps = torch.randn(2, 6, *size)
    with torch.no_grad():
        assert_close([MatrixSpectralFilter(srf, size)(maps)], [srf(maps)], 1e-5)


def test_axes_are_factored():
    """As near to the square root as they can be; small ones and primes stay whole."""
    assert [factors(n) for n in (7, 80, 83, 81, 90, 116, 200, 304)] == [
        (7, 1), (80, 1), (83, 1), (9, 9), (10, 9), (29, 4), (20, 10), (19, 16),
    ]  # fmt: skip


MORE_KERNELS = TINY | dict(
    mixers=(
        dict(type='SPAM', kernel_sizes=(5, 1)),
        dict(type='SPAM', kernel_sizes=(3,) * 8),
        'SPAM',
        'SPAMRevision',
    )
)


@pytest.mark.parametrize(
    'arch',
    [TINY, TINY_HYBRID, TINY_REVISION, MORE_KERNELS],
    ids=['pure', 'hybrid', 'revision', 'kernels'],
)
@pytest.mark.parametrize('deployed', [False, True])
@pytest.mark.parametrize('size', [(64, 64), (37, 53), (96, 352)])
def test_backbones_without_ffts(arch, deployed, size, monkeypatch):
    model = random_model(arch)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = model(images)
    other = copy.deepcopy(model)
    if deployed:
        other.switch_to_deploy()
    replace_filters(other, size)
    rewrite_layers(other)
    monkeypatch.delattr(torch.fft, 'rfft2')
    with torch.no_grad():
        assert_close(other(images), expected, 1e-4)
    with pytest.raises(AttributeError):
        model(images)  # the model itself is left as it was
