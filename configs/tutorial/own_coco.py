# Your own objects in a COCO-style JSON: a small Mask R-CNN (docs/your_own_data.md).
# The model, the schedule and the runtime are those of the Shapes config.
_base_ = '../det/maskrcnn_spanetv2_shapes.py'

# The settings to change. Both JSONs and both folders of images lie under data_root.
data_root = 'data/own/coco/'
train = dict(ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/'))
val = dict(ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/'))
classes = ('star', 'cross', 'ring', 'crescent', 'bolt')  # the JSON's categories, in its order
side = 128  # images are resized to fit into side x side pixels; 128 is the size of Shapes' images

model = dict(
    # Images of different shape are padded, not with zeros: in a region of zeros all channels are
    # equal as long as the biases are zero, LayerNorm divides by the root of its eps alone, and
    # the gradients become infinite.
    data_preprocessor=dict(pad_value=1),
    backbone=dict(input_size=side),
    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)),
        mask_head=dict(num_classes=len(classes)),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(side, side), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),  # as in MMDetection's coco_instance.py
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(side, side), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(round(side * r), round(side * r)), keep_ratio=True)
                for r in (1.0, 1.25)
            ],
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(*test_pipeline[-1]['meta_keys'], 'flip', 'flip_direction'),
                )
            ],
        ],
    ),
]

train_dataloader = dict(
    batch_size=4,  # for which the learning rate of Shapes was chosen
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=train['ann_file'],
        data_prefix=train['data_prefix'],
        filter_cfg=dict(filter_empty_gt=True),  # leaves out images without an object
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,  # changes no result, only memory and time
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=val['ann_file'],
        data_prefix=val['data_prefix'],
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + val['ann_file'], metric=['bbox', 'segm']
)
test_evaluator = val_evaluator

# How a run ends well (docs/ending_well.md): the best checkpoint is kept, a run that no longer gets
# better ends, and a running mean of the weights is validated and saved. The first two need many
# validations.
train_cfg = dict(val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
custom_hooks = [
    dict(type='mmspanet.EpochSeedHook'),
    dict(
        type='EarlyStoppingHook',
        monitor='coco/bbox_mAP',
        rule='greater',
        min_delta=0.0,
        patience=10,
    ),
    # The mean is over some hundredths of the iterations, and over 5,000 of them at most.
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.0002, gamma=100),
]
