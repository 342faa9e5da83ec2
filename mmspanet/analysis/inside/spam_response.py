"""SPAM and attention of a model in the frame of :mod:`~mmspanet.analysis.theory.spectrum`.

Before its nonlinear part, a channel c of head i of SPAM computes ``s = SRF(K * Wc x)``: a depthwise
convolution K and a gain per frequency. Both are filters, so their composition has the response

    T(omega) = |K(omega)| g(omega),

K the kernel's transfer function and g the gain that the re-scaling filter really applies. Of this
*context path* nothing is approximated but the border (the convolution pads with zeros, here with
the other side) and zero frequency (the convolution's bias is left out).

The rest of SPAM, ``Wo (GELU(Wq x) * P2 GELU(GN(P1 s)))``, works position by position, but is not
linear: there a *local* response is taken, that of the mixer's Jacobian at a real feature map. Both
constructions are ours; the paper does not define them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmspanet.analysis.theory.grid import Array, Grid, ring_numbers, transfer_function
from mmspanet.analysis.theory.spectrum import Response, filter_response
from mmspanet.models import SPAM, SPANetV2, SpectralRescalingFilter, find_spanetv2
from mmspanet.models.deploy import DeployedSPAM, FixedSRF

SPAMS = (SPAM, DeployedSPAM)


@dataclass(frozen=True)
class HeadResponse:
    """The context path of one head of one SPAM mixer.

    Attributes:
        stage: From 0.
        block: In the stage, from 0.
        kernel_size: k of the head.
        kernel: |K(omega)| of every channel, (g, H, W), in fftfreq order.
        rescaling: g(omega) of every channel, (g, H, W), between 0 and 1.
    """

    stage: int
    block: int
    kernel_size: int
    kernel: Array
    rescaling: Array

    @property
    def grid(self) -> Grid:
        """The feature map as a torus."""
        height, width = self.kernel.shape[-2:]
        return Grid(height, width, periodic=True)

    def kernel_response(self) -> Response:
        """Response of the depthwise convolutions alone, one per channel: (g, H * W)."""
        return filter_response(self.kernel, self.grid)

    def effective_response(self) -> Response:
        """Response of convolution and re-scaling together, one per channel: (g, H * W)."""
        return filter_response(self.kernel * self.rescaling, self.grid)


def head_responses(model: nn.Module, image_size: tuple[int, int]) -> list[HeadResponse]:
    """The context path of every head, by stage, block and kernel size.

    Args:
        model: A SPANetV2, or a model with one as its backbone; plain or deployed.
        image_size: Height and width in pixels. Other than at the size that the filters are
            stored for, they are resized, as in the model.

    Returns:
        One entry per head; none for a SPANetV2 whose stages all have other mixers.

    Raises:
        InputError: If there is no SPANetV2.
    """
    found = []
    for stage, block, size, mixer in _spam_mixers(model, image_size):
        gains = np.split(rescaling_gain(mixer.srf, size), mixer.heads)
        convs: Any = mixer.convs
        for conv, gain in zip(convs, gains, strict=True):
            kernels = conv.weight.detach()[:, 0].double().cpu().numpy()
            transfer = transfer_function(kernels, Grid(*size, periodic=True))
            found.append(HeadResponse(stage, block, conv.kernel_size[0], np.abs(transfer), gain))
    return found


def rescaling_gain(srf: SpectralRescalingFilter | FixedSRF, size: tuple[int, int]) -> Array:
    """The gain that the filter applies to real maps of (H, W), at all frequencies: (C, H, W).

    The channels are in the trained order, head by head, also of a deployed model's filter.
    It is found as the spectrum of the answer to an impulse. In the stored half spectrum the
    columns of zero and of Nyquist frequency hold both omega and -omega; a real output takes
    the mean of their two gains.
    """
    raw = raw_filter(srf)
    impulse = raw.new_zeros((1, len(raw), *size), dtype=torch.float64)
    impulse[..., 0, 0] = 1
    with torch.no_grad():
        gain = torch.fft.fft2(srf(impulse))[0].real
    if isinstance(srf, FixedSRF):
        gain = gain[srf.order.argsort()]
    return gain.cpu().numpy()


def raw_filter(srf: SpectralRescalingFilter | FixedSRF) -> Tensor:
    """The parameter F of a trained or deployed filter, (C, H, W // 2 + 1)."""
    return srf.reordered.filter if isinstance(srf, FixedSRF) else srf.filter


@dataclass(frozen=True)
class LocalResponse:
    """The answer of a mixer's Jacobian at a feature map to white noise in rings of frequencies.

    Attributes:
        frequency: Centers of the R rings, in fractions of Nyquist.
        gain: (R,), root mean square of ||J v|| over ||v||.
        kept: (R,), the share of the answer's energy that lies in the ring of the noise; what is
            scattered to other frequencies is the rest.
        multiplicity: (R,), number of frequencies in each ring.
    """

    frequency: Array
    gain: Array
    kept: Array
    multiplicity: Array

    def relative_gain(self) -> Array:
        """The gain, scaled so that white noise keeps its energy, as the identity does: (R,)."""
        return self.gain / np.sqrt(np.average(self.gain**2, weights=self.multiplicity))


def local_response(
    mixer: nn.Module, x: Tensor, rings: int = 8, probes: int = 4, seed: int = 0
) -> LocalResponse:
    """How a small change of the input, of some frequency, changes a mixer's output.

    ``J v`` is the derivative of ``mixer(x + t v)`` at t = 0, for normal noise v in all channels,
    limited to one ring of frequencies. It is taken as a central difference over 2 % of ``x``,
    which asks nothing of the module's operators.

    Args:
        mixer: Any module that maps (B, C, H, W) to the same shape.
        x: What it gets in the model, (1, C, H, W).
        rings: Rings per unit of frequency, at most as many as the map has frequencies.
        probes: Draws of noise per ring.
        seed: Of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = x.shape[-2:]
    rings = min(rings, height // 2, width // 2)
    frequency = Grid(height, width, periodic=True).radial_frequency()
    ring = torch.from_numpy(ring_numbers(frequency, rings)).to(x.device)
    step = 0.01 * x.norm()
    numbers, counts = ring.unique(return_counts=True)
    gains, kept = [], []
    for number in numbers:
        member = (ring == number).to(x.dtype)
        noise = torch.randn((probes, *x.shape[1:]), generator=generator).to(x)
        change = torch.fft.ifft2(torch.fft.fft2(noise) * member).real
        change *= step / change.flatten(1).norm(dim=1)[:, None, None, None]
        with torch.no_grad():
            answer = (mixer(x + change) - mixer(x - change)) / 2
        energy = torch.fft.fft2(answer, norm='ortho').abs().square().sum(dim=(0, 1))
        gains.append((energy.sum() / (probes * step**2)).sqrt().item())
        kept.append(((energy * member).sum() / energy.sum()).item())
    return LocalResponse(
        numbers.cpu().numpy() / rings,
        np.array(gains),
        np.array(kept),
        counts.cpu().numpy().astype(float),
    )


@dataclass(frozen=True)
class MixerInput:
    """What one token mixer gets in a forward pass.

    Attributes:
        stage: From 0.
        block: In the stage, from 0.
        mixer: The mixer.
        x: Its input, (B, C, H, W).
    """

    stage: int
    block: int
    mixer: nn.Module
    x: Tensor


def mixer_inputs(model: nn.Module, images: Tensor) -> list[MixerInput]:
    """Run a model's SPANetV2 and keep what its mixers get.

    Args:
        model: A SPANetV2, or a model with one as its backbone.
        images: (B, 3, H, W), normalized.

    Raises:
        InputError: If there is no SPANetV2.
    """
    backbone = find_backbone(model)
    found: list[MixerInput] = []
    handles = []
    for i, stage in enumerate(backbone.stages):
        for j, block in enumerate(stage.children()):
            mixer: Any = block.token_mixer

            def keep(module: nn.Module, args: tuple[Tensor], i: int = i, j: int = j) -> None:
                found.append(MixerInput(i, j, module, args[0]))

            handles.append(mixer.register_forward_pre_hook(keep))
    try:
        with torch.no_grad():
            backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def depthwise_kernels(model: nn.Module) -> dict[int, Array]:
    """The kernels of a model's depthwise convolutions by their side k: (n, k, k), k ascending.

    Square kernels of odd side from 3 up and stride 1 count, in any network.
    """
    kernels: dict[int, list[Array]] = {}
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.groups == module.in_channels == module.out_channels
            and module.stride == (1, 1)
            and module.kernel_size[0] == module.kernel_size[1] >= 3
            and module.kernel_size[0] % 2 == 1
        ):
            weights = module.weight.detach()[:, 0].double().cpu().numpy()
            kernels.setdefault(module.kernel_size[0], []).append(weights)
    return {k: np.concatenate(kernels[k]) for k in sorted(kernels)}


def _spam_mixers(
    model: nn.Module, image_size: tuple[int, int]
) -> Iterator[tuple[int, int, tuple[int, int], SPAM | DeployedSPAM]]:
    """Stage, block, map size and mixer of each SPAM of a model."""
    backbone = find_backbone(model)
    parts: Any = zip(backbone.downsample_layers, backbone.stages, strict=True)
    size = image_size
    for i, (layer, stage) in enumerate(parts):
        size = layer.output_size(size[0]), layer.output_size(size[1])
        for j, block in enumerate(stage):
            for mixer in (m for m in block.modules() if isinstance(m, SPAMS)):
                yield i, j, size, mixer


def find_backbone(model: nn.Module) -> SPANetV2:
    """The SPANetV2 in a model.

    Raises:
        InputError: If there is none.
    """
    return next(iter(find_spanetv2(model).values()))
