# Your own classes in one folder each: a small classifier (docs/your_own_data.md).
_base_ = '../cls/spanetv2_shapes.py'

data_root = 'data/own/imagenet'
classes = ('bolt', 'crescent', 'cross', 'ring', 'star')  # the folders' names, sorted
side = 64  # of the crops that the model sees

model = dict(backbone=dict(input_size=side), head=dict(num_classes=len(classes)))
data_preprocessor = dict(num_classes=len(classes))
cut = dict(type='RandomResizedCrop', scale=side, crop_ratio_range=(0.5, 1.0))
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
train_pipeline = [_base_.train_pipeline[0], cut, flip, _base_.train_pipeline[-1]]
short_side = dict(type='ResizeEdge', scale=side, edge='short', interpolation='area')
centre = dict(type='CenterCrop', crop_size=side)
test_pipeline = [_base_.test_pipeline[0], short_side, centre, *_base_.test_pipeline[2:]]
own = dict(_delete_=True, type='CustomDataset', data_root=data_root, with_label=True)
own |= dict(metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dict(**own, data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**own, data_prefix='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
