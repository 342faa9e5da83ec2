# Mask R-CNN on nuclei (Data Science Bowl 2018): crops of 256 pixels, so that stage 1 has maps of
# 64 x 64. The model file's backbone is put in; contestants.py has them.
_base_ = [
    '../../../../configs/_base_/models/mask-rcnn_spanetv2_fpn.py',
    '../../../../configs/_base_/runtimes/det.py',
    'recipe.py',
]

model = dict(
    neck=dict(in_channels=[24, 48, 96, 160], out_channels=64, num_outs=4, norm_cfg=dict(type='BN')),
    # Of the training boxes' square roots of area, half are under 20.5 pixels and nine of ten
    # between 7 and 50: square anchors of 8, 16, 32 and 64 pixels.
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[2], ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        # Nuclei are read at stride 4.
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=1), out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1), out_channels=64, finest_scale=112
        ),
        mask_head=dict(
            num_convs=3,
            in_channels=64,
            conv_out_channels=64,
            num_classes=1,
            norm_cfg=dict(type='BN'),
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        # A crop has 25 nuclei on average.
        rcnn=dict(sampler=dict(num=64, pos_fraction=0.5)),
    ),
    # The fullest image has 375 nuclei.
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000), rcnn=dict(score_thr=0.05, max_per_img=400)
    ),
)

custom_imports = dict(
    imports=[
        'projects.side_by_side.photographs.backbones',
        'projects.side_by_side.photographs.crowded',
        'projects.side_by_side.photographs.noise',
    ]
)

dataset_type = 'CocoDataset'
data_root = 'data/nuclei/'
metainfo = dict(classes=('nucleus',))
crop = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomCrop', crop_size=crop, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='Pad', size=crop),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),  # whole images, their own pixels
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CrowdedCocoMetric',
        ann_file=data_root + 'val.json',
        metric=['bbox', 'segm'],
        # One image in nine has more than COCO's 100.
        proposal_nums=(100, 300, 400),
    )
]
test_evaluator = val_evaluator

max_epochs = 8
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
