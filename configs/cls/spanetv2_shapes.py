# A small SPANetV2 classifier on synthetic Shapes: trains on two CPU cores in minutes.
_base_ = [
    '../_base_/models/spanetv2_classifier.py',
    '../_base_/datasets/shapes_classes.py',
    '../_base_/schedules/shapes.py',
    '../_base_/runtimes/cls.py',
]

model = dict(
    backbone=dict(
        arch=dict(depths=(1, 1, 1, 1), channels=(32, 64, 128, 192)),
        input_size=64,  # the images' size in training, so that no filter is ever resized
        # Narrow stages learn faster from weights scaled by their fan than from std 0.02.
        init_cfg=dict(type='Xavier', layer=['Conv2d', 'Linear'], distribution='uniform'),
    ),
    neck=dict(in_channels=192),
    head=dict(num_classes=5, in_channels=768, topk=(1,)),
)

max_epochs = 6
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20))
auto_scale_lr = dict(base_batch_size=32)
