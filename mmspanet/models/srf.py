"""The spectral re-scaling filter (SRF): one learned gain per channel and frequency."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import compiled_for_cpu


class SpectralRescalingFilter(nn.Module):
    """Multiply the spectrum of each channel by a learned real gain in (0, 1).

    ``s = irfft2(sigmoid(alpha * filter) * rfft2(u))``, with ``norm='ortho'``, on
    the half spectrum of H x (W // 2 + 1) frequencies. ``filter`` is stored for
    maps of ``map_size``; for other sizes the raw filter is resized (bicubic,
    align_corners) before the sigmoid, as the released checkpoints expect.

    The spectral part runs in float32 for half types and in the input's own type
    otherwise; the output has the type of the input.

    Args:
        channels: Number of channels C.
        map_size: Height and width of the maps that the filter is stored for.
        scaled_sigmoid: Learn alpha (the revision of 2025-11); else alpha is 1.
    """

    def __init__(
        self, channels: int, map_size: tuple[int, int], scaled_sigmoid: bool = False
    ) -> None:
        super().__init__()
        height, width = map_size
        self.filter = nn.Parameter(torch.randn(channels, height, width // 2 + 1) * 0.02)
        self.alpha = nn.Parameter(torch.ones(1)) if scaled_sigmoid else None
        self.cache = GainCache()

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W); the output is contiguous."""
        size = (u.shape[-2], u.shape[-1])
        with _without_autocast(u.device.type):
            spectrum = torch.fft.rfft2(_at_least_float32(u), norm='ortho')
            s = torch.fft.irfft2(spectrum * self._gain_at(size), s=size, norm='ortho')
        return s.to(u.dtype)

    def gain(self, size: tuple[int, int]) -> Tensor:
        """The gain for maps of (H, W) = ``size``: (C, H, W // 2 + 1), float32 or float64."""
        raw = _at_least_float32(self.filter)
        height, half_width = size[0], size[1] // 2 + 1
        if raw.shape[1:] != (height, half_width):
            raw = _resize(raw, (height, half_width))
        if self.alpha is not None:
            raw = raw * self.alpha.to(raw.dtype)
        return raw.sigmoid()

    def to_trained_order(self, values: Tensor) -> Tensor:
        """Sort values (C, ...), one per channel of the maps, as the trained filter's channels."""
        return values

    def _weights(self) -> list[Tensor]:
        return [self.filter] if self.alpha is None else [self.filter, self.alpha]

    def _gain_at(self, size: tuple[int, int]) -> Tensor:
        weights = self._weights()
        learning = torch.is_grad_enabled() and any(w.requires_grad for w in weights)
        if self.training or learning or torch.compiler.is_compiling():
            return self.gain(size)
        return self.cache.fetch(size, weights, partial(self.gain, size))

    def train(self, mode: bool = True) -> 'SpectralRescalingFilter':
        """Switch between training and evaluation, which forgets the resized filters."""
        # EMA swaps write through .data, which no version counter sees; a mode switch follows them.
        self.cache.clear()
        return super().train(mode)

    def _apply(self, fn: Callable, recurse: bool = True) -> 'SpectralRescalingFilter':
        self.cache.clear()
        return super()._apply(fn, recurse)


class GainCache:
    """The gains of the last few map sizes, each kept with the state of the weights it came from.

    A gain is handed out only while its weights are the same tensors at the same
    version, so an optimizer step, load_state_dict or a move to another device
    makes it stale. Copies and pickles of the cache are empty.
    """

    def __init__(self, max_sizes: int = 4) -> None:
        self.max_sizes = max_sizes
        self._entries: dict[Hashable, tuple[list, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple:
        return type(self), (self.max_sizes,)

    def clear(self) -> None:
        """Forget all filters."""
        self._entries = {}

    def fetch(
        self,
        size: Hashable,
        weights: Sequence[Tensor],
        compute: Callable[[], Tensor],
    ) -> Tensor:
        """The gain of ``size``, from the cache or from ``compute()``, without gradient."""
        if any(w.is_inference() for w in weights):  # such tensors have no version to watch
            return compute()
        entry = self._entries.get(size)
        if entry is not None and _unchanged(entry[0], weights):
            return entry[1]
        # A plain tensor serves inference_mode, no_grad and a gradient through u alike.
        with torch.inference_mode(False), torch.no_grad():
            gain = compute()
        self._entries.pop(size, None)
        while len(self._entries) >= self.max_sizes:
            self._entries.pop(next(iter(self._entries)))
        # detach() shares memory and version, and keeps the address from being used again.
        self._entries[size] = ([(w.detach(), w._version) for w in weights], gain)
        return gain


def _unchanged(seen: list[tuple[Tensor, int]], weights: Sequence[Tensor]) -> bool:
    return all(
        w._version == version and w.data_ptr() == old.data_ptr() and w.dtype == old.dtype
        for w, (old, version) in zip(weights, seen, strict=True)
    )


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W) to (C, *size), bicubic with aligned corners."""
    if not compiled_for_cpu(maps):
        return _bicubic(maps, *size)
    # Inductor's own code for it is slow on CPUs; the same as two products costs next to nothing.
    height, width = maps.shape[1:]
    along_height = _bicubic(torch.eye(height).to(maps)[None], size[0], height)[0]
    along_width = _bicubic(torch.eye(width).to(maps)[None], size[1], width)[0]
    return along_height @ maps @ along_width.T


def _bicubic(maps: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(maps[None], (height, width), mode='bicubic', align_corners=True)[0]


def _without_autocast(device_type: str) -> AbstractContextManager:
    # torch.compile can't read the question; what it compiles is on no device such as meta.
    if torch.compiler.is_compiling() or torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
