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
from mmspanet.runtime.session import openvino_core


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


# The number of its results depends on its weights, as that of a detector's boxes does.
CHOOSING = """
<ir_version: 8, opset_import: ["": 18]>
choosing (float[1, 3, 8, 8] images, float[64, 3, 3, 3] kernels) => (float[N] out) {
    maps = Conv (images, kernels)
    axes = Constant <value_ints = [0, 2, 3]> ()
    means = ReduceMean <keepdims = 0> (maps, axes)
    zero = Constant <value_float = 0.0> ()
    above = Greater (means, zero)
    ones = Cast <to = 7> (above)
    first = Constant <value_ints = [0]> ()
    number = ReduceSum (ones, first)
    out, places = TopK (means, number)
}
"""


def test_weights_that_a_shape_depends_on_are_stored_in_half(tmp_path):
    pytest.importorskip('openvino')
    random = np.random.default_rng(0)
    kernels, images = (
        random.standard_normal(shape).astype(np.float32) for shape in ((64, 3, 3, 3), (1, 3, 8, 8))
    )
    model = onnx.parser.parse_model(CHOOSING)
    del model.graph.input[1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(kernels, 'kernels'))
    onnx.save(model, tmp_path / 'fp32.onnx')
    precision.openvino_to_half(tmp_path / 'fp32.onnx', tmp_path / 'fp16.xml', {})
    half = openvino_core().read_model(tmp_path / 'fp16.xml')
    constants = [op.data for op in half.get_ops() if op.get_type_name() == 'Constant']
    assert [data.dtype for data in constants if data.size == kernels.size] == [np.float16]
    compiled = openvino_core().compile_model(half, 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))
    (found,) = compiled([images]).values()
    (expected,) = export.open_in_runtime(tmp_path / 'fp32.onnx')(dict(images=images))
    assert 0 < len(expected) < 64
    np.testing.assert_allclose(found, expected, atol=5e-3)
