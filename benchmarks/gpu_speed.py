"""Check and time SPANetV2 on a GPU, in one run of at most 8 minutes: parity first, then times.

- Parity in float32 between CPU and GPU: every variant at 224 px and at odd sizes, both forms.
- Inference under bfloat16 and float16 autocast: the deployed form beside its peers, eager and
  compiled, 128x3x224x224 and 2x3x800x1280.
- A training step under float16 autocast beside the tests' oracle, and the peak memory of both.

It needs torch, timm, MMEngine and this checkout, no other library of OpenMMLab, but for HorNet,
which is left out where MMPretrain is not installed:
``pip install --no-deps mmengine*.whl addict*.whl yapf*.whl termcolor*.whl rich*.whl`` from wheels
will do on a machine without a network. --device cpu --quick runs the same steps on small inputs.
"""

import argparse
import time
from functools import partial

import torch
from torch import Tensor

from benchmarks.models import (
    PEERS,
    OracleModel,
    deployed,
    directions,
    hornets,
    ours,
    peer,
    training_step,
)
from benchmarks.tables import timings
from benchmarks.timing import (
    add_options,
    check_equal,
    report,
    summary,
    time_in_turn,
)
from mmspanet import surroundings
from mmspanet.models import SPANetV2

SHAPES = ((128, 3, 224, 224), (2, 3, 800, 1280))
QUICK = ((2, 3, 64, 64), (1, 3, 96, 128))
ODD_SIZES = ((224, 224), (225, 175), (97, 131))
PARITY = 1e-4  # float32 without TF32
HALF_PARITY = 5e-2


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--device', default='cuda', help='device to check and time (default: cuda)')
    parser.add_argument('--quick', action='store_true', help='small inputs and two variants only')
    add_options(parser, rounds=15)
    return parser.parse_args()


def parity(device: str, archs: list[str], sizes: tuple) -> dict[str, float]:
    """The largest difference of each variant between the CPU and the device, over all sizes."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    worst = {}
    for arch in archs:
        model = ours(arch)
        there, folded = ours(arch).to(device), deployed(model).to(device)
        for size in sizes:
            image = torch.randn(1, 3, *size)
            expected = model(image)
            for name, other in ((arch, there), (f'{arch}, deployed', folded)):
                difference = check_equal(name, other(image.to(device)), expected, PARITY)
                worst[name] = max(difference, worst.get(name, 0.0))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return worst


def inference(device: str, shapes: tuple, rounds: int) -> list[dict]:
    """Tables of the deployed form beside its peer, eager and compiled."""
    tables = []
    for arch in PEERS:
        exact = ours(arch).to(device)
        eager = {f'{arch}, deployed': deployed(exact), PEERS[arch]: peer(arch).to(device)}
        eager |= {name: model.to(device) for name, model in hornets().items()}
        for way, wrap in (
            ('eager', lambda m: m),
            ('compiled', partial(torch.compile, dynamic=False)),
        ):
            for dtype in (torch.bfloat16, torch.float16):
                for shape in shapes:
                    torch.compiler.reset()  # each size and type is compiled for itself
                    models = {name: wrap(model) for name, model in eager.items()}
                    images = torch.randn(shape, device=device)
                    with torch.autocast(device.split(':')[0], dtype):
                        maps = [each[:2] for each in models[f'{arch}, deployed'](images)]
                        check_equal(arch, maps, exact_maps(exact, images[:2]), HALF_PARITY)
                        runs = {name: partial(m, images) for name, m in models.items()}
                        title = f'{way}, {str(dtype)[6:]}, {"x".join(map(str, shape))}'
                        times = time_in_turn(runs, rounds, title)
                    rows = summary(times, PEERS[arch])
                    tables.append(dict(title=title, rows=rows, seconds=times))
    return tables


def exact_maps(model: SPANetV2, images: Tensor) -> tuple[Tensor, ...]:
    with torch.autocast(images.device.type, enabled=False):
        return model(images)


def training(device: str, shape: tuple, rounds: int) -> tuple[list[dict], dict[str, int]]:
    """Tables of a step under autocast beside the oracle, and the peak bytes of each."""
    tables, peaks = [], {}
    for arch in PEERS:
        trained = ours(arch).to(device).train()
        models = {arch: trained, 'oracle': OracleModel(trained).to(device)}
        images = torch.randn(shape, device=device)
        along = directions(trained, images)
        runs = {
            name: partial(training_step, model, images, along, torch.float16)
            for name, model in models.items()
        }
        for name, run in runs.items():
            peaks[f'{arch}: {name}'] = peak_bytes(run)
            for model in models.values():  # the next one's peak has none of these
                model.zero_grad(set_to_none=True)
        times = time_in_turn(runs, rounds, f'training, {arch}')
        title = f'training step, float16, {"x".join(map(str, shape))}'
        tables.append(dict(title=title, rows=summary(times, 'oracle'), seconds=times))
    return tables, peaks


def peak_bytes(run) -> int:
    """Largest memory that a run has allocated on the GPU; 0 on a CPU."""
    if not torch.cuda.is_available():
        run()
        return 0
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated()


def main() -> None:
    args = parse_args()
    start = time.monotonic()
    archs = list(PEERS) if args.quick else sorted(SPANetV2.arch_settings)
    shapes = QUICK if args.quick else SHAPES
    with torch.no_grad():
        worst = parity(args.device, archs, ODD_SIZES[2:] if args.quick else ODD_SIZES)
        tables = inference(args.device, shapes, args.rounds)
    steps, peaks = training(args.device, shapes[0], args.rounds)
    record = dict(
        **surroundings.record('timm', device=args.device), device=args.device, parity=worst,
        tables=tables + steps, peak_bytes=peaks, seconds=round(time.monotonic() - start),
    )  # fmt: skip
    lines = [f'Largest difference to the CPU, float32: {max(worst.values()):.1e}.\n']
    lines.append(timings(record['tables']))
    lines += [f'- peak memory, {name}: {value / 2**20:.0f} MiB' for name, value in peaks.items()]
    report(record, '\n'.join(lines) + '\n', args.out)


if __name__ == '__main__':
    main()
