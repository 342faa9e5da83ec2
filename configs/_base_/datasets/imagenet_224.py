# ImageNet-1K at 224 x 224 with the augmentation of the released training scripts.
dataset_type = 'ImageNet'
data_root = 'data/imagenet'
data_preprocessor = dict(
    type='mmspanet.models.data_preprocessor.ErasingDataPreprocessor',
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
    # On the batch behind mixup and cutmix; the noise is of the normalized images' own scale.
    erasing=dict(p=0.25, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), value='random'),
)
bgr_mean = data_preprocessor['mean'][::-1]
interpolations = ('bilinear', 'bicubic')  # one of them at random wherever an image is resampled

# Decoded by Pillow, and not turned by EXIF, as timm does.
load = dict(
    type='LoadImageFromFile',
    imdecode_backend='pillow',
    color_type='color_ignore_orientation',
)
crops = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        backend='pillow',
        interpolation=interpolation,
    )
    for interpolation in interpolations
]
# rand-m9-mstd0.5-inc1. The scripts' color jitter of 0.4 has no place here: timm, on which they
# build, leaves it out where RandAugment is on.
operations = [
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=1,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[round(x) for x in bgr_mean], interpolation=interpolation),
    )
    for interpolation in interpolations
]

train_pipeline = [
    load,
    dict(type='RandomChoice', transforms=crops),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # Two operations, each with an interpolation of its own.
    dict(type='RandomChoice', transforms=operations),
    dict(type='RandomChoice', transforms=operations),
    dict(type='PackInputs'),
]
test_pipeline = [
    load,
    # crop_pct 1.0: the short side is resized to the crop's own size.
    dict(type='ResizeEdge', scale=224, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    collate_fn=dict(type='default_collate'),
    persistent_workers=True,
    drop_last=True,  # as theirs
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    collate_fn=dict(type='default_collate'),
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, split='val', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
