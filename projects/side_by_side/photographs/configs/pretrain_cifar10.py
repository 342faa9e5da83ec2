# The contestants' backbones as classifiers of CIFAR-10 at 64 pixels, whose weights detectors and
# segmentors begin with: the recipe of the comparison on CIFAR-10, for fewer epochs.
_base_ = '../../configs/recipe.py'
custom_imports = dict(imports=['projects.side_by_side.photographs.backbones'])

model = dict(
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=160),
)
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
