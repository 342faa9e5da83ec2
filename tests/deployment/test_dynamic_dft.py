"""The spectral filter for any size, its matrices made on the way: the model's own is the oracle."""

import copy

import pytest
import torch
from torch import nn

from tests.deployment.test_export import ALL_MIXERS, OnlyBackbone
from tests.helpers import assert_close, random_model

from mmspanet.deployment import export, parts  # isort: skip
from mmspanet.deployment.dynamic_dft import DynamicSpectralFilter
from mmspanet.models import ScaledSpectralRescalingFilter


@pytest.mark.parametrize('stored', [(8, 8), (14, 10)])
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (8, 8), (8, 9), (13, 6), (50, 76), (201, 333)])
def test_the_filter_is_the_same_function(size, stored):
    torch.manual_seed(0)
    srf = ScaledSpectralRescalingFilter(3, stored)
    nn.init.normal_(srf.filter, std=2.0)
    nn.init.constant_(srf.alpha, 1.7)
    maps = torch.randn(2, 3, *size)
    with torch.no_grad():
        assert_close([DynamicSpectralFilter(srf)(maps)], [srf(maps)], 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('to', ['onnx', 'openvino'])
def test_one_graph_for_all_sizes(to, tmp_path):
    if to == 'openvino':
        pytest.importorskip('openvino')
    model = OnlyBackbone(random_model(ALL_MIXERS, input_size=64))
    prepared = copy.deepcopy(model)
    parts.prepare(prepared, None)
    (part,) = parts.backbone_parts(prepared, (75, 101), 2)
    kind = export.FORMATS[to]
    path = tmp_path / f'any{kind.suffix}'
    kind.write(part, path, {}, frozenset({'batch', 'size'}))
    run = kind.open(path)
    for size in ((64, 64), (75, 101), (96, 160), (65, 97), (225, 399)):
        (reference,) = parts.backbone_parts(model, size, 1)
        assert export.largest_difference(run, reference) <= export.TOLERANCE


class Strided(nn.Module):
    """Maps of strides 4 to 32, each by one convolution: what a detector needs of a backbone."""

    def __init__(self, channels):
        super().__init__()
        strides = (4, 8, 16, 32)
        self.convs = nn.ModuleList(
            nn.Conv2d(3, width, stride, stride)
            for width, stride in zip(channels, strides, strict=True)
        )

    def forward(self, images):
        return tuple(conv(images) for conv in self.convs)


@pytest.mark.slow
def test_one_detector_for_all_sizes(tmp_path):
    """A whole Mask R-CNN: images of other sizes, each as MMDetection finds it."""
    pytest.importorskip('mmdet')
    from mmspanet.deployment import check
    from tests.deployment.test_end2end import detections, mask_rcnn, predictions, spread_scores

    model = mask_rcnn()
    model.backbone = Strided([conv.conv.in_channels for conv in model.neck.lateral_convs])
    spread_scores(model)
    (part,) = parts.end2end_parts(model, (75, 101), 2)
    path = tmp_path / 'any.onnx'
    export.write_onnx(part, path, {}, frozenset({'batch', 'size'}))
    run = export.open_in_runtime(path)
    for size in ((64, 64), (75, 101), (96, 160), (65, 97), (129, 203)):
        images = torch.randint(256, (1, *size, 3), dtype=torch.uint8)
        sizes = torch.tensor([size])
        mine = detections(run(dict(images=images.numpy(), sizes=sizes.numpy())), 0)
        (expected,) = predictions(model, images, sizes)
        assert len(mine) == len(expected) > 5
        assert check.unmatched(expected, mine) + check.unmatched(mine, expected) == 0
