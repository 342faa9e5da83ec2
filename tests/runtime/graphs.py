"""Small graphs by hand that keep to the contract of export.py --end2end; needs onnx, not torch."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAMES = ('blue', 'green', 'red')
PALETTE = ((10, 20, 250), (20, 240, 30), (230, 30, 40))
SCORES = (0.9, 0.8, 0.7)
BRIGHT = 128


def picture() -> np.ndarray:
    """A green and a red box on a dark ground: (90, 130, 3)."""
    image = np.full((90, 130, 3), 20, np.uint8)
    image[20:50, 30:70, 1] = 200
    image[60:80, 10:100, 2] = 220
    return image


GREEN, RED = [30, 20, 70, 50], [10, 60, 100, 80]  # of the picture


def disc(side: int = 28) -> np.ndarray:
    """Probabilities that fall from the center of a mask to its edge: (side, side)."""
    places = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    return (1 / (1 + np.exp(8 * np.hypot(*np.meshgrid(places, places)) - 6))).astype(np.float32)


def detector(path: Path, masks: bool = True, **notes: object) -> Path:
    """One box per class, around the pixels that are bright in its channel; none where none is."""
    number = numpy_helper.from_array
    constants = dict(
        bright=np.uint8(BRIGHT), one=np.int64(1), none=np.int64(-1), zero=np.float32(0),
        score=np.float32(SCORES), label=np.arange(3), disc=disc()[None, None],
        rows=np.array([1]), columns=np.array([2]), first=np.array([0]), second=np.array([1]),
        last=np.array([-1]), corners=np.array([1, 1, 28, 28]), tail=np.array([1, 1]),
    )  # fmt: skip
    node = helper.make_node
    nodes = [
        node('Greater', ['images', 'bright'], ['is_bright']),
        node('Cast', ['is_bright'], ['found'], to=TensorProto.FLOAT),
        node('ReduceMax', ['found', 'columns'], ['by_row'], keepdims=0),
        node('ReduceMax', ['found', 'rows'], ['by_column'], keepdims=0),
        node('ReduceMax', ['by_row', 'rows'], ['any'], keepdims=0),
        node('Greater', ['any', 'zero'], ['is_there']),
    ]
    for axis, profile in (('x', 'by_column'), ('y', 'by_row')):
        limit = 'second' if axis == 'x' else 'first'
        nodes += [
            node('ArgMax', [profile], [f'{axis}1'], axis=1, keepdims=0),
            node('ArgMax', [profile], [f'{axis}_last'], axis=1, keepdims=0, select_last_index=1),
            node('Add', [f'{axis}_last', 'one'], [f'{axis}_end']),
            node('Gather', ['sizes', limit], [f'{axis}_size'], axis=1),
            node('Min', [f'{axis}_end', f'{axis}_size'], [f'{axis}2']),
        ]
    names = ('x1', 'y1', 'x2', 'y2')
    nodes += [node('Unsqueeze', [name, 'last'], [f'{name}_']) for name in names]
    nodes += [
        node('Concat', [f'{name}_' for name in names], ['corners_of'], axis=-1),
        node('Cast', ['corners_of'], ['boxes'], to=TensorProto.FLOAT),
        node('Where', ['is_there', 'score', 'zero'], ['scores']),
        node('Where', ['is_there', 'label', 'none'], ['labels']),
    ]
    shape = [None, 3]
    outputs = [
        ('boxes', TensorProto.FLOAT, [None, 3, 4]),
        ('scores', TensorProto.FLOAT, shape),
        ('labels', TensorProto.INT64, shape),
    ]
    if masks:
        nodes += [
            node('Unsqueeze', ['any', 'last'], ['any_']),
            node('Unsqueeze', ['any_', 'last'], ['any__']),
            node('Mul', ['any__', 'disc'], ['masks']),
        ]
        outputs.append(('masks', TensorProto.FLOAT, [None, 3, 28, 28]))
    used = {name for one in nodes for name in one.input}
    initializers = [number(np.asarray(v), k) for k, v in constants.items() if k in used]
    return _write(path, nodes, initializers, outputs, dict(task='detection') | notes, sizes=True)


def segmentor(path: Path, **notes: object) -> Path:
    """The brightest channel, each less its mean over the image or window that is given."""
    node = helper.make_node
    nodes = [
        node('Cast', ['images'], ['floats'], to=TensorProto.FLOAT),
        node('Transpose', ['floats'], ['channels'], perm=[0, 3, 1, 2]),
        node('ReduceMean', ['channels', 'both'], ['mean']),
        node('Sub', ['channels', 'mean'], ['centered']),
        node('Mul', ['centered', 'factor'], ['logits']),
        node('Softmax', ['logits'], ['probabilities'], axis=1),
        node('ArgMax', ['probabilities'], ['best'], axis=1, keepdims=0),
        node('Cast', ['best'], ['labels'], to=TensorProto.UINT8),
    ]
    initializers = [
        numpy_helper.from_array(np.array([2, 3]), 'both'),
        numpy_helper.from_array(np.float32(0.02), 'factor'),
    ]
    outputs = [
        ('labels', TensorProto.UINT8, [None, None, None]),
        ('probabilities', TensorProto.FLOAT, [None, 3, None, None]),
    ]
    return _write(path, nodes, initializers, outputs, dict(task='segmentation') | notes)


def classifier(path: Path, **notes: object) -> Path:
    """The channel that is brightest on the average."""
    node = helper.make_node
    nodes = [
        node('Cast', ['images'], ['floats'], to=TensorProto.FLOAT),
        node('ReduceMean', ['floats', 'both'], ['mean'], keepdims=0),
        node('Mul', ['mean', 'factor'], ['logits']),
        node('Softmax', ['logits'], ['probabilities'], axis=1),
    ]
    initializers = [
        numpy_helper.from_array(np.array([1, 2]), 'both'),
        numpy_helper.from_array(np.float32(0.02), 'factor'),
    ]
    outputs = [('probabilities', TensorProto.FLOAT, [None, 3])]
    return _write(path, nodes, initializers, outputs, dict(task='classification') | notes)


MAKERS = dict(detection=detector, segmentation=segmentor, classification=classifier)


def metadata(**notes: object) -> dict[str, str]:
    """The contract's notes, as text."""
    plain = dict(
        part='end2end', channels='BGR', resize=None, divisor=32, size=None, batch=None,
        classes=NAMES, palette=PALETTE, mask_threshold=0.5, window=None, precision='fp32',
        config='by_hand.py', version='0',
    ) | notes  # fmt: skip
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in plain.items()}


def _write(path, nodes, initializers, outputs, notes, sizes=False) -> Path:
    notes = metadata(**notes)
    size, batch = (json.loads(notes[key]) for key in ('size', 'batch'))
    inputs = [
        helper.make_tensor_value_info(
            'images', TensorProto.UINT8, [batch, *(size or (None,) * 2), 3]
        )
    ]
    if sizes:
        inputs.append(helper.make_tensor_value_info('sizes', TensorProto.INT64, [batch, 2]))
    graph = helper.make_graph(
        nodes,
        'by_hand',
        inputs,
        [helper.make_tensor_value_info(*output) for output in outputs],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
    helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    path = Path(path)
    if path.suffix == '.onnx':
        onnx.save(model, path)
        return path
    import openvino

    onnx.save(model, path.with_suffix('.onnx'))
    converted = openvino.convert_model(path.with_suffix('.onnx'))
    for name, text in notes.items():
        converted.set_rt_info(text, ['mmspanet', name])
    openvino.save_model(converted, path, compress_to_fp16=False)
    return path
