"""Parts to ONNX files, and the files compared with what PyTorch computes."""

import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.export import Dim

from .parts import Part

OPSET = 18  # what PyTorch's exporter writes by itself
TOLERANCE = 1e-4  # max|difference| / max|PyTorch| of each output


def write_onnx(part: Part, path: Path, dynamic_batch: bool, notes: dict[str, str]) -> None:
    """Export ``part`` to ``path``, with ``notes`` in the file's metadata.

    The exporter on torch.export is used, not the one on TorchScript: it turns the deployed
    form's in-place steps into plain ones, refuses a batch size that would be baked in, and
    leaves no arithmetic on shapes in the graph. The number of regions is always free; that of
    images where ``dynamic_batch`` says so, for which the example needs two images or more.
    """
    shapes = [
        {0: Dim('regions' if name == 'rois' else 'batch')}
        if dynamic_batch or name == 'rois'
        else {}
        for name in part.inputs
    ]
    first, *levels = shapes
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the exporter's notes on its own code
        program = torch.onnx.export(
            part.module,
            tuple(part.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=part.outputs,
            dynamic_shapes=(first, tuple(levels)) if levels else (first,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def largest_difference(path: Path, part: Part) -> float:
    """Largest relative difference between onnxruntime's and the part's outputs, on its inputs."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    feeds = {name: value.numpy() for name, value in part.inputs.items()}
    actual = [torch.from_numpy(value) for value in session.run(None, feeds)]
    with torch.no_grad():
        expected = part.module(*part.inputs.values())
    if isinstance(expected, Tensor):
        expected = (expected,)
    return max(
        ((a - e).abs().max() / e.abs().max()).item() for a, e in zip(actual, expected, strict=True)
    )
