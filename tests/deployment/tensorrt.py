"""What TensorRT 10.15 reads: docs/operators.md of github.com/onnx/onnx-tensorrt."""

from collections.abc import Iterator

import onnx

_LISTED = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
    BatchNormalization BlackmanWindow Cast CastLike Ceil Celu Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace DequantizeLinear
    Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements
    GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization GRU HammingWindow HannWindow HardSigmoid HardSwish Hardmax
    Identity If InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual
    Log LogSoftmax Loop LRN LSTM LpNormalization LpPool MatMul Max MaxPool Mean
    MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad
    Pow PRelu QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RMSNormalization
    RNN RoiAlign RotaryEmbedding Round STFT Scan ScatterElements ScatterND Selu Shape Shrink
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze
    Sub Sum Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample
    Where Xor
"""
OPERATORS = frozenset(_LISTED.split())
RESIZES = {b'nearest', b'linear'}


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All steps of a graph, those of its loops and branches included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


def unsupported(model: onnx.ModelProto) -> set[str]:
    """Steps of a model that TensorRT does not read, the list's restrictions on modes included."""
    found = set()
    for node in nodes(model.graph):
        options = {attribute.name: attribute for attribute in node.attribute}
        if node.domain or node.op_type not in OPERATORS:
            found.add(f'{node.domain}.{node.op_type}')
        if node.op_type == 'Resize' and options['mode'].s not in RESIZES:
            found.add(f'Resize {options["mode"].s.decode()}')
        if node.op_type == 'ScatterND' and 'reduction' in options:
            found.add(f'ScatterND {options["reduction"].s.decode()}')
    return found - {'ScatterND none'}
