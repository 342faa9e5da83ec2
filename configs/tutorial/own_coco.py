# Your own objects in a COCO-style JSON: a small Mask R-CNN (docs/your_own_data.md).
_base_ = '../det/maskrcnn_spanetv2_shapes.py'

data_root = 'data/own/coco/'
train = dict(ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/'))
val = dict(ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/'))
classes = ('star', 'cross', 'ring', 'crescent', 'bolt')  # the JSON's categories, in its order
side = 128  # every image is resized to fit into side x side pixels

head = dict(num_classes=len(classes))
model = dict(backbone=dict(input_size=side), roi_head=dict(bbox_head=head, mask_head=head))
model |= dict(data_preprocessor=dict(pad_value=1))  # of zeros: infinite gradients
resize = dict(type='Resize', scale=(side, side), keep_ratio=True)
flip = dict(type='RandomFlip', prob=0.5)
train_pipeline = [*_base_.train_pipeline[:2], resize, flip, _base_.train_pipeline[-1]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]]
own = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dict(**own, **train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**own, **val, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val['ann_file'])
test_evaluator = val_evaluator
