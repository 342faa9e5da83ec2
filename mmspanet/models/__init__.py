from .attention import Attention, MixAttention
from .classifier_neck import SPANetV2ClassifierNeck
from .metaformer import Downsample, MetaFormerBlock, Mlp, Stem
from .spam import SPAM, SPAMRevision
from .spanetv2 import SPANetV2, find_spanetv2
from .srf import ScaledSpectralRescalingFilter, SpectralRescalingFilter

__all__ = [
    'SPAM',
    'Attention',
    'Downsample',
    'MetaFormerBlock',
    'MixAttention',
    'Mlp',
    'SPAMRevision',
    'SPANetV2',
    'SPANetV2ClassifierNeck',
    'ScaledSpectralRescalingFilter',
    'SpectralRescalingFilter',
    'Stem',
    'find_spanetv2',
]
