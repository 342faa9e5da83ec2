"""Grad-CAM of a classifier whose evidence is known."""

import numpy as np
import pytest
import torch
from torch import nn

from mmspanet.analysis.images import Picture
from mmspanet.analysis.inside import grad_cam
from mmspanet.analysis.models import RANDOM, Model, Normalization
from mmspanet.errors import InputError


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
    picture = Picture('a', (255 * image[0]).to(torch.uint8))
    drawing = grad_cam.draw_cams([picture], ['block'], [[cam]])
    assert len(drawing.figure.axes) == 3
    assert len(drawing.rows) == 64


def test_grad_cam_needs_a_classifier(backbone):
    model = Model('detector', backbone, backbone, RANDOM, Normalization(), False, (), 64)
    with pytest.raises(InputError, match='needs a classifier, which detector is not'):
        grad_cam.grad_cam(model, backbone.stages[3][0], torch.randn(1, 3, 64, 64))
