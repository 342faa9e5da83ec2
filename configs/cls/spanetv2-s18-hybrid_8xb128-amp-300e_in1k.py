# Published: top-1 83.9 (ImageNet-1K, 224x224), 27 M parameters, 4.2 G MACs.
_base_ = ['./spanetv2-s18-pure_8xb128-amp-300e_in1k.py']

model = dict(backbone=dict(arch='s18-hybrid', drop_path_rate=0.15))
# The hybrids were trained with LAMB, at twice the rate of the pure variants.
lr = 8e-3
optim_wrapper = dict(optimizer=dict(type='Lamb', lr=lr))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / lr,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        begin=20,
        end=300,
        convert_to_iter_based=True,
    ),
]
