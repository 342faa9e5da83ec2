"""Modulators over an image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmspanet.analysis.images import Picture
from mmspanet.analysis.inside import modulators
from mmspanet.errors import InputError
from mmspanet.models import SPANetV2

from .conftest import ARCH


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
    picture = Picture('a', torch.zeros(3, 64, 64, dtype=torch.uint8))
    drawing = modulators.draw_modulators([picture], [maps])
    assert len(drawing.figure.axes) == 4 + 3
    assert [row['root mean square of m'] for row in drawing.rows] == [
        pytest.approx(value, abs=1e-6) for m in maps for value in m.strength.flat
    ]


def test_models_without_modulators_are_refused():
    with pytest.raises(InputError, match='no SPAM'):
        modulators.modulator_maps(
            SPANetV2(arch=ARCH | dict(channels=(32,) * 4, mixers=('Attention',) * 4)),
            torch.randn(1, 3, 64, 64),
        )
