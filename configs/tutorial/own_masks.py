# Your own regions in PNG masks: a small UperNet (docs/your_own_data.md).
# The model, the schedule and the runtime are those of the Shapes config.
_base_ = '../seg/upernet_spanetv2_shapes.py'

# The settings to change. All folders lie under data_root.
data_root = 'data/own/ade'
train = dict(img_path='images/training', seg_map_path='annotations/training')
val = dict(img_path='images/validation', seg_map_path='annotations/validation')
classes = ('background', 'star', 'cross', 'ring', 'crescent', 'bolt')
zero_is_unlabeled = True  # then the first class is 1 in the masks, else 0; 255 is unlabeled
crop = (128, 128)  # of training, (height, width); 128 is the size of Shapes' images

model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(input_size=crop),
    # class_weight: the weights of Shapes' six classes do not fit others.
    decode_head=dict(num_classes=len(classes), loss_decode=dict(class_weight=None)),
    auxiliary_head=dict(num_classes=len(classes), loss_decode=dict(class_weight=None)),
)

# The steps and numbers of MMSegmentation's ade20k.py, without its random scale and colors. The
# short side becomes that of the crop, unless the long side would exceed four times as much.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(4 * crop[0], crop[0]), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(4 * crop[0], crop[0]), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(round(4 * crop[0] * r), round(crop[0] * r)),
                    keep_ratio=True,
                )
                for r in (1.0, 1.25)
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

train_dataloader = dict(
    batch_size=8,  # for which the learning rate of Shapes was chosen
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=[]),  # an empty palette: random colors
        reduce_zero_label=zero_is_unlabeled,
        data_prefix=train,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,  # whole images differ in size
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=[]),
        reduce_zero_label=zero_is_unlabeled,
        data_prefix=val,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

# How a run ends well (docs/ending_well.md): the best checkpoint is kept, a run that no longer gets
# better ends, and a running mean of the weights is validated and saved. The first two need many
# validations.
train_cfg = dict(val_interval=100)
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
custom_hooks = [
    dict(type='mmspanet.EpochSeedHook'),
    dict(type='EarlyStoppingHook', monitor='mIoU', rule='greater', min_delta=0.0, patience=10),
    # The mean is over some hundredths of the iterations, and over 5,000 of them at most.
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.0002, gamma=100),
]
