"""The models that the benchmarks compare: ours in both forms, timm's peers, the tests' oracle."""

import copy

import timm
import torch
from torch import Tensor, nn

from mmspanet.checkpoints import backbone_to_authors
from mmspanet.models import SPANetV2
from tests.oracle import Oracle

PEERS = {'s18-pure': 'convformer_s18', 's18-hybrid': 'caformer_s18'}


class OracleModel(nn.Module):
    """The literal transcription of the released model, with the weights of one of ours."""

    def __init__(self, model: SPANetV2) -> None:
        super().__init__()
        weights = backbone_to_authors({k: v.detach() for k, v in model.state_dict().items()})
        self.names = list(weights)
        self.weights = nn.ParameterList(v.clone() for v in weights.values())

    def forward(self, images: Tensor) -> list[Tensor]:
        """The normed maps of the four stages, as the released detectors take them."""
        oracle = Oracle(dict(zip(self.names, self.weights, strict=True)))
        return oracle.features(images)


def ours(arch: str) -> SPANetV2:
    """One of ours with weights at random, in eval mode."""
    torch.manual_seed(0)
    return SPANetV2(arch).eval()


def deployed(model: SPANetV2) -> SPANetV2:
    """A deployed copy."""
    model = copy.deepcopy(model)
    model.switch_to_deploy()
    return model


def directions(model: nn.Module, images: Tensor) -> list[Tensor]:
    """A random map for each map of the model."""
    with torch.no_grad():
        return [torch.randn_like(out) for out in model(images)]


def training_step(model: nn.Module, images: Tensor, along: list[Tensor]) -> None:
    """Forward and backward pass of the sum over the maps of mean(map * direction)."""
    model.zero_grad(set_to_none=True)
    outs = model(images)
    sum((out * d).mean() for out, d in zip(outs, along, strict=True)).backward()


def peer(arch: str) -> nn.Module:
    """timm's model of the same class, its maps of all four stages."""
    return timm.create_model(PEERS[arch], features_only=True).eval()
