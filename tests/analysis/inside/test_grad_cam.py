"""Grad-CAM and its kin, of networks whose evidence is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mmspanet.analysis.images import Picture
from mmspanet.analysis.inside import grad_cam
from mmspanet.analysis.inside.findings import Finding, findings, why_none
from mmspanet.analysis.models import RANDOM, Model, Normalization
from mmspanet.errors import InputError

SIDE = 32


def block() -> nn.Conv2d:
    """Its channel 0 is the image's green, channel 1 the red."""
    conv = nn.Conv2d(3, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[0.0, 1, 0], [1, 0, 0]])[:, :, None, None])
    return conv


def image_of(*squares: tuple[int, int, int, int, int]) -> torch.Tensor:
    """Ones in squares of one channel each: channel, top, bottom, left, right."""
    image = torch.zeros(1, 3, SIDE, SIDE)
    for channel, top, bottom, left, right in squares:
        image[:, channel, top:bottom, left:right] = 1
    return image


def model_of(network: nn.Module, is_classifier: bool = False) -> Model:
    network.requires_grad_(False)
    return Model(
        'toy', network, network, 'toy.pth', Normalization(), is_classifier, ('green', 'red'), SIDE
    )


class Classifier(nn.Module):
    """Class 1 is the mean of channel 1 of the block's output."""

    def __init__(self):
        super().__init__()
        self.block = block()

    def forward(self, x):
        return self.block(x).mean(dim=(2, 3))


class Segmentor(nn.Module):
    """Logits of green and red at every second pixel."""

    def __init__(self):
        super().__init__()
        self.block = block()
        self.decode_head = nn.Identity()

    def forward(self, x, mode):
        assert mode == 'tensor'
        return 4 * nn.functional.avg_pool2d(self.block(x), 2)


class Detector(nn.Module):
    """Two boxes, the less sure one first; a box's logits are the means of the colors inside."""

    boxes = torch.tensor([[4.0, 20, 12, 28], [20, 8, 28, 16], [0, 0, 4, 4]])
    labels = torch.tensor([0, 1, 0])
    scores = torch.tensor([0.6, 0.9, 0.1])

    def __init__(self):
        super().__init__()
        extractors = pytest.importorskip('mmdet.models.roi_heads.roi_extractors')
        self.block = block()
        self.roi_head = nn.Module()
        self.roi_head.with_shared_head = False
        self.roi_head.bbox_roi_extractor = extractors.SingleRoIExtractor(
            dict(type='RoIAlign', output_size=8, sampling_ratio=1), 2, [1]
        )
        head = nn.Module()
        head.forward = lambda regions: (regions.mean(dim=(2, 3)), None)
        self.roi_head.bbox_head = nn.ModuleList([nn.Identity(), head])  # as a cascade has them

    def extract_feat(self, x):
        return (self.block(x), None)

    def forward(self, x, samples, mode):
        assert mode == 'predict'
        assert samples[0].scale_factor == (1.0, 1.0)
        found = SimpleNamespace(bboxes=self.boxes, labels=self.labels, scores=self.scores)
        return [SimpleNamespace(pred_instances=found)]


@pytest.fixture(autouse=True)
def package():
    pytest.importorskip('pytorch_grad_cam')


def test_the_evidence_of_a_class():
    network = Classifier()
    image = image_of((0, 8, 16, 20, 28))
    likely, other = findings(model_of(network, is_classifier=True), image, 5)
    assert (likely.label, other.label) == ('red', 'green')
    mean = 64 / SIDE**2
    assert likely.score == pytest.approx(np.exp(mean) / (1 + np.exp(mean)))
    assert not likely.has_place
    cam = grad_cam.grad_cam(likely, network.block, image)
    assert cam.method == 'grad-cam'
    np.testing.assert_allclose(cam.strength, image[0, 0, 2::4, 2::4], atol=1e-5)
    picture = Picture('a', (255 * image[0]).to(torch.uint8))
    drawing = grad_cam.draw_cams(['block'], [grad_cam.Explained(picture, [cam])])
    assert len(drawing.figure.axes) == 3
    assert len(drawing.rows) == 64


def test_the_evidence_of_a_box_is_in_it():
    """Red lies in another place, too, where Grad-CAM's one mean finds it, and HiResCAM does not."""
    network = Detector()
    image = image_of((0, 8, 16, 20, 28), (0, 0, 4, 0, 4), (1, 20, 28, 4, 12))
    surest, second = findings(model_of(network), image, 3)
    assert [(f.label, round(f.score, 2)) for f in (surest, second)] == [
        ('red', 0.9),
        ('green', 0.6),
    ]
    expected = np.zeros((SIDE, SIDE), bool)
    expected[8:16, 20:28] = True
    np.testing.assert_array_equal(surest.region, expected)
    np.testing.assert_allclose(surest.explained(surest.network(image)[0]), 1, atol=1e-6)
    cam = grad_cam.grad_cam(surest, network.block, image)
    assert cam.method == 'hires-cam'
    np.testing.assert_allclose(cam.strength, expected[2::4, 2::4], atol=1e-5)
    assert cam.share_inside == pytest.approx(1)
    plain = grad_cam.grad_cam(surest, network.block, image, 'grad-cam')
    assert plain.strength[0, 0] == pytest.approx(1)
    assert plain.share_inside == pytest.approx(64 / 80)


def test_the_evidence_of_a_region_is_its_pixels():
    network = Segmentor()
    image = image_of((0, 0, 20, 0, 32), (1, 20, 32, 0, 32))
    image[:, 0, 24:28, 8:12] = 0.5  # red where it is less than the green
    largest, smaller = findings(model_of(network), image, 2)
    assert (largest.label, smaller.label) == ('red', 'green')
    assert largest.region[:19].all()
    assert not largest.region[21:].any()
    probability = torch.softmax(torch.tensor([0.0, 4]), 0)[1].item()
    assert largest.score == pytest.approx(probability, abs=0.02)
    cam = grad_cam.grad_cam(largest, network.block, image)
    np.testing.assert_allclose(cam.strength[:4], 1, atol=1e-5)
    np.testing.assert_allclose(cam.strength[6:], 0, atol=1e-5)


@pytest.mark.parametrize('method', sorted(grad_cam.METHODS))
def test_every_method_finds_the_box(method):
    network = Detector()
    image = image_of((0, 8, 16, 20, 28))
    finding = findings(model_of(network), image)[0]
    cam = grad_cam.grad_cam(finding, network.block, image, method)
    np.testing.assert_allclose(cam.strength, image[0, 0, 2::4, 2::4], atol=1e-5)


def test_methods_of_the_command_are_those_of_the_module():
    from tools.analysis_tools import inside

    assert set(inside.CAM_METHODS) == set(grad_cam.METHODS)


def test_other_models_have_nothing_to_explain(backbone):
    model = Model('backbone', backbone, backbone, RANDOM, Normalization(), False, (), 64)
    assert why_none(model) is not None
    with pytest.raises(InputError, match='SPANetV2 is no classifier, no segmentor and no detector'):
        findings(model, torch.randn(1, 3, 64, 64))


def test_an_image_without_a_detection_has_no_finding():
    network = Detector()
    network.scores = torch.full((3,), 0.1)
    assert findings(model_of(network), image_of()) == []


def test_share_inside_by_hand():
    region = np.zeros((16, 16), bool)
    region[:8] = True
    finding = Finding('a', 1.0, region, nn.Identity(), lambda x: x)
    strength = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    assert grad_cam.Activation(finding, 'grad-cam', strength).share_inside == 0.25
