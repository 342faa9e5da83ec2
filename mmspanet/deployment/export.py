"""Parts to files of a format, and the files opened again to be compared with PyTorch."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from mmspanet.runtime.session import open_session

from . import blocks, nms
from .parts import Part

OPSET = 18  # what PyTorch's exporter writes by itself
TOLERANCE = 1e-4  # max|difference| / max|PyTorch| of each output of a part

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]  # inputs by name to outputs in order


def free_sides(part: Part, dynamic: frozenset[str]) -> dict[str, dict[int, Any]]:
    """The free sides of each input: the number of regions always, others as ``dynamic`` says.

    Args:
        part: The part; its example needs two images or more where their number is free.
        dynamic: Of ``'batch'`` and ``'size'``.
    """
    batch = Dim('batch')
    free: dict[str, dict[int, Any]] = {}
    for name, value in part.inputs.items():
        first = Dim('regions') if name == 'rois' else batch
        free[name] = {0: first} if 'batch' in dynamic or name == 'rois' else {}
        if 'size' in dynamic and name == 'images':
            # Not Dim(...), which refuses guards that it can not prove for all sizes.
            free[name] |= dict.fromkeys(_sides(value), Dim.DYNAMIC)
    return free


def _sides(images: Tensor) -> tuple[int, int]:
    """Where the height and the width of images are, or the numbers of their blocks."""
    if images.ndim == 6:
        return 1, 3
    return (1, 2) if images.dtype == torch.uint8 else (2, 3)


def trace(part: Part, dynamic: frozenset[str] = frozenset()) -> ExportedProgram:
    """The part's graph by torch.export, see :func:`free_sides`."""
    first, *others = free_sides(part, dynamic).values()
    shapes = (first, tuple(others)) if 'rois' in part.inputs else (first, *others)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the exporter's notes on its own code
        return torch.export.export(
            part.module.eval(), tuple(part.inputs.values()), dynamic_shapes=shapes
        )


def write_onnx(
    part: Part, path: Path, notes: dict[str, str], dynamic: frozenset[str] = frozenset()
) -> None:
    """Export ``part`` to ``path``, with ``notes`` in the file's metadata.

    The exporter on torch.export is used, not the one on TorchScript: it turns the deployed
    form's in-place steps into plain ones, refuses a batch size that would be baked in, and
    leaves no arithmetic on shapes in the graph.
    """
    import onnx

    whole: Any = part.module
    # A whole detector pads its images.
    pads = 'size' in dynamic and 'sizes' in part.inputs and whole.normalize.divisor > 1
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            trace(blocks.in_blocks(part, whole.normalize.divisor) if pads else part, dynamic),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=part.outputs,
            custom_translation_table=nms.translations(),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    if pads:
        blocks.take_images(model, whole.normalize.divisor)
    _name_sides(model, part)
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _name_sides(model: Any, part: Part) -> None:
    """Names of free sides that say what is counted, where the exporter numbers them."""
    names: dict[str, str] = {}
    for value in model.graph.input:
        if value.name == 'images':
            sides = value.type.tensor_type.shape.dim
            places = _sides(part.inputs['images'])
            for place, name in zip(places, ('height', 'width'), strict=True):
                names |= {sides[place].dim_param: name} if sides[place].dim_param else {}
    for value in (*model.graph.input, *model.graph.output):
        for side in value.type.tensor_type.shape.dim:
            counted = side.dim_param.startswith('u') and side.dim_param[1:].isdigit()
            name = 'detections' if counted else names.get(side.dim_param, side.dim_param)
            if name:
                side.dim_param = name


def open_in_runtime(path: Path) -> Run:
    """Open an .onnx or .xml file on the CPU, as :mod:`mmspanet.runtime` does."""
    session = open_session(path)

    def run(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        found = session.run(feeds)
        return [found[name] for name in session.outputs]

    return run


def write_openvino(
    part: Part, path: Path, notes: dict[str, str], dynamic: frozenset[str] = frozenset()
) -> None:
    """Export ``part`` to OpenVINO's ``path`` and the .bin file beside it, float32; by way of ONNX.

    The notes are in the section ``mmspanet`` of the file's ``rt_info``.
    """
    import openvino

    onnx_path = path.with_suffix('.tmp.onnx')
    try:
        write_onnx(part, onnx_path, {}, dynamic)
        model = openvino.convert_model(onnx_path)
    finally:
        onnx_path.unlink(missing_ok=True)
    set_notes(model, notes)
    openvino.save_model(model, path, compress_to_fp16=False)


def set_notes(model: Any, notes: dict[str, str]) -> None:
    """Put the notes into a model of OpenVINO."""
    for key, value in notes.items():
        model.set_rt_info(value, ['mmspanet', key])


def write_aoti(
    part: Part, path: Path, notes: dict[str, str], dynamic: frozenset[str] = frozenset()
) -> None:
    """Compile ``part`` by AOTInductor for the CPU to ``path``, a .pt2 file with the notes in it."""
    from torch._inductor import aoti_compile_and_package

    aoti_compile_and_package(
        trace(part, dynamic),
        package_path=str(path),
        inductor_configs={'aot_inductor.metadata': notes},
    )


def open_aoti(path: Path) -> Run:
    """Open a file of :func:`write_aoti` in this process."""
    model = torch._inductor.aoti_load_package(str(path))

    def run(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            found = model(*map(torch.from_numpy, feeds.values()))
        return [value.numpy() for value in as_tuple(found)]

    return run


@dataclass(frozen=True)
class Format:
    """A kind of file: how it is written, opened and named."""

    write: Callable[[Part, Path, dict[str, str], frozenset[str]], None]
    open: Callable[[Path], Run]
    suffix: str


FORMATS = dict(
    onnx=Format(write_onnx, open_in_runtime, '.onnx'),
    openvino=Format(write_openvino, open_in_runtime, '.xml'),
    aoti=Format(write_aoti, open_aoti, '.pt2'),
)


def largest_difference(run: Run, part: Part) -> float:
    """Largest relative difference between a file's and the part's outputs, on its inputs."""
    feeds = {name: value.numpy() for name, value in part.inputs.items()}
    actual = [torch.from_numpy(value) for value in run(feeds)]
    with torch.no_grad():
        expected = as_tuple(part.module(*part.inputs.values()))
    pairs = zip(actual, expected, strict=True)
    differences = [((a - e).abs().max() / e.abs().max()).item() for a, e in pairs]
    return float(np.max(differences))  # NaN is the largest


def as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a module returns, one output or several."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
