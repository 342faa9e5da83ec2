from .attention import Attention, MixAttention
from .classifier_neck import SPANetV2ClassifierNeck
from .metaformer import Downsample, MetaFormerBlock, Mlp, Stem
from .spam import SPAM
from .spanetv2 import SPANetV2, deploy_backbones
from .srf import SpectralRescalingFilter

__all__ = [
    'SPAM',
    'Attention',
    'Downsample',
    'MetaFormerBlock',
    'MixAttention',
    'Mlp',
    'SPANetV2',
    'SPANetV2ClassifierNeck',
    'SpectralRescalingFilter',
    'Stem',
    'deploy_backbones',
]
