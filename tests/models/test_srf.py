"""The filter on its own: sizes, types and the two gains."""

import pytest
import torch
import torch.nn.functional as F

from mmspanet.models import ScaledSpectralRescalingFilter, SpectralRescalingFilter

pytestmark = pytest.mark.usefixtures('device')


@pytest.fixture
def srf():
    module = SpectralRescalingFilter(8, (14, 15)).eval()
    torch.nn.init.normal_(module.filter)
    return module.requires_grad_(False)


@pytest.mark.parametrize('size', [(14, 15), (20, 31), (9, 9), (1, 1), (3, 60), (50, 2)])
def test_the_raw_filter_is_resized_then_squashed(srf, size):
    height, width = size
    raw = F.interpolate(
        srf.filter[None].double(), (height, width // 2 + 1), mode='bicubic', align_corners=True
    )[0]
    torch.testing.assert_close(srf.gain(size).double(), raw.sigmoid(), rtol=1e-5, atol=1e-6)


def test_autocast_does_not_reach_the_resizing(srf, device):
    expected = srf.gain((20, 20))
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(srf.gain((20, 20)), expected)


def test_alpha_is_the_slope_of_the_sigmoid(srf):
    scaled = ScaledSpectralRescalingFilter(8, (14, 15)).eval()
    scaled.load_state_dict(dict(filter=srf.filter, alpha=torch.tensor([3.0])))
    gain = scaled.gain((11, 12))
    torch.testing.assert_close(gain.logit(), 3 * srf.gain((11, 12)).logit(), rtol=1e-3, atol=1e-3)


def test_gradients_reach_the_weights_through_a_resize(srf):
    scaled = ScaledSpectralRescalingFilter(4, (6, 7)).double()
    torch.nn.init.normal_(scaled.filter)
    u = torch.randn(1, 4, 5, 8, dtype=torch.double)

    def run(raw, alpha):
        return torch.func.functional_call(scaled, dict(filter=raw, alpha=alpha), (u,))

    assert torch.autograd.gradcheck(run, tuple(scaled.parameters()))


@pytest.mark.parametrize('size', [(14, 15), (12, 8), (9, 9), (1, 1), (3, 60), (50, 2), (2, 1)])
@pytest.mark.parametrize('half', ['upper', 'lower'])
def test_libraries_that_read_one_half_of_a_column_agree(srf, size, half, monkeypatch):
    """As cuFFT may: of the columns that hold omega and -omega it need not look at both."""
    irfft2 = torch.fft.irfft2
    maps = torch.randn(2, 8, *size, dtype=torch.double)
    srf.double()
    # What PyTorch computes on CPUs.
    expected = irfft2(torch.fft.rfft2(maps.cpu()) * srf.gain(size).cpu(), s=size).to(maps)

    def one_half(spectrum, s, norm):
        height, width = s
        spectrum = spectrum.clone()
        for column in {0, width // 2} if width % 2 == 0 else {0}:
            for k in range(1, (height + 1) // 2):
                taken, other = (k, height - k) if half == 'upper' else (height - k, k)
                spectrum[..., other, column] = spectrum[..., taken, column].conj()
        return irfft2(spectrum, s=s, norm=norm)

    monkeypatch.setattr(torch.fft, 'irfft2', one_half)
    torch.testing.assert_close(srf(maps), expected)


def test_float16_input_is_filtered_in_float32(srf):
    u = torch.randn(2, 8, 11, 12).half()  # cuFFT's half precision would refuse 11 and 12
    out = srf(u)
    assert out.dtype == torch.float16
    assert torch.equal(out, srf(u.float()).half())


def test_a_device_without_autocast(srf):
    srf.to('meta')
    assert srf(torch.empty(2, 8, 11, 12, device='meta')).shape == (2, 8, 11, 12)


def test_a_filter_of_gain_one_is_the_identity(srf):
    srf.filter.fill_(100)
    u = torch.randn(2, 8, 11, 13)
    assert torch.allclose(srf(u), u, atol=1e-5)
