"""The spectral filter as matrix products: torch.fft is the oracle."""

import copy

import pytest
import torch

from mmspanet.deployment.dft import (
    MatrixSpectralFilter,
    complex_dft,
    inverse_real_dft,
    real_dft,
    replace_ffts,
)
from mmspanet.models.srf import SpectralRescalingFilter
from tests.models.test_spanetv2 import TINY, TINY_HYBRID, assert_close, random_model

SIZES = [1, 2, 3, 7, 16, 51, 304]


@pytest.mark.parametrize('size', SIZES)
def test_matrices_equal_the_fft(size):
    signal = torch.randn(5, size)
    parts = signal @ real_dft(size)
    expected = torch.fft.rfft(signal.double(), norm='ortho')
    assert_close([parts], [torch.cat([expected.real, expected.imag], dim=-1)], 1e-5)
    # Not the spectrum of any real signal: irfft's treatment of what can't be is the same, too.
    free = torch.randn(5, size // 2 + 1, dtype=torch.complex128)
    back = torch.cat([free.real, free.imag], dim=-1).float() @ inverse_real_dft(size)
    assert_close([back], [torch.fft.irfft(free, n=size, norm='ortho')], 1e-5)
    column = torch.randn(size, 3, dtype=torch.complex128)
    parts = complex_dft(size) @ torch.cat([column.real, column.imag]).float()
    expected = torch.fft.fft(column, dim=0, norm='ortho')
    assert_close([parts], [torch.cat([expected.real, expected.imag])], 1e-5)


@pytest.mark.parametrize('scaled', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (8, 8), (8, 9), (13, 6), (5, 21), (50, 76)])
def test_the_filter_is_the_same_function(size, scaled):
    """Random gains, so that the spectrum's two halves differ and a mix-up would show."""
    srf = SpectralRescalingFilter(6, (8, 8), scaled_sigmoid=scaled)
    torch.nn.init.normal_(srf.filter, std=2.0)
    if scaled:
        torch.nn.init.constant_(srf.alpha, 1.7)
    maps = torch.randn(2, 6, *size)
    with torch.no_grad():
        assert_close([MatrixSpectralFilter(srf, size)(maps)], [srf(maps)], 1e-5)


@pytest.mark.parametrize('arch', [TINY, TINY_HYBRID], ids=['pure', 'hybrid'])
@pytest.mark.parametrize('deployed', [False, True])
@pytest.mark.parametrize('size', [(64, 64), (37, 53), (96, 160)])
def test_backbones_without_ffts(arch, deployed, size, monkeypatch):
    model = random_model(arch)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = model(images)
    other = copy.deepcopy(model)
    if deployed:
        other.switch_to_deploy()
    replace_ffts(other, size)
    monkeypatch.delattr(torch.fft, 'rfft2')
    with torch.no_grad():
        assert_close(other(images), expected, 1e-4)
    with pytest.raises(AttributeError):
        model(images)  # the model itself is left as it was
