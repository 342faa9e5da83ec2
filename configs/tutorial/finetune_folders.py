# Your own classes in one folder each, from the published ImageNet weights: the classifier at full
# size, for a GPU (docs/fine_tuning.md). Model and pipelines are the published recipe's.
_base_ = '../cls/spanetv2-s18-pure_4xb128-amp-310e_in1k.py'

# The settings to change. data_root holds train/CLASS/* and val/CLASS/*.
data_root = 'data/own/imagenet'
classes = ('bolt', 'crescent', 'cross', 'ring', 'star')  # the folders' names, sorted
max_epochs = 50  # some hundred images; ImageNet's 1.3 million train for 310 epochs

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-pure')),
    head=dict(num_classes=len(classes)),
)
data_preprocessor = dict(num_classes=len(classes))
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        _delete_=True,  # the options of the base's data set, of type ImageNet
        type='CustomDataset',
        data_root=data_root,
        with_label=True,
        metainfo=dict(classes=classes),
        data_prefix='train',
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        with_label=True,
        metainfo=dict(classes=classes),
        data_prefix='val',
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))  # top-5 needs more than five classes
test_evaluator = val_evaluator

# From trained weights: a fortieth of the rate, and a batch of 32 instead of 4096.
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=1e-4))
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=2),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - 2,
        eta_min=1e-5,
        by_epoch=True,
        begin=2,
        end=max_epochs,
    ),
]
