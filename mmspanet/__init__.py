"""SPANetV2 backbones for MMDetection, MMSegmentation and MMPretrain."""

__version__ = '0.1.0'
