# Published: top-1 85.0 (ImageNet-1K, 224x224), 100 M printed, 109.6 M parameters, 24.3 G MACs.
_base_ = ['./spanetv2-s18-pure_8xb128-amp-300e_in1k.py']

model = dict(
    backbone=dict(arch='b36-pure', drop_path_rate=0.6),
    neck=dict(in_channels=768),
    head=dict(in_channels=3072),
)
