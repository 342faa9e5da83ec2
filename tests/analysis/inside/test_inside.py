"""Filters' gains, modulators, receptive fields and Grad-CAM: closed forms on small models."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmspanet.analysis.inside import grad_cam, modulators, receptive_field, srf_gain
from mmspanet.analysis.inside.blocks import as_map, find_blocks, token_grid
from mmspanet.analysis.models import RANDOM, Model, Normalization
from mmspanet.errors import InputError
from mmspanet.models import SPANetV2

ARCH = dict(depths=(2, 1, 1, 1), channels=(8, 16, 24, 32))


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    model = SPANetV2(arch=ARCH | dict(mixers=('SPAM', 'SPAM', 'SPAM', 'Attention')), input_size=64)
    return model.eval().requires_grad_(False)


# Filters ------------------------------------------------------------------------------------


def test_gain_of_filters_set_by_hand(backbone):
    """Raw values that grow with the radius in head 2 only: 0.5 elsewhere, the curve there."""
    with torch.no_grad():
        for block in backbone.stages[0]:
            srf = block.token_mixer.srf
            srf.filter.zero_()
            y, x = torch.fft.fftfreq(16)[:, None], torch.fft.rfftfreq(16)[None]
            srf.filter[2:4] = 8 * torch.hypot(y, x) - 2
    gains = srf_gain.head_gains(backbone)
    assert [(g.stage, g.head) for g in gains] == [(s, h) for s in (1, 2, 3) for h in (1, 2, 3, 4)]
    assert [g.kernel_size for g in gains[:4]] == [3, 5, 7, 9]
    assert gains[0].gain.shape == (16, 16)
    np.testing.assert_allclose(gains[0].gain, 0.5, atol=1e-6)
    y, x = np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)[None]
    expected = 1 / (1 + np.exp(2 - 8 * np.hypot(y, x)))
    np.testing.assert_allclose(gains[1].gain, expected, atol=1e-6)
    np.testing.assert_allclose(gains[1].spread, 0, atol=1e-6)
    assert srf_gain.color_limit(gains[:4]) == pytest.approx(np.abs(expected - 0.5).max(), abs=1e-6)


def test_gains_are_of_the_stored_size():
    """56, 28, 14 and 7 positions, the odd side included."""
    gains = srf_gain.head_gains(SPANetV2(arch=ARCH))
    assert [g.gain.shape for g in gains[::4]] == [(n, n) for n in (56, 28, 14, 7)]
    assert all(abs(g.gain - 0.5).max() < 0.02 for g in gains)
    rows = srf_gain.table(gains)
    assert len(rows) == 4 * sum(n * n + n // 2 + 1 for n in (56, 28, 14, 7))
    figure = srf_gain.draw_gains(gains)
    assert len(figure.axes) == 4 * 5 + 1


def test_models_without_filters_are_refused():
    with pytest.raises(InputError, match='holds no SPANetV2'):
        srf_gain.head_gains(nn.Conv2d(3, 3, 1))
    with pytest.raises(InputError, match='no SPAM'):
        modulators.modulator_maps(
            SPANetV2(arch=ARCH | dict(channels=(32,) * 4, mixers=('Attention',) * 4)),
            torch.randn(1, 3, 64, 64),
        )


# Modulators ---------------------------------------------------------------------------------


def test_modulator_is_what_multiplies_the_query(backbone):
    """proj gets q * m: dividing its input by q gives m back."""
    spam = backbone.stages[0][1].token_mixer
    caught = {}
    handles = [
        spam.query.register_forward_hook(lambda *a: caught.update(q=F.gelu(a[2]))),
        spam.proj.register_forward_pre_hook(lambda _, inputs: caught.update(product=inputs[0])),
    ]
    image = torch.randn(1, 3, 64, 64)
    maps = modulators.modulator_maps(backbone, image)
    for handle in handles:
        handle.remove()
    assert [(m.stage, m.block) for m in maps] == [(1, 2), (2, 1), (3, 1)]
    m = caught['product'].double() / caught['q'].double()
    np.testing.assert_allclose(maps[0].strength, m[0].square().mean(0).sqrt(), rtol=1e-3)
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    assert len(modulators.draw_modulators([picture], ['a'], [maps]).axes) == 4 + 3
    assert len(modulators.table(['a'], [maps])) == 16**2 + 8**2 + 4**2


# Receptive fields ---------------------------------------------------------------------------


class Smoothing(nn.Module):
    """Convolutions of ones, one after the other, one channel."""

    def __init__(self, layers: int):
        super().__init__()
        self.convs = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(layers)))
        for conv in self.convs:
            nn.init.ones_(conv.weight)

    def forward(self, x):
        return self.convs(x)


def test_field_of_box_filters_is_the_binomial():
    """Two boxes of 3 make the triangle 1 2 3 2 1 along each axis."""
    model = Smoothing(2)
    images = [torch.randn(1, 1, 15, 15) for _ in range(2)]
    first, second = receptive_field.receptive_fields(
        model, {'convs.0': model.convs[0], 'convs.1': model.convs[1]}, images, cell=1
    )
    triangle = np.zeros(15)
    triangle[5:10] = np.array([1, 2, 3, 2, 1]) / 3
    np.testing.assert_allclose(second.gradient, np.outer(triangle, triangle), atol=1e-6)
    box = np.zeros(15)
    box[6:9] = 1
    np.testing.assert_allclose(first.gradient, np.outer(box, box), atol=1e-6)
    # The box spreads its energy over 9 cells; of the triangle, 9 ** 2 / 19 ** 2 is in the middle.
    assert [first.area(share) for share in (0.1, 0.2, 1.0)] == [1 / 225, 2 / 225, 9 / 225]
    assert second.area(81 / 361) == 1 / 225
    assert second.area(1.0) == 25 / 225


def test_field_behind_a_layer_norm():
    """The plain sum over channels is a constant there; random signs are not blind to it."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(1, 8), nn.LayerNorm([8, 8, 8])
    )
    field = receptive_field.receptive_fields(
        model, {'2': model[2]}, [torch.randn(1, 3, 8, 8)], cell=1
    )[0]
    assert field.gradient.max() == 1
    assert (field.gradient > 1e-3).mean() > 0.9


