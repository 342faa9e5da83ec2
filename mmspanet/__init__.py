"""SPANetV2 backbones for MMDetection, MMSegmentation and MMPretrain."""

from . import fileio as fileio  # registers the file backend 'atomic'

__version__ = '0.1.0'
