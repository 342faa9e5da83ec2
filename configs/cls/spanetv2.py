# An alias of the default classifier, SPANetV2-S18-pure on ImageNet-1K.
_base_ = './spanetv2-s18-pure_4xb128-amp-310e_in1k.py'
