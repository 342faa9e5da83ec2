"""Half precision and int8: what is converted, what stays, and how far the results are off."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.deployment.test_export import pytestmark  # noqa: F401

from mmspanet.deployment import export, precision  # isort: skip
from mmspanet.deployment.dft import MatrixSpectralFilter
from mmspanet.deployment.parts import Part
from mmspanet.models import SpectralRescalingFilter


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.srf = MatrixSpectralFilter(SpectralRescalingFilter(8, (8, 8)), (8, 8))
        self.fc_cls = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.fc_cls(self.srf(self.conv(x).relu()))


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def forward(self, images):
        return (self.model(images / 3) + 1000).softmax(dim=1)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    torch.manual_seed(0)
    part = Part('whole', Whole().eval(), dict(images=torch.rand(1, 3, 8, 8)), ['out'])
    path = tmp_path_factory.mktemp('whole') / 'fp32.onnx'
    export.write_onnx(part, path, dict(precision='fp32'))
    return part, path


def test_half_precision(source, tmp_path):
    part, path = source
    target = tmp_path / 'fp16.onnx'
    precision.to_half(path, target)
    assert export.largest_difference(export.open_in_runtime(target), part) < 5e-3
    model = onnx.load(target)
    assert {note.key: note.value for note in model.metadata_props} == dict(precision='fp16')
    types = {value.name: value.data_type for value in model.graph.initializer}
    half = {n.op_type for n in model.graph.node if any(types.get(i) == 10 for i in n.input)}
    assert half == {'Conv'}  # and no product with a matrix of the filter


def test_int8(source, tmp_path):
    part, path = source
    target = tmp_path / 'int8.onnx'
    images = [dict(images=np.random.rand(1, 3, 8, 8).astype(np.float32)) for _ in range(4)]
    precision.to_int8(path, target, images)
    assert export.largest_difference(export.open_in_runtime(target), part) < 0.1
    model = onnx.load(target)
    assert {note.key: note.value for note in model.metadata_props}['precision'] == 'int8'
    quantized = {o for n in model.graph.node if n.op_type == 'DequantizeLinear' for o in n.output}
    layers = [n for n in model.graph.node if n.op_type in ('Conv', 'MatMul')]
    names = {n.name for n in layers if n.input[1] in quantized}
    assert len(names) == 1  # the first convolution; the last one and the filter are float
    assert len(layers) == 6
