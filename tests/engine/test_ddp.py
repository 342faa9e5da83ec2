"""The backbone under DistributedDataParallel in two processes against one with both images."""

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmspanet.models import SPANetV2
from tests.helpers import TINY, TINY_HYBRID

OPTIONS = [
    dict(broadcast_buffers=False, find_unused_parameters=False),  # as MMEngine sets them
    dict(static_graph=True),
    dict(gradient_as_bucket_view=True),
    dict(static_graph=True, gradient_as_bucket_view=True, bucket_cap_mb=0.01),  # many buckets
]


def learn(model: nn.Module, images: torch.Tensor) -> None:
    torch.stack([maps.pow(4).mean() for maps in model(images)]).mean().backward()


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name.removeprefix('module.'): p.grad for name, p in model.named_parameters()}


def build(**options: object) -> SPANetV2:
    torch.manual_seed(0)
    return SPANetV2(input_size=64, **options).train()


def check(rank: int, rendezvous: str) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=2)
    images = torch.randn(2, 3, 65, 64, generator=torch.Generator().manual_seed(1))
    own = images[rank : rank + 1]
    for arch in (TINY, TINY_HYBRID):
        single = build(arch=arch)
        learn(single, images)
        expected = gradients(single)
        for options in OPTIONS:
            with_cp = 'static_graph' in options  # blocks that are recomputed
            model = MMDistributedDataParallel(build(arch=arch, with_cp=with_cp), **options)
            for _ in range(3):  # a static graph is known from the first, and used from the second
                model.zero_grad()
                learn(model, own)
            torch.testing.assert_close(gradients(model), expected, rtol=1e-3, atol=1e-6)
        model = MMDistributedDataParallel(build(arch=arch))
        with model.no_sync():  # as MMEngine accumulates
            learn(model, own)
        learn(model, own)
        twice = {name: 2 * gradient for name, gradient in expected.items()}
        torch.testing.assert_close(gradients(model), twice, rtol=1e-3, atol=1e-6)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_gradients_of_two_processes(tmp_path):
    torch.multiprocessing.spawn(check, (str(tmp_path / 'rendezvous'),), nprocs=2)
