# Published: top-1 85.6 (ImageNet-1K, 224x224), 100 M printed, 101.8 M parameters, 23.9 G MACs.
# The intended head dropout of 0.5 never reached the model: the row was trained without.
_base_ = ['./spanetv2-s18-hybrid_8xb128-amp-300e_in1k.py']

model = dict(
    backbone=dict(arch='b36-hybrid', drop_path_rate=0.6),
    neck=dict(in_channels=768),
    head=dict(in_channels=3072),
)
# This row was trained in float32, with the gradient clipped to a norm of 1.
optim_wrapper = dict(type='OptimWrapper', clip_grad=dict(max_norm=1.0))
