"""What a prediction rests on: images without a band of frequencies, heads without their filter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmspanet.errors import InputError

from .spam_response import SPAMS, find_backbone

# How the filter of a head is switched off, and what is left of it then.
OFF = dict(
    flat='its mean gain at every frequency',
    silent='nothing: a gain of 0',
)


def without_band(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Take the frequencies of a band out of an image, but never its mean.

    Every channel is transformed (DFT) and the frequencies with ``low <= |f| < high`` are set to
    zero, |f| the distance from zero frequency in cycles per pixel over Nyquist's 0.5; along the
    diagonals it goes up to the root of 2.

    Args:
        image: uint8 of shape (H, W, 3).
        low: Where the band begins, as a fraction of Nyquist's frequency.
        high: Where it ends; from 1 up it takes the diagonals, too.

    Returns:
        uint8 of shape (H, W, 3); values beyond 0 and 255 are cut.

    Raises:
        InputError: If the band is empty.
    """
    if not low < high:
        raise InputError(f'The band from {low:g} to {high:g} is empty: let it end above its start.')
    height, width = image.shape[:2]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)) / 0.5
    is_taken = (radius >= low) & ((radius < high) | (high >= 1)) & (radius > 0)
    spectrum = np.fft.rfft2(image.astype(np.float64), axes=(0, 1))
    spectrum[is_taken] = 0
    rest = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return rest.round().clip(0, 255).astype(np.uint8)


def filtered_heads(model: nn.Module) -> dict[int, list[int]]:
    """The kernel sizes of SPAM's heads by stage, which count from 1, for stages that have SPAM.

    Raises:
        InputError: If the model has no SPAM mixer.
    """
    found = {}
    for number, stage in enumerate(find_backbone(model).stages, 1):
        for part in stage.modules():
            if isinstance(part, SPAMS):
                convs: Any = part.convs
                found[number] = [conv.kernel_size[0] for conv in convs]
                break
    if not found:
        raise InputError('The model has no SPAM mixer: choose a SPANetV2 with SPAM in a stage.')
    return found


@contextmanager
def head_switched_off(model: nn.Module, stage: int, head: int, how: str = 'flat') -> Iterator[None]:
    """Switch the re-scaling filter of one head off in all blocks of a stage, inside the ``with``.

    Args:
        model: A SPANetV2, or a model with one as its backbone, not deployed.
        stage: From 1.
        head: From 1.
        how: A key of :data:`OFF`.

    Raises:
        InputError: If the model has no such head.
    """
    heads = filtered_heads(model)
    if stage not in heads or not 1 <= head <= len(heads[stage]):
        raise InputError(f'There is no head {head} with a filter in stage {stage} of the model.')

    def replace(srf: Any, args: tuple[Tensor], output: Tensor) -> Tensor:
        (u,) = args
        size = u.shape[1] // len(heads[stage])
        own = slice((head - 1) * size, head * size)
        # A filter's mean gain is its answer to an impulse, at the impulse.
        gain = srf.even_gain((u.shape[2], u.shape[3]))
        answer = torch.fft.irfft2(gain, s=u.shape[2:])
        level = answer[own, 0, 0] if how == 'flat' else torch.zeros(size)
        replaced = output.clone()
        replaced[:, own] = u[:, own] * level.to(u)[:, None, None]
        return replaced

    spams = [m for m in find_backbone(model).stages[stage - 1].modules() if isinstance(m, SPAMS)]
    handles = [spam.srf.register_forward_hook(replace) for spam in spams]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
