# A small SPANetV2 classifier on the embedded data set: trains on two CPU cores in minutes.
_base_ = [
    '../_base_/models/spanetv2_classifier.py',
    '../_base_/datasets/shapes_classes.py',
    '../_base_/runtimes/cls.py',
]

model = dict(
    backbone=dict(
        arch=dict(depths=(1, 1, 3, 1), channels=(32, 64, 128, 192)),
        input_size=128,  # the images' size, so that no filter is ever resized
    ),
    neck=dict(in_channels=192),
    head=dict(
        num_classes=5,
        in_channels=768,
        topk=(1,),
    ),
)

max_epochs = 3
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmspanet.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=1.0),  # one rate for all; norms and biases don't decay
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20))
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=32)
