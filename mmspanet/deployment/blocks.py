"""Detectors for images of any size: padded in front of a graph whose sides count blocks of pixels.

A detector pads its images to sides of whole blocks, 32 pixels as a rule. With the images' own sides
PyTorch's exporter carries that rounding through every shape of the graph, which takes it minutes
for a small model; with the number of blocks, every side is a product.
"""

import copy
from typing import Any

import numpy as np
from torch import Tensor, nn

from .parts import Part


class FromBlocks(nn.Module):
    """A whole detector that takes its images in blocks: (B, rows, size, columns, size, 3)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.normalize.divisor = 1

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """The detector's outputs for images of (rows size, columns size) pixels."""
        batch, rows, height, columns, width, channels = images.shape
        return self.model(images.reshape(batch, rows * height, columns * width, channels), sizes)


def in_blocks(part: Part, size: int) -> Part:
    """A whole detector that takes images in blocks of ``size`` pixels a side."""
    images = part.inputs['images']
    batch, height, width, channels = images.shape
    rows, columns = -(-height // size), -(-width // size)
    blocks = images.new_zeros(batch, rows, size, columns, size, channels)
    return Part(part.name, FromBlocks(part.module), part.inputs | dict(images=blocks), part.outputs)


def take_images(model: Any, size: int) -> None:
    """Let the graph of :func:`in_blocks` take images (B, H, W, 3) and pad them below and right.

    Args:
        model: The ``onnx.ModelProto``, which is changed.
        size: Of the blocks.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    (blocks,) = [value for value in graph.input if value.name == 'images']
    for node in graph.node:
        names = ['images_in_blocks' if name == 'images' else name for name in node.input]
        node.input[:] = names
    batch = blocks.type.tensor_type.shape.dim[0]
    shape = [batch.dim_param or batch.dim_value, 'height', 'width', 3]
    images = helper.make_tensor_value_info('images', blocks.type.tensor_type.elem_type, shape)
    blocks.CopyFrom(images)
    constants = dict(one=[1], three=[3], size=[size], zeros=[0] * 5, zero=[0], ends=[size, 3])
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), f'blocks_{name}')
        for name, value in constants.items()
    )
    steps = [
        ('Shape', ['images'], 'shape'),
        ('Slice', ['shape', 'one', 'three'], 'sides'),  # height and width
        ('Neg', ['sides'], 'negative'),
        ('Mod', ['negative', 'size'], 'missing'),
        ('Concat', ['zeros', 'missing', 'zero'], 'pads'),
        ('Pad', ['images', 'pads'], 'padded'),
        ('Add', ['sides', 'missing'], 'whole'),
        ('Div', ['whole', 'size'], 'counts'),
        ('Split', ['counts'], 'rows columns'),
        ('Concat', ['zero', 'rows', 'size', 'columns', 'ends'], 'target'),
        ('Reshape', ['padded', 'target'], 'images_in_blocks'),
    ]
    outer = {'images', 'images_in_blocks'}
    nodes = []
    for kind, inputs, outputs in steps:
        inner, results = (
            [name if name in outer else f'blocks_{name}' for name in names]
            for names in (inputs, outputs.split())
        )
        options: dict[str, Any] = dict(Concat=dict(axis=0), Split=dict(num_outputs=2)).get(kind, {})
        nodes.append(helper.make_node(kind, inner, results, f'blocks_{results[0]}', **options))
    behind = [copy.deepcopy(node) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*nodes, *behind])
