"""SPAM's response against the modules themselves, on waves and by finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from mmspanet.analysis.inside.modulators import modulator_maps
from mmspanet.analysis.inside.spam_response import (
    depthwise_kernels,
    find_backbone,
    head_responses,
    local_response,
    mixer_inputs,
    rescaling_gain,
)
from mmspanet.analysis.inside.srf_gain import head_gains
from mmspanet.analysis.theory.grid import Grid
from mmspanet.errors import InputError
from mmspanet.models import (
    SPAM,
    Attention,
    ScaledSpectralRescalingFilter,
    SPANetV2,
    SpectralRescalingFilter,
)

SMALL = dict(depths=(1, 1, 1, 1), channels=(8, 16, 32, 32))

HYBRID = dict(
    depths=(1, 1, 2, 1),
    channels=(8, 16, 32, 64),
    mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    model = SPANetV2(SMALL, input_size=(64, 96)).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, SpectralRescalingFilter):
                module.filter.normal_()
    return model


@pytest.mark.parametrize('size', [(8, 10), (7, 9), (12, 7)])
@pytest.mark.parametrize('scaled', [False, True])
def test_rescaling_gain_is_what_the_filter_does_to_every_wave(size, scaled):
    torch.manual_seed(0)
    kind = ScaledSpectralRescalingFilter if scaled else SpectralRescalingFilter
    srf = kind(3, (8, 10)).eval()
    with torch.no_grad():
        srf.filter.normal_()
        if scaled:
            srf.alpha.fill_(2.5)
    gain = rescaling_gain(srf, size)
    maps = torch.randn(1, 3, *size, dtype=torch.double)
    with torch.no_grad():
        given = torch.fft.fft2(srf(maps))
    expected = torch.fft.fft2(maps) * torch.from_numpy(gain)
    torch.testing.assert_close(given, expected)
    assert 0 < gain.min() < gain.max() < 1
    # Inside the half spectrum it is the stored gain, and real maps see omega and -omega alike.
    inner = srf.gain(size).detach().numpy()[:, :, 1 : (size[1] + 1) // 2]
    np.testing.assert_allclose(gain[:, :, 1 : (size[1] + 1) // 2], inner, rtol=1e-6)
    np.testing.assert_allclose(gain, np.roll(gain[:, ::-1, ::-1], 1, axis=(1, 2)), rtol=1e-6)


def test_heads_come_by_stage_block_and_kernel_with_the_maps_of_the_model(backbone):
    responses = head_responses(nn.ModuleDict(dict(backbone=backbone)), (64, 96))
    assert [(r.stage, r.block, r.kernel_size) for r in responses] == [
        (stage, 0, k) for stage in range(4) for k in (3, 5, 7, 9)
    ]
    sizes, mixers = [], [stage[0].token_mixer for stage in backbone.stages]
    for mixer in mixers:
        mixer.register_forward_hook(lambda _m, x, _y: sizes.append(x[0].shape[-2:]))
    with torch.no_grad():
        backbone(torch.zeros(1, 3, 64, 96))
    assert [r.kernel.shape[1:] for r in responses[::4]] == sizes
    assert responses[0].kernel.shape[0] == 2


def test_effective_response_is_that_of_the_modules_away_from_the_border(backbone):
    mixer = backbone.stages[0][0].token_mixer.double()
    (response,) = (
        r for r in head_responses(backbone, (64, 96)) if r.stage == 0 and r.kernel_size == 9
    )
    height, width = response.grid.height, response.grid.width
    # Bordered with its own other side, the padded convolution of the model is a circular one.
    maps = torch.randn(1, 2, height, width, dtype=torch.double)
    bordered = torch.nn.functional.pad(maps, (4, 4, 4, 4), mode='circular')
    with torch.no_grad():
        u = mixer.convs[3](bordered)[..., 4:-4, 4:-4] - mixer.convs[3].bias[:, None, None]
        s = mixer.srf(torch.cat([torch.zeros(1, 6, height, width), u], dim=1))[:, 6:]
    expected = (torch.fft.fft2(s) / torch.fft.fft2(maps))[0].abs().flatten(1)
    np.testing.assert_allclose(response.effective_response().gain, expected, rtol=1e-6)


def test_deployed_models_have_the_same_response(backbone):
    before = head_responses(backbone, (64, 96))
    backbone.switch_to_deploy()
    after = head_responses(backbone, (64, 96))
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one.kernel, two.kernel, rtol=1e-12)
        np.testing.assert_allclose(one.rescaling, two.rescaling, rtol=1e-12)


def test_models_without_spam_have_no_heads_and_others_are_refused():
    only_attention = dict(SMALL, mixers=('Attention',) * 4, channels=(32,) * 4)
    assert head_responses(SPANetV2(only_attention), (64, 64)) == []
    with pytest.raises(InputError, match='Linear holds no SPANetV2'):
        find_backbone(nn.Linear(1, 1))


def test_local_response_of_a_filter_is_its_response():
    torch.manual_seed(0)
    srf = SpectralRescalingFilter(4, (12, 12)).eval()
    with torch.no_grad():
        srf.filter.normal_()
    srf.requires_grad_(False)
    local = local_response(srf, torch.randn(1, 4, 12, 12, dtype=torch.double), rings=6, probes=200)
    gain = rescaling_gain(srf, (12, 12))
    ring = np.rint(Grid(12, 12, True).radial_frequency() * 6)
    expected = [np.sqrt((gain[:, ring == r] ** 2).mean()) for r in np.unique(ring)]
    np.testing.assert_allclose(local.gain, expected, rtol=0.05)  # of a finite sample of noise
    np.testing.assert_allclose(local.kept, 1)
    np.testing.assert_allclose(local.frequency, np.unique(ring) / 6)


@pytest.mark.parametrize('kind', [SPAM, Attention])
def test_local_response_is_that_of_the_jacobian(kind):
    torch.manual_seed(0)
    mixer = kind(32, (4, 6)).double().eval().requires_grad_(False)
    x = torch.randn(1, 32, 4, 6, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(lambda v: mixer(v[None])[0], x[0]).numpy()
    waves = np.fft.fft2(jacobian, norm='ortho')  # over the input's positions
    answers = np.fft.fft2(waves, axes=(1, 2), norm='ortho')
    ring = np.rint(Grid(4, 6, True).radial_frequency() * 2)
    local = local_response(mixer, x, rings=2, probes=100)
    np.testing.assert_allclose(local.frequency, np.unique(ring) / 2)
    for number, gain, kept in zip(np.unique(ring), local.gain, local.kept, strict=True):
        energy = np.abs(answers[..., ring == number]) ** 2
        expected = energy.sum() / (32 * (ring == number).sum())
        assert gain == pytest.approx(np.sqrt(expected), rel=0.05)  # of a finite sample of noise
        inside = energy[:, ring == number].sum() / energy.sum()
        assert kept == pytest.approx(inside, abs=0.03)


def test_deployed_models_can_be_looked_into(backbone):
    before, image = head_gains(backbone), torch.randn(1, 3, 64, 96)
    maps = modulator_maps(backbone, image)
    backbone.switch_to_deploy()
    for one, two in zip(before, head_gains(backbone), strict=True):
        np.testing.assert_allclose(one.gain, two.gain, rtol=1e-12)
    for one, two in zip(maps, modulator_maps(backbone, image), strict=True):
        np.testing.assert_allclose(one.strength, two.strength, rtol=1e-3)


def test_mixer_inputs_are_what_the_mixers_get():
    hybrid = SPANetV2(HYBRID, input_size=64).eval()
    inputs = mixer_inputs(hybrid, torch.randn(1, 3, 64, 64))
    places = [(0, 0), (1, 0), (2, 0), (2, 1), (3, 0)]
    assert [(i.stage, i.block) for i in inputs] == places
    for item in inputs:
        assert item.mixer is hybrid.stages[item.stage][item.block].token_mixer
        assert item.x.shape == (1, HYBRID['channels'][item.stage], *[16 >> item.stage] * 2)
        assert not item.mixer._forward_pre_hooks
    # Features behind a LayerNorm of weight one.
    assert inputs[2].x.mean(dim=1).abs().max() < 1e-5


def test_depthwise_kernels_by_window():
    hybrid = SPANetV2(HYBRID, input_size=64)
    kernels = depthwise_kernels(hybrid)
    # SPAM: 2 and 4 channels a head; MixAttention: 7 x 7 in two blocks of 32 channels.
    assert {k: len(v) for k, v in kernels.items()} == {3: 6, 5: 6, 7: 70, 9: 6}
    spam = hybrid.stages[0][0].token_mixer
    np.testing.assert_allclose(kernels[9][:2], spam.convs[3].weight.detach()[:, 0])
