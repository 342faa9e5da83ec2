# Published: top-1 85.3 (ImageNet-1K, 224x224), 58 M parameters, 13.6 G MACs.
# The intended head dropout of 0.4 never reached the model: the row was trained without.
_base_ = ['./spanetv2-s18-hybrid_8xb128-amp-300e_in1k.py']

model = dict(
    backbone=dict(arch='m36-hybrid', drop_path_rate=0.4),
    neck=dict(in_channels=576),
    head=dict(in_channels=2304),
)
# This row was trained in float32.
optim_wrapper = dict(type='OptimWrapper')
