# Published: top-1 84.7 (ImageNet-1K, 224x224), 41 M parameters, 8.1 G MACs.
# The intended head dropout of 0.4 never reached the model: the row was trained without.
_base_ = ['./spanetv2-s18-hybrid_4xb64-amp-310e_in1k.py']

model = dict(backbone=dict(arch='s36-hybrid', drop_path_rate=0.3))
