# An alias of the default segmentor, UperNet 160k with SPANetV2-S18-pure on ADE20K.
_base_ = './upernet_spanetv2-s18-pure_h512_4xb4-amp-160k_ade20k-512x512.py'
