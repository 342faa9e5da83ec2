"""Files of whole models in half precision and in int8.

Which steps stay in float32 is decided by rule, from the modules that the exporter writes down for
each node of a graph:

- in fp16: LayerNorm, GroupNorm and softmax, the spectral sums, and all that is outside backbone,
  neck and heads: normalisation of images, boxes, NMS;
- in int8: all but convolutions and products with weights; of these the spectral sums, and the last
  layer of each head, whose outputs are scores and coordinates.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmspanet.runtime.session import openvino_core

from .export import set_notes

Feeds = dict[str, np.ndarray]

# Steps that half precision does not harm, inside backbone, neck and heads.
_HALF = (
    'Add Clip Concat Conv ConvTranspose Div Erf Gemm MatMul Mul Relu Reshape Split Sub Transpose'
)
HALF = frozenset(_HALF.split())
LAYERS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
OPENVINO_LAYERS = ('Convolution', 'GroupConvolution', 'ConvolutionBackpropData', 'MatMul')
_LAST = re.compile(r'(_cls|_reg|_logits|_seg|_centerness|head\.fc)(\.\d+)?$')
_SPECTRAL = 'SpectralFilter'


def module_of(node: Any) -> tuple[str, str]:
    """Path of the module that a node is of, and the whole path with its classes; may be empty."""
    notes = {note.key: note.value for note in node.metadata_props}
    namespace = notes.get('namespace', '')
    steps = namespace.split('/')
    return (steps[-2].partition(':')[0].strip() if len(steps) > 1 else ''), namespace


def with_inner(node: Any) -> Iterator[Any]:
    """A node and the nodes of the graphs inside it."""
    yield node
    for attribute in node.attribute:
        if attribute.HasField('g'):
            for inner in attribute.g.node:
                yield from with_inner(inner)


def stays_float32(node: Any) -> bool:
    """Whether a node is computed in float32 in a file of fp16."""
    module, namespace = module_of(node)
    inside = module.startswith(('model.', 'boxes.', 'masks.'))
    return node.op_type not in HALF or not inside or _SPECTRAL in namespace


def stays_float(node: Any) -> bool:
    """Whether a layer is computed in float32 in a file of int8."""
    module, namespace = module_of(node)
    return _SPECTRAL in namespace or not module or bool(_LAST.search(module))


def to_half(source: Path, target: Path) -> None:
    """Write an ONNX file in half precision, with float32 inputs and outputs.

    Values go from one step in float32 to the next as they are: only the borders between the two
    precisions have casts. (onnxconverter-common rounds behind each step that it leaves in float32.)
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    graph = model.graph
    constants = {value.name: value for value in graph.initializer}
    typed = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in typed}
    types |= {name: value.data_type for name, value in constants.items()}
    half = {
        node.name
        for node in graph.node
        if not stays_float32(node) and all(types.get(o) == TensorProto.FLOAT for o in node.output)
    }
    made_half = {name for node in graph.node if node.name in half for name in node.output}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[Any] = []

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            casts[name, to] = f'{name}_as_{TensorProto.DataType.Name(to).lower()}'
            if to == TensorProto.FLOAT16 and name in constants:
                value = numpy_helper.to_array(constants[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(value, casts[name, to]))
            else:
                nodes.append(
                    helper.make_node('Cast', [name], [casts[name, to]], casts[name, to], to=to)
                )
        return casts[name, to]

    for node in graph.node:
        in_half = node.name in half
        for each in with_inner(node):
            for i, name in enumerate(each.input):
                if in_half and types.get(name) == TensorProto.FLOAT and name not in made_half:
                    each.input[i] = cast(name, TensorProto.FLOAT16)
                elif not in_half and name in made_half:
                    each.input[i] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    for output in graph.output:
        if output.name in made_half:
            inner = f'{output.name}_in_half'
            for node in nodes:
                for names in (node.input, node.output):
                    for i, name in enumerate(names):
                        if name == output.name:
                            names[i] = inner
            nodes.append(helper.make_node('Cast', [inner], [output.name], to=TensorProto.FLOAT))
    used = {name for node in nodes for each in with_inner(node) for name in each.input}
    kept = [value for value in graph.initializer if value.name in used]
    for field, values in ((graph.node, nodes), (graph.initializer, kept), (graph.value_info, [])):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    _save(model, target, 'fp16')


def to_int8(source: Path, target: Path, images: Iterable[Feeds]) -> None:
    """Write an ONNX file with quantized layers (QDQ), calibrated on ``images``."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(images)

        def get_next(self) -> Feeds | None:
            return next(self.feeds, None)

    model = onnx.load(source)
    layers = [node for node in model.graph.node if node.op_type in LAYERS]
    quantize_static(
        model,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LAYERS),
        nodes_to_exclude=[node.name for node in layers if stays_float(node)],
        per_channel=True,
    )
    _save(onnx.load(target), target, 'int8')


def _save(model: Any, path: Path, precision: str) -> None:
    import onnx

    for note in model.metadata_props:
        if note.key == 'precision':
            note.value = precision
    onnx.checker.check_model(model)
    onnx.save(model, path)


def openvino_to_int8(
    source: Path, target: Path, notes: dict[str, str], images: Iterable[Feeds]
) -> None:
    """Write an ONNX file as OpenVINO's, its layers quantized by NNCF on ``images``."""
    import nncf
    import onnx
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        # Read anew, a model has no steps that lead nowhere, at which NNCF 3.4 fails.
        clean = Path(folder) / 'model.xml'
        openvino.save_model(openvino.convert_model(source), clean, compress_to_fp16=False)
        model = openvino_core().read_model(clean, config={'ENABLE_MMAP': False})
    layers = [node for node in onnx.load(source).graph.node if node.op_type in LAYERS]
    names = {op.get_friendly_name() for op in model.get_ops()}
    floating = {name for node in layers if stays_float(node) for name in (node.name, *node.output)}
    quantized = nncf.quantize(
        model,
        nncf.Dataset(list(images)),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=sorted(floating & names)),
    )
    _save_openvino(quantized, target, notes | dict(precision='int8'), half=False)


def openvino_to_half(source: Path, target: Path, notes: dict[str, str]) -> None:
    """Write an ONNX file as OpenVINO's, with weights in half precision.

    By itself OpenVINO keeps in float32 all that a shape depends on. In a detector that is every
    weight in front of the choice of detections, whose number is a shape.
    """
    import openvino
    from openvino import opset13

    model = openvino.convert_model(source)
    for layer in model.get_ops():
        if layer.get_type_name() not in OPENVINO_LAYERS:
            continue
        for weight in layer.input_values():
            constant = weight.get_node()
            if constant.get_type_name() == 'Constant' and constant.data.dtype == np.float32:
                half = opset13.convert(opset13.constant(constant.data.astype(np.float16)), 'f32')
                for reader in weight.get_target_inputs():
                    reader.replace_source_output(half.output(0))
    _save_openvino(model, target, notes | dict(precision='fp16'), half=True)


def _save_openvino(model: Any, path: Path, notes: dict[str, str], half: bool) -> None:
    import openvino

    set_notes(model, notes)
    openvino.save_model(model, path, compress_to_fp16=half)