def test_fields_of_a_backbone(backbone):
    image = torch.randn(1, 3, 64, 64)
    ends = receptive_field.stage_ends(backbone, find_blocks(backbone), image)
    assert list(ends) == ['stages.0.1', 'stages.1.0', 'stages.2.0', 'stages.3.0']
    fields = receptive_field.receptive_fields(backbone, ends, [image])
    assert [f.gradient.shape for f in fields] == [(16, 16)] * 4
    peak = np.unravel_index(fields[0].gradient.argmax(), (16, 16))
    assert np.abs(np.array(peak) - 8).max() <= 1
    assert fields[0].area(0.5) < fields[3].area(0.5)
    assert len(receptive_field.draw_fields(dict(ours=fields)).axes) == 5
    assert len(receptive_field.table(dict(ours=fields))) == 4 * 16 * 16


# Grad-CAM -----------------------------------------------------------------------------------


class Bright(nn.Module):
    """Class 1 is the mean of channel 1 of the block's output, which is the image's red channel."""

    def __init__(self):
        super().__init__()
        self.block = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.block.weight.copy_(torch.tensor([[0.0, 1, 0], [1, 0, 0]])[:, :, None, None])

    def forward(self, x):
        return self.block(x).mean(dim=(2, 3))


def test_grad_cam_finds_the_evidence():
    pytest.importorskip('pytorch_grad_cam')
    network = Bright().requires_grad_(False)
    model = Model('bright', network, network, RANDOM, Normalization(), True, ('green', 'red'), 32)
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, 8:16, 20:28] = 1
    cam = grad_cam.grad_cam(model, network.block, image)
    assert cam.label == 'red'
    mean = 64 / 32**2
    assert cam.probability == pytest.approx(np.exp(mean) / (1 + np.exp(mean)))
    np.testing.assert_allclose(cam.strength, image[0, 0, 2::4, 2::4], atol=1e-5)
    picture = (255 * image[0]).to(torch.uint8)
    assert len(grad_cam.draw_cams([picture], ['a'], ['block'], [[cam]]).axes) == 3
    assert len(grad_cam.table(['a'], ['block'], [[cam]])) == 64


def test_grad_cam_needs_a_classifier(backbone):
    model = Model('detector', backbone, backbone, RANDOM, Normalization(), False, (), 64)
    with pytest.raises(InputError, match='needs a classifier, and detector is none'):
        grad_cam.grad_cam(model, backbone.stages[3][0], torch.randn(1, 3, 64, 64))


# Maps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('shape', 'image', 'expected'),
    [
        ((2, 8, 16, 12), (64, 48), (2, 8, 16, 12)),
        ((2, 16, 12, 8), (64, 48), (2, 8, 16, 12)),
        ((2, 14 * 14 + 1, 8), (224, 224), (2, 8, 14, 14)),
        ((2, 7 * 7, 8), (224, 224), (2, 8, 7, 7)),
        ((2, 16 * 12 + 5, 8), (256, 192), (2, 8, 16, 12)),
        ((2, 8 * 7, 8), (250, 220), (2, 8, 8, 7)),  # padded to whole patches of 32
    ],
)
def test_outputs_as_maps(shape, image, expected):
    assert as_map(torch.zeros(shape), image).shape == expected


def test_tokens_keep_their_place():
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    tokens = maps.flatten(2).transpose(1, 2)
    with_class_token = torch.cat([torch.full((2, 1, 3), -1), tokens], dim=1)
    assert as_map((with_class_token, 'more'), (64, 96)).equal(maps)
    assert as_map(maps.permute(0, 2, 3, 1), (64, 96)).equal(maps)


def test_what_is_no_map_is_refused():
    with pytest.raises(InputError, match='neither maps nor tokens'):
        as_map(torch.zeros(2, 10), (64, 64))
    with pytest.raises(InputError, match='fit no grid'):
        token_grid(100 - 16 - 1 + 900, (64, 64))


def test_blocks_by_class_and_by_path():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), nn.ReLU()))
    with pytest.raises(InputError, match='no block told by its class'):
        find_blocks(model)
    assert list(find_blocks(model, r'1\.\d')) == ['1.0', '1.1']
    with pytest.raises(InputError, match='no block at'):
        find_blocks(model, 'x')
