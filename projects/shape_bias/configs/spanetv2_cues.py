# The Shapes classifier, narrower and at 48 px, on the images of the cue-conflict test, where every
# class has its own outline and its own texture: projects/shape_bias/run.py trains it.
_base_ = '../../../configs/cls/spanetv2_shapes.py'

model = dict(
    backbone=dict(arch=dict(channels=(16, 32, 64, 128)), input_size=48),
    neck=dict(in_channels=128),
    head=dict(in_channels=512),
)

data_root = 'data/shapes/cues'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=48, interpolation='area'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=48, interpolation='area'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
# Images of each set: projects.shape_bias.cue_images.CUE_SETS says what is in them.
cues = dict(train=3000, val=500, conflict=1000)

max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]

default_hooks = dict(checkpoint=dict(save_optimizer=False, max_keep_ckpts=1))
log_level = 'ERROR'  # the command shows the progress of its many runs itself
