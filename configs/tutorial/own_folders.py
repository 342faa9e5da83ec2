# Your own classes in one folder each: a small classifier (docs/your_own_data.md).
# The model, the schedule and the runtime are those of the Shapes config.
_base_ = '../cls/spanetv2_shapes.py'

# The settings to change. data_root holds train/CLASS/* and val/CLASS/*.
data_root = 'data/own/imagenet'
classes = ('bolt', 'crescent', 'cross', 'ring', 'star')  # the folders' names, sorted
side = 64  # of the square crops that the model sees: half the size of Shapes' images

model = dict(backbone=dict(input_size=side), head=dict(num_classes=len(classes)))
data_preprocessor = dict(num_classes=len(classes))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    # At least half of the image, where ImageNet's recipes take 8 % of it: small data sets need
    # the object in each crop.
    dict(type='RandomResizedCrop', scale=side, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=side, edge='short', interpolation='area'),
    dict(type='CenterCrop', crop_size=side),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,  # for which the learning rate of Shapes was chosen
    dataset=dict(
        _delete_=True,  # the options of the base's data set, of type ImageNet
        type='CustomDataset',
        data_root=data_root,
        with_label=True,
        metainfo=dict(classes=classes),
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,  # changes no result, only memory and time
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        with_label=True,
        metainfo=dict(classes=classes),
        data_prefix='val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))  # top-5 needs more than five classes
test_evaluator = val_evaluator

# How a run ends well (docs/ending_well.md): the best checkpoint is kept, a run that no longer gets
# better ends, and a running mean of the weights is validated and saved. The first two need many
# validations.
train_cfg = dict(val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
custom_hooks = [
    dict(type='mmspanet.EpochSeedHook'),
    dict(
        type='EarlyStoppingHook',
        monitor='accuracy/top1',
        rule='greater',
        min_delta=0.0,
        patience=10,
    ),
    # The mean is over some hundredths of the iterations, and over 5,000 of them at most.
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.0002, gamma=100),
]
