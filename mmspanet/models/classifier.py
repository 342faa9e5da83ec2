"""The released ImageNet classifier as one PyTorch module, for users of other libraries."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import initialize
from torch import Tensor, nn

from mmspanet.checkpoints.backbone import translate_classifier

from .classifier_neck import SPANetV2ClassifierNeck
from .spanetv2 import SPANetV2


class SPANetV2Classifier(nn.Module):
    """A :class:`SPANetV2`, its :class:`SPANetV2ClassifierNeck` and one Linear layer.

    The keys of its state dict are those of MMPretrain's ``ImageClassifier`` in our configs, so
    that the same files load; ``load_state_dict`` takes the authors' bare ImageNet files, too.

    Args:
        arch: See :class:`SPANetV2`.
        num_classes: Classes K.
        in_channels: Channels of the images.
        input_size: Image size that the spectral filters are stored for; others work, too.
        dropout: Rate in front of the last layer.
        drop_path_rate: Stochastic depth rate of the last block.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 's18-pure',
        num_classes: int = 1000,
        in_channels: int = 3,
        input_size: int | Sequence[int] = 224,
        dropout: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = SPANetV2(
            arch, in_channels, input_size, drop_path_rate, out_indices=3, output_norm=False
        )
        channels = self.backbone.channels[-1]
        self.neck: nn.Module = SPANetV2ClassifierNeck(channels, dropout)
        for part in (self.backbone, self.neck):
            initialize(part, part.init_cfg)  # init_weights would log every parameter
        self.head = nn.Sequential(OrderedDict(fc=new_linear(4 * channels, num_classes)))
        self.register_load_state_dict_pre_hook(_translate_checkpoint)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W), normalized as for training, to logits (B, K)."""
        (features,) = self.neck(self.backbone(x))
        return self.head(features)


def new_linear(in_features: int, out_features: int) -> nn.Linear:
    """A last layer with the initialization of the released training."""
    layer = nn.Linear(in_features, out_features)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _translate_checkpoint(_: nn.Module, state_dict: dict[str, Any], prefix: str, *__: Any) -> None:
    translate_classifier(state_dict, prefix)
