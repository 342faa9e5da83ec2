"""Train a SPANetV2-B36 with PyTorch's fully_shard on two CPU processes, and compare with one.

MMEngine's MMFullyShardedDataParallel refuses CPUs and wraps the older FSDP; this is the
backbone under the newer one, each block sharded by itself. Start it with
torchrun --nproc_per_node=2 -m dev.fully_shard. Each process holds half of the
parameters; the losses have to equal those of one process that sees both images.
"""

import argparse

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from mmspanet.models import SPANetV2

TOLERANCE = 1e-3  # relative, of a loss after some steps in float32


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='b36-pure', help='architecture (default b36-pure)')
    parser.add_argument('--steps', type=int, default=3, help='training steps')
    return parser.parse_args()


def build(arch: str) -> SPANetV2:
    torch.manual_seed(0)
    return SPANetV2(arch, drop_path_rate=0.0)


def losses(model: SPANetV2, images: torch.Tensor, steps: int) -> list[float]:
    """The kurtosis of the normalized features on ``images``, before each of some steps of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    found = []
    for _ in range(steps):
        loss = torch.stack([features.pow(4).mean() for features in model(images)]).mean()
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


def main() -> None:
    args = parse_args()
    dist.init_process_group('gloo')
    rank, processes = dist.get_rank(), dist.get_world_size()
    images = torch.randn(processes, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    model = build(args.arch)
    mesh = init_device_mesh('cpu', (processes,))
    for stage in model.stages:
        for block in stage:
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    whole = sum(parameter.numel() for parameter in model.parameters())
    held = sum(
        parameter.to_local().numel()
        for parameter in model.parameters()
        if isinstance(parameter, DTensor)
    )
    print(f'process {rank} holds {held / 1e6:.1f} M of {whole / 1e6:.1f} M parameters', flush=True)
    sharded = torch.tensor(losses(model, images[rank : rank + 1], args.steps))
    dist.all_reduce(sharded)
    sharded /= processes
    del model
    if rank == 0:
        single = torch.tensor(losses(build(args.arch), images, args.steps))
        print('sharded:', *(f'{loss:.6f}' for loss in sharded))
        print('single: ', *(f'{loss:.6f}' for loss in single))
        if not torch.allclose(sharded, single, rtol=TOLERANCE):
            raise SystemExit('error: the losses differ.')
        print('equal')
    dist.barrier()
    dist.destroy_process_group()


if __name__ == '__main__':
    main()
