"""Gains of the re-scaling filters."""

import numpy as np
import pytest
import torch
from torch import nn

from mmspanet.analysis.inside import srf_gain
from mmspanet.errors import InputError
from mmspanet.models import SPANetV2

from .conftest import ARCH


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
    drawing = srf_gain.draw_gains(gains)
    assert len(drawing.rows) == 4 * sum(n * n + n // 2 + 1 for n in (56, 28, 14, 7))
    assert len(drawing.figure.axes) == 4 * 5 + 1


def test_models_without_filters_are_refused():
    with pytest.raises(InputError, match='holds no SPANetV2'):
        srf_gain.head_gains(nn.Conv2d(3, 3, 1))
