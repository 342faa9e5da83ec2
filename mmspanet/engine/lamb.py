"""LAMB as the authors' hybrids were trained with it."""

from collections.abc import Callable
from typing import Any

import torch
from mmpretrain.engine.optimizers import Lamb
from torch import Tensor

from mmspanet.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class HeadwiseLamb(Lamb):
    """MMPretrain's LAMB, with a trust ratio for each head's part of a spectral filter.

    LAMB scales the step of every parameter by the ratio of its norm to that of its update. The
    authors' SPAM holds one filter per head, hence four parameters with a ratio each; ours holds
    them joined. A group of parameters with ``heads=4`` is stepped as if each of its parameters
    were the four that its first dimension falls into. Adam's update has no norms, so AdamW needs
    nothing of the kind.

    In a config: ``paramwise_cfg=dict(custom_keys={'srf.filter': dict(heads=4)})``. The other
    options are those of MMPretrain's ``Lamb``.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: Computes the loss and its gradients anew.

        Returns:
            What the closure gives, None without one.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        joined = [group['params'] for group in self.param_groups]
        parts: list[Tensor] = []
        for group in self.param_groups:
            if 'heads' in group:
                group['params'] = [
                    part for p in group['params'] for part in self._split(p, group['heads'])
                ]
                parts += group['params']
        try:
            super().step()
        finally:
            for group, params in zip(self.param_groups, joined, strict=True):
                group['params'] = params
            for part in parts:
                self.state.pop(part, None)
        return loss

    def _split(self, param: Tensor, heads: int) -> list[Tensor]:
        """Views of a parameter's parts, whose gradients and moments are views of its own."""
        if param.grad is None:
            return []
        state = self.state[param]
        if not state:
            state['exp_avg'] = torch.zeros_like(param)
            state['exp_avg_sq'] = torch.zeros_like(param)
        parts = list(param.detach().chunk(heads))
        for i, part in enumerate(parts):
            part.grad = param.grad.chunk(heads)[i]
            self.state[part] = {name: value.chunk(heads)[i] for name, value in state.items()}
        return parts
