# Your own objects in a COCO-style JSON, from the published ImageNet weights: Mask R-CNN at full
# size, for a GPU (docs/fine_tuning.md). Model, pipelines and optimizer are the published recipe's.
_base_ = '../det/mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco.py'

# The settings to change. Both JSONs and both folders of images lie under data_root.
data_root = 'data/own/coco/'
train = dict(ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/'))
val = dict(ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/'))
classes = ('star', 'cross', 'ring', 'crescent', 'bolt')  # the JSON's categories, in its order
max_epochs = 12  # some hundred images; COCO's 117,000 train for 36 epochs

model = dict(
    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)), mask_head=dict(num_classes=len(classes))
    )
)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=train['ann_file'],
        data_prefix=train['data_prefix'],
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=val['ann_file'],
        data_prefix=val['data_prefix'],
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val['ann_file'])
test_evaluator = val_evaluator

# The rate falls at two thirds and eleven twelfths, as MMDetection's schedule_1x.py has it.
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=[2 * max_epochs // 3, 11 * max_epochs // 12],
        gamma=0.1,
    ),
]
