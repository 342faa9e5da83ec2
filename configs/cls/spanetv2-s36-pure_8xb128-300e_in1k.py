# Published: top-1 84.4 (ImageNet-1K, 224x224), 44 M parameters, 8.1 G MACs.
_base_ = ['./spanetv2-s18-pure_8xb128-amp-300e_in1k.py']

model = dict(backbone=dict(arch='s36-pure', drop_path_rate=0.3))
# This row was trained in float32.
optim_wrapper = dict(type='OptimWrapper')
