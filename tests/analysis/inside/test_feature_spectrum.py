"""Relative log amplitude: closed forms, the stream, and the blocks of three libraries."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from mmspanet.analysis.inside.blocks import find_blocks
from mmspanet.analysis.inside.feature_spectrum import (
    EPS,
    diagonal_profile,
    draw_models,
    feature_spectrum,
    log_amplitude,
    radial_profile,
)
from mmspanet.models import SPANetV2


class Blocks(nn.Module):
    """A backbone of one block that returns its input."""

    def __init__(self):
        super().__init__()
        self.block = nn.Identity()

    def forward(self, x):
        return self.block(x)


def spectrum(batches, profile=radial_profile):
    model = Blocks()
    return feature_spectrum(model, dict(block=model.block), batches, profile)[0]


def grid(n):
    y, x = np.mgrid[:n, :n]
    return torch.tensor(y, dtype=torch.float64), torch.tensor(x, dtype=torch.float64)


def test_constant_map_has_nothing_beside_its_mean():
    maps = torch.full((2, 3, 8, 8), 2.5, dtype=torch.float64)
    expected = math.log(EPS) - math.log(64 * 2.5 + EPS)
    for profile in (radial_profile, diagonal_profile):
        curve = spectrum([maps], profile)
        np.testing.assert_allclose(curve.amplitude[1:], expected, atol=1e-9)
        assert curve.amplitude[0] == 0


@pytest.mark.parametrize('k', [1, 3, 6, 8])
def test_cosine_peaks_at_its_own_frequency(k):
    """1 + cos along x: N^2 at zero, N^2 / 2 at +-k; at Nyquist the two are one of N^2."""
    n = 16
    _, x = grid(n)
    plane = log_amplitude((1 + torch.cos(2 * math.pi * k * x / n))[None, None])
    height = n * n * (1 if k == n // 2 else 0.5)
    assert plane[0, k] == pytest.approx(math.log(height + EPS), abs=1e-9)
    assert plane[0, 0] == pytest.approx(math.log(n * n + EPS), abs=1e-9)
    frequency, values = radial_profile(plane)
    assert frequency[1:][values[1:].argmax()] == k / n
    assert frequency[-1] == 0.5


@pytest.mark.parametrize('n', [14, 7])
def test_diagonal_cosine(n):
    """cos(2 pi k (x + y) / n) is one point of the diagonal; odd maps end before Nyquist."""
    y, x = grid(n)
    k = 3
    frequency, values = diagonal_profile(
        log_amplitude((1 + torch.cos(2 * math.pi * k * (x + y) / n))[None, None])
    )
    assert values[k] - values[0] == pytest.approx(math.log(0.5), abs=1e-6)
    assert frequency[-1] == (0.5 if n == 14 else 3 / 7)


def test_white_noise_is_flat():
    """E ln|F| of complex Gaussian amplitudes is that of the real ones, as at 0, plus ln(2) / 2."""
    torch.manual_seed(0)
    noise = torch.randn(64, 64, 16, 16)
    curve = spectrum(noise.split(16))
    np.testing.assert_allclose(curve.amplitude[1:-1], math.log(2) / 2, atol=0.04)


def test_radial_profile_of_a_radial_function():
    y, x = np.fft.fftfreq(40)[:, None], np.fft.fftfreq(28)[None]
    frequency, values = radial_profile(np.hypot(y, x) ** 2)
    assert len(frequency) == 15
    np.testing.assert_allclose(values, frequency**2, atol=0.5 / 28)


def test_streaming_mean_is_the_mean_of_one_batch():
    torch.manual_seed(0)
    maps = torch.randn(7, 5, 12, 12, dtype=torch.float64)
    whole = spectrum([maps])
    parts = spectrum(maps.split(3))  # 3, 3, 1: a mean of means would differ
    np.testing.assert_allclose(parts.amplitude, whole.amplitude, atol=1e-12)


def test_stream_keeps_no_batch():
    """While a batch is made, no more than the one before it is still held."""
    seen, held = [], []

    def batches():
        for _ in range(6):
            held.append(sum(ref() is not None for ref in seen))
            batch = torch.randn(2, 3, 8, 8)
            seen.append(weakref.ref(batch))
            yield batch
            del batch

    spectrum(batches())
    assert max(held) <= 1


def test_other_sizes_are_read_at_the_first_ones_frequencies():
    n = 16
    images = [1 + torch.cos(2 * math.pi * grid(m)[1] / 4)[None, None] for m in (n, 2 * n)]
    curve = spectrum(images)
    assert len(curve.frequency) == n // 2 + 1
    assert curve.frequency[1:][curve.amplitude[1:].argmax()] == 0.25


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match='No batch'):
        spectrum([])


def test_stages_and_strides_of_ours():
    arch = dict(depths=(2, 1, 1, 1), channels=(8, 16, 24, 32))
    model = SPANetV2(arch=arch, input_size=64).eval()
    spectra = feature_spectrum(model, find_blocks(model), [torch.randn(2, 3, 64, 64)])
    assert [s.path for s in spectra] == ['stages.0.0', 'stages.0.1'] + [
        f'stages.{i}.0' for i in (1, 2, 3)
    ]
    assert [s.stage for s in spectra] == [1, 1, 2, 3, 4]
    assert [s.stride for s in spectra] == [4, 4, 8, 16, 32]
    drawing = draw_models({'ours': spectra})
    assert len(drawing.rows) == sum(len(s.frequency) for s in spectra)
    assert drawing.rows[-1]['frequency in cycles per pixel'] == 0.5 / 32
    assert len(drawing.figure.axes) == 2


def test_diagonal_is_the_curve_of_park_and_kim():
    """Against their steps, literally: shift, mean, the diagonal from the center, less its first."""
    torch.manual_seed(1)
    maps = torch.randn(2, 5, 8, 8)
    shifted = torch.fft.fftshift((torch.fft.fft2(maps).abs() + 1e-6).log(), dim=(-2, -1))
    curve = shifted.mean(dim=(0, 1)).diag()[4:]
    ours = spectrum([maps], diagonal_profile)
    # Theirs stops one short of Nyquist, where ours ends.
    np.testing.assert_allclose(ours.amplitude[:4], (curve - curve[0]).numpy(), atol=1e-5)


def test_hooks_are_gone_afterwards():
    model = Blocks()
    spectrum_of_it = dict(block=model.block)
    feature_spectrum(model, spectrum_of_it, [torch.randn(1, 1, 8, 8)])
    assert not model.block._forward_hooks


MMPRETRAIN = [
    (dict(type='mmpretrain.ConvNeXt', arch='atto'), 12, 4),
    (dict(type='mmpretrain.SwinTransformer', arch='tiny', pad_small_map=True), 12, 4),
    (dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=64), 12, 1),
    (dict(type='mmpretrain.DistilledVisionTransformer', arch='deit-tiny', img_size=64), 12, 1),
    (dict(type='mmpretrain.ResNet', depth=18), 8, 4),
    (dict(type='mmseg.MixVisionTransformer', embed_dims=8), 16, 4),
    (dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=8, num_layers=[1, 1, 1, 1]), 4, 4),
]


@pytest.mark.parametrize(('config', 'blocks', 'stages'), MMPRETRAIN, ids=lambda c: str(c)[:40])
def test_backbones_of_the_libraries(config, blocks, stages):
    pytest.importorskip(config['type'].split('.')[0])
    from mmengine.registry import MODELS

    backbone = MODELS.build(dict(config))
    backbone.eval()
    spectra = feature_spectrum(backbone, find_blocks(backbone), [torch.randn(1, 3, 64, 64)])
    assert (len(spectra), spectra[-1].stage) == (blocks, stages)
    assert spectra[-1].stride == (16 if stages == 1 else 32)
    assert all(np.isfinite(s.amplitude).all() for s in spectra)


@pytest.mark.parametrize(
    ('name', 'options', 'blocks'),
    [
        ('convnext_atto', {}, 12),
        ('swin_tiny_patch4_window7_224', dict(img_size=64, window_size=2), 12),  # (B, H, W, C)
        ('vit_tiny_patch16_224', dict(img_size=64), 12),
        ('regnety_002', {}, 13),
    ],
)
def test_models_of_timm(name, options, blocks):
    timm = pytest.importorskip('timm')
    model = timm.create_model(name, **options).eval()
    spectra = feature_spectrum(model, find_blocks(model), [torch.randn(1, 3, 64, 64)])
    assert len(spectra) == blocks
    assert spectra[-1].stride in (16, 32)
