# CamVid with the heads of MMSegmentation's upernet_r50.py in their own widths, for backbones of
# full size on a GPU: crops of 352 pixels of frames of 480 x 360, 100 epochs.
_base_ = 'upernet_camvid.py'

crop = (352, 352)
model = dict(
    data_preprocessor=dict(size=crop),
    decode_head=dict(channels=512),
    auxiliary_head=dict(channels=256),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=16, num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=4)
test_dataloader = val_dataloader

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
