"""The models that the benchmarks compare: ours in both forms, their peers, the tests' oracle."""

import copy
from importlib.util import find_spec

import timm
import torch
from torch import Tensor, nn

from mmspanet.checkpoints import backbone_to_authors
from mmspanet.models import SPANetV2
from tests.oracle import Oracle

PEERS = {'s18-pure': 'convformer_s18', 's18-hybrid': 'caformer_s18'}
# MMPretrain's: HorNet-T with its Fourier filter, and the twin with a 7x7 kernel in its place.
HORNETS = {'hornet_t_gf': 'tiny-gf', 'hornet_t_7x7': 'tiny'}


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


def deployed(model: SPANetV2, dtype: torch.dtype | None = None) -> SPANetV2:
    """A deployed copy, in a half type if one is given."""
    model = copy.deepcopy(model)
    model.switch_to_deploy(dtype)
    return model


def directions(model: nn.Module, images: Tensor) -> list[Tensor]:
    """A random map for each map of the model."""
    with torch.no_grad():
        return [torch.randn_like(out) for out in model(images)]


def training_step(
    model: nn.Module, images: Tensor, along: list[Tensor], dtype: torch.dtype = torch.float32
) -> None:
    """Forward and backward pass of the sum over the maps of mean(map * direction).

    Autocast is on for the forward pass, unless ``dtype`` is float32, as it is in trainings.
    """
    model.zero_grad(set_to_none=True)
    with torch.autocast(images.device.type, dtype, dtype != torch.float32):
        outs = model(images)
    sum((out * d).mean() for out, d in zip(outs, along, strict=True)).backward()


def peer(arch: str) -> nn.Module:
    """timm's model of the same class, its maps of all four stages."""
    return timm.create_model(PEERS[arch], features_only=True).eval()


def hornet(name: str) -> nn.Module:
    """One of :data:`HORNETS` with weights at random, its maps of all four stages, in eval mode."""
    from mmpretrain.models import HorNet  # not at the top: benchmarks on GPUs can do without

    torch.manual_seed(0)
    model = HorNet(HORNETS[name], out_indices=(0, 1, 2, 3), gap_before_final_norm=False)
    model.eval()  # returns nothing, as train does
    return model


def hornets() -> dict[str, nn.Module]:
    """All of :data:`HORNETS`; none where MMPretrain is not installed."""
    return {name: hornet(name) for name in HORNETS} if find_spec('mmpretrain') else {}
