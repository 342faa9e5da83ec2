# Mask R-CNN on building facades, ten classes: photographs of 384 pixels, crops of 256. Objects are
# of all sizes and shapes, unlike nuclei, so that anchors and poolers are MMDetection's.
_base_ = 'mask-rcnn_nuclei.py'

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4], ratios=[0.5, 1.0, 2.0])),
    roi_head=dict(
        bbox_roi_extractor=dict(finest_scale=56),
        bbox_head=dict(num_classes=10),
        mask_roi_extractor=dict(finest_scale=56),
        mask_head=dict(num_classes=10),
    ),
    test_cfg=dict(rcnn=dict(max_per_img=100)),
)

data_root = 'data/facades/'
metainfo = dict(
    classes=(
        'balcony-fence', 'car', 'facade', 'fence', 'non-building-infrastructure', 'shop', 'street',
        'traffic-infrastructure', 'vegetation', 'window',
    ),
)  # fmt: skip
size = (384, 384)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(256, 256)),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='test.json',
        data_prefix=dict(img='test/'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='CocoMetric', ann_file=data_root + 'test.json', metric=['bbox', 'segm'])]
test_evaluator = val_evaluator
