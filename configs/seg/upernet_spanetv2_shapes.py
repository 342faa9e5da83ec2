# UperNet with a small SPANetV2 on synthetic Shapes: trains on two CPU cores in minutes.
_base_ = [
    '../_base_/models/upernet_spanetv2.py',
    '../_base_/datasets/shapes_semantic.py',
    '../_base_/schedules/shapes.py',
    '../_base_/runtimes/seg.py',
]

norm_cfg = dict(type='BN')
# Three quarters of the pixels are background: at full weight they drown the five classes.
class_weight = [0.1, 1.0, 1.0, 1.0, 1.0, 1.0]
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        # Objects of 18 to 64 px are told apart at strides 4 and 8, so that is where the width is.
        arch=dict(depths=(1, 2, 1, 1), channels=(48, 96, 128, 128)),
        input_size=128,  # the images' size, so that no filter is ever resized
        # Narrow stages learn faster from weights scaled by their fan than from std 0.02.
        init_cfg=dict(type='Xavier', layer=['Conv2d', 'Linear'], distribution='uniform'),
    ),
    decode_head=dict(
        in_channels=[48, 96, 128, 128],
        channels=32,
        num_classes=6,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=class_weight),
    ),
    auxiliary_head=dict(
        in_channels=96,
        in_index=1,
        channels=32,
        num_classes=6,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=class_weight),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

max_iters = 850
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(by_epoch=False, interval=max_iters))
auto_scale_lr = dict(base_batch_size=8)
