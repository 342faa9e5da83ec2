# Your own regions in PNG masks: a small UperNet (docs/your_own_data.md).
_base_ = '../seg/upernet_spanetv2_shapes.py'

data_root = 'data/own/ade'
train = dict(img_path='images/training', seg_map_path='annotations/training')
val = dict(img_path='images/validation', seg_map_path='annotations/validation')
classes = ('background', 'star', 'cross', 'ring', 'crescent', 'bolt')
zero_is_unlabelled = True  # then the first class is 1 in the masks, else 0; 255 is unlabelled
crop = (128, 128)  # trained on crops of this size, tested on whole images with a side of it

head = dict(num_classes=len(classes), loss_decode=dict(class_weight=None))
model = dict(data_preprocessor=dict(size=crop), backbone=dict(input_size=crop))
model |= dict(decode_head=head, auxiliary_head=head)
resize = dict(type='Resize', scale=(4 * crop[0], crop[0]), keep_ratio=True)
cut = dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75)
flip = dict(type='RandomFlip', prob=0.5)
train_pipeline = [*_base_.train_pipeline[:2], resize, cut, flip, _base_.train_pipeline[-1]]
test_pipeline = [_base_.test_pipeline[0], resize, *_base_.test_pipeline[1:]]
own = dict(data_root=data_root, metainfo=dict(classes=classes, palette=[]))
own |= dict(type='BaseSegDataset', reduce_zero_label=zero_is_unlabelled)
train_dataloader = dict(dataset=dict(**own, data_prefix=train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**own, data_prefix=val, pipeline=test_pipeline))
val_dataloader |= dict(batch_size=1)  # whole images differ in size
test_dataloader = val_dataloader
