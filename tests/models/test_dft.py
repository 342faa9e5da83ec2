"""Transforms as matrix products: torch.fft is the oracle."""

import pytest
import torch

from mmspanet.models.dft import complex_dft, filter_maps, inverse_real_dft, map_matrices, real_dft
from tests.helpers import assert_close

pytestmark = pytest.mark.usefixtures('device')

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


@pytest.mark.parametrize('size', [(1, 1), (7, 7), (8, 9), (13, 6), (5, 21), (28, 28)])
def test_maps_are_filtered_as_by_the_fft(size):
    """Random gains, so that the spectrum's two halves differ and a mix-up would show."""
    maps = torch.randn(2, *size, 6)
    gain = torch.rand(6, size[0], size[1] // 2 + 1)
    spectrum = gain * torch.fft.rfft2(maps.double().permute(0, 3, 1, 2), norm='ortho')
    expected = torch.fft.irfft2(spectrum, s=size, norm='ortho').permute(0, 2, 3, 1)
    assert_close([filter_maps(maps, gain.permute(1, 2, 0)[:, None])], [expected], 1e-5)


def test_matrices_made_in_inference_mode_serve_outside():
    map_matrices.cache_clear()
    with torch.inference_mode():
        matrices = map_matrices(4, 6)
    assert not any(m.is_inference() for m in matrices)
