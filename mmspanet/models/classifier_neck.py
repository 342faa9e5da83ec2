"""The hidden part of SPANetV2's ImageNet classifier, as a neck."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmspanet.registry import MODELS


@MODELS.register_module()
class SPANetV2ClassifierNeck(BaseModule):
    """Global mean, LayerNorm, Linear C -> 4C, squared ReLU, LayerNorm, dropout.

    One more Linear layer (mmpretrain's ``LinearClsHead``) completes the
    classifier of the released models.

    Args:
        in_channels: Channels C of the last feature map.
        dropout: Dropout rate in front of the head.
        init_cfg: MMEngine initialization config.
    """

    def __init__(
        self, in_channels: int, dropout: float = 0.0, init_cfg: dict | list | None = None
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='TruncNormal', layer='Linear', std=0.02)
        super().__init__(init_cfg)
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.fc = nn.Linear(in_channels, 4 * in_channels)
        self.fc_norm = nn.LayerNorm(4 * in_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor]:
        """Map the last of ``feats``, (B, C, H, W), to a tuple of one (B, 4C) tensor."""
        x = self.fc(self.norm(feats[-1].mean(dim=(2, 3))))
        return (self.dropout(self.fc_norm(F.relu(x).pow(2))),)
