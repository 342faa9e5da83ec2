# CIFAR-10 at 64 px, 10 epochs: the one recipe of all models in projects/side_by_side. A training
# takes 10 minutes and more on one CPU core.
# It is ours, a plain one that favors none of them: no paper trains these models on CIFAR-10.
# projects/side_by_side/cifar10.py writes the folders.
_base_ = '../../../configs/_base_/runtimes/cls.py'
custom_imports = dict(imports=['projects.side_by_side.models'], allow_failed_imports=False)

dataset_type = 'CustomDataset'
data_root = 'data/cifar10'
data_preprocessor = dict(
    num_classes=10,
    # Mean and standard deviation of the training images' channels, RGB.
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=True,
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # Twice the size, so that large kernels and filters have maps to work on: 16 x 16 to 2 x 2.
    dict(type='Resize', scale=64),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=64),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type, data_root=data_root, data_prefix='train', pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type, data_root=data_root, data_prefix='test', pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    # No weight decay for one-dimensional parameters and biases, as timm's scripts do.
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
max_epochs = 10
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    checkpoint=dict(interval=max_epochs, save_optimizer=False, max_keep_ckpts=1),
)
auto_scale_lr = dict(base_batch_size=128)
randomness = dict(seed=0)

# Every model has the same loss and, but for the convolutional networks, whose papers have none,
# the same classifier head: the hidden MLP of MetaFormer.
model = dict(
    type='ImageClassifier',
    neck=dict(type='mmspanet.SPANetV2ClassifierNeck', in_channels=512),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=2048,
        topk=(1,),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
)
