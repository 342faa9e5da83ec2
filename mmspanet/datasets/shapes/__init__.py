"""Shapes: a small synthetic data set in COCO, ADE20K or ImageNet layout.

Five classes of rotated and scaled outlines lie on cluttered, textured backgrounds, 128 px a side.
Star and cross are painted alike, so only their outline tells them apart; ring, crescent and bolt
each have a texture of their own. About a quarter of the instances is smaller than 32 x 32 pixels,
and a third is partly hidden. Validation images come from other seeds and other background
textures. The same call writes the same files.
"""

from .draw import CLASSES, SIZE
from .layouts import SPLIT_SEEDS, write_ade, write_coco, write_imagenet
from .scenes import Instance, make_portrait, make_scene

__all__ = [
    'CLASSES',
    'SIZE',
    'SPLIT_SEEDS',
    'Instance',
    'make_portrait',
    'make_scene',
    'write_ade',
    'write_coco',
    'write_imagenet',
]
