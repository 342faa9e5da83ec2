"""Time exported backbones of ours and of their peers in OpenVINO and onnxruntime, on this CPU.

Maps of all four stages, weights at random, as many threads in each runtime as PyTorch has
(``OMP_NUM_THREADS``). Ratios are to timm's model of the same class, exported by the same call, in
the same runtime; int8 is compared with ours in float32, with the other layers in either type.
Before it is timed, every graph is compared with the model in PyTorch, ours in its training form.
Behind the timing, OpenVINO's profile says how long each kind of layer takes. Needs timm, onnx,
onnxscript, onnxruntime, openvino and nncf.
"""

import argparse
import copy
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.models import PEERS, ours, peer
from benchmarks.tables import layer_times, timings
from benchmarks.timing import add_options, check_equal, report, summary, time_in_turn
from mmspanet import surroundings
from mmspanet.deployment import export, parts
from mmspanet.deployment.precision import openvino_to_int8
from mmspanet.runtime.session import openvino_core

SHAPES = ((8, 3, 224, 224), (1, 3, 800, 1216))
# Largest difference from PyTorch, relative to the largest value of a map.
TOLERANCES = {'OpenVINO f32': 1e-4, 'OpenVINO bf16': 2e-2, 'onnxruntime f32': 1e-4}
QUANTIZED = 's18-pure', SHAPES[0]
CALIBRATION = 4  # batches; random, since only the speed of the outcome counts
PROFILED = 3  # runs, of which each layer's fastest counts

Run = Callable[[], list[np.ndarray]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--arch', nargs='+', choices=sorted(PEERS), default=list(PEERS), help='which of ours'
    )
    add_options(parser, rounds=7)
    return parser.parse_args()


def exportable(model: nn.Module, size: tuple[int, int]) -> nn.Module:
    """A copy of one of ours in the form that the export gives it, for images of (H, W)."""
    holder = nn.Module()
    holder.backbone = copy.deepcopy(model)
    parts.prepare(holder, size)
    return holder.backbone


def write(model: nn.Module, images: Tensor, path: Path) -> Path:
    """The graph of a model for one shape of images."""
    torch.onnx.export(
        model, (images,), path, dynamo=True, opset_version=export.OPSET, verbose=False
    )
    return path


def in_onnxruntime(path: Path, images: Tensor) -> Run:
    """A graph and its images in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    feeds = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, feeds)


def compiled(model: Any, precision: str, profiled: bool = False) -> Any:
    """A request of OpenVINO, from a path or a model in memory."""
    return (
        openvino_core()
        .compile_model(
            model,
            'CPU',
            {
                'INFERENCE_NUM_THREADS': torch.get_num_threads(),
                'NUM_STREAMS': 1,
                'INFERENCE_PRECISION_HINT': precision,
                'PERF_COUNT': profiled,
            },
        )
        .create_infer_request()
    )


def in_openvino(model: Any, images: Tensor, precision: str) -> Run:
    """A graph and its images in OpenVINO; ``precision`` is f32 or bf16."""
    request = compiled(model, precision)

    def run() -> list[np.ndarray]:
        outputs = request.infer({0: images.numpy()}, share_inputs=True, share_outputs=True)
        return list(outputs.to_tuple())

    return run


def quantized(path: Path, images: Tensor) -> Path:
    """The graph in int8, as tools/deployment/export.py makes it for OpenVINO."""
    name = onnx.load(path, load_external_data=False).graph.input[0].name
    batches = [{name: torch.randn_like(images).numpy()} for _ in range(CALIBRATION)]
    target = path.with_name('int8.xml')
    openvino_to_int8(path, target, {}, batches)
    return target


def profile(path: Path, images: Tensor, precision: str) -> dict[str, float]:
    """Seconds by kind of layer, as OpenVINO's profile says."""
    request = compiled(path, precision, profiled=True)
    fastest: dict[str, tuple[str, float]] = {}
    for _ in range(PROFILED):
        request.infer({0: images.numpy()})
        for layer in request.get_profiling_info():
            seconds = layer.cpu_time.total_seconds()
            if seconds < fastest.get(layer.node_name, ('', float('inf')))[1]:
                fastest[layer.node_name] = layer.node_type, seconds
    times: Counter[str] = Counter()
    for kind, seconds in fastest.values():
        times[kind] += seconds
    return {kind: seconds for kind, seconds in times.most_common() if seconds}


def measured(arch: str, shape: tuple[int, int, int, int], rounds: int) -> dict[str, Any]:
    """The table of one of ours and its peer, for one shape of images."""
    images = torch.randn(shape)
    models = {arch: ours(arch), PEERS[arch]: peer(arch)}
    title = 'x'.join(map(str, shape))
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: write(
                exportable(model, shape[2:]) if name == arch else model,
                images,
                Path(folder) / f'{name}.onnx',
            )
            for name, model in models.items()
        }
        runs: dict[str, Run] = {}
        for name, file in files.items():
            runs |= {
                f'{name}, OpenVINO f32': in_openvino(file, images, 'f32'),
                f'{name}, OpenVINO bf16': in_openvino(file, images, 'bf16'),
                f'{name}, onnxruntime f32': in_onnxruntime(file, images),
            }
            expected = models[name](images)
            for runtime, tolerance in TOLERANCES.items():
                actual = [torch.from_numpy(value) for value in runs[f'{name}, {runtime}']()]
                check_equal(f'{name} in {runtime}', actual, expected, tolerance)
        if (arch, shape) == QUANTIZED:
            file = quantized(files[arch], images)
            for rest in ('f32', 'bf16'):
                runs[f'{arch}, OpenVINO int8 and {rest}, to f32'] = in_openvino(file, images, rest)
        times = time_in_turn(runs, rounds, title)
        layers = {
            f'{name} {precision}': profile(file, images, precision)
            for precision in ('f32', 'bf16')
            for name, file in files.items()
        }
    rows = []
    for runtime in TOLERANCES:
        pair = [f'{name}, {runtime}' for name in models]
        rows += summary({name: times[name] for name in pair}, pair[1])
    if (arch, shape) == QUANTIZED:
        base = f'{arch}, OpenVINO f32'
        ints = [name for name in times if 'int8' in name]
        rows += summary({name: times[name] for name in (*ints, base)}, base)[:-1]
    return dict(title=title, rows=rows, seconds=times, layers=layers)


@torch.no_grad()
def main() -> None:
    args = parse_args()
    tables = [measured(arch, shape, args.rounds) for arch in args.arch for shape in SHAPES]
    versions = surroundings.record('timm', 'onnxruntime', 'openvino', 'nncf', device='cpu')
    record = dict(**versions, tables=tables)
    report(record, f'{timings(tables)}\n{layer_times(record)}', args.out)


if __name__ == '__main__':
    main()
