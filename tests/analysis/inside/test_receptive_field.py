"""Effective receptive fields: closed forms on small networks."""

import numpy as np
import torch
from torch import nn

from mmspanet.analysis.inside import receptive_field
from mmspanet.analysis.inside.blocks import (
    find_blocks,
    stage_ends,
)


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
    ends = stage_ends(backbone, find_blocks(backbone), image)
    assert list(ends) == ['stages.0.1', 'stages.1.0', 'stages.2.0', 'stages.3.0']
    fields = receptive_field.receptive_fields(backbone, ends, [image])
    assert [f.gradient.shape for f in fields] == [(16, 16)] * 4
    peak = np.unravel_index(fields[0].gradient.argmax(), (16, 16))
    assert np.abs(np.array(peak) - 8).max() <= 1
    assert fields[0].area(0.5) < fields[3].area(0.5)
    drawing = receptive_field.draw_fields(dict(ours=fields))
    assert len(drawing.figure.axes) == 5
    assert len(drawing.rows) == 4 * 16 * 16
    # A network with fewer stages stands below it, and one colorbar beside both.
    drawing = receptive_field.draw_fields(dict(ours=fields, vit=fields[:1]))
    assert len(drawing.figure.axes) == 4 + 1 + 1
