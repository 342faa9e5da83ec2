# Published: top-1 83.9 (ImageNet-1K, 224x224), 27 M parameters, 4.2 G MACs.
_base_ = ['./spanetv2-s18-pure_4xb128-amp-310e_in1k.py']

model = dict(backbone=dict(arch='s18-hybrid', drop_path_rate=0.15))
# The hybrids were trained with LAMB, at twice the rate of the pure variants. LAMB scales the step
# of each parameter by its norm, and the released mixer holds one filter per head.
lr = 8e-3
optim_wrapper = dict(
    accumulative_counts=16,
    optimizer=dict(type='mmspanet.HeadwiseLamb', lr=lr),
    paramwise_cfg=dict(custom_keys={'srf.filter': dict(heads=4)}),
)
param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=1e-6 / lr),
    _base_.param_scheduler[1],
]
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=256)
