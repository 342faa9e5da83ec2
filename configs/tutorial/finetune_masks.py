# Your own regions in PNG masks, from the published ImageNet weights: UperNet at full size, for a
# GPU (docs/fine_tuning.md). Model, pipelines and optimizer are the published recipe's.
_base_ = '../seg/upernet_spanetv2-s18-pure_h512_4xb4-amp-160k_ade20k-512x512.py'

# The settings to change. All folders lie under data_root.
data_root = 'data/own/ade'
train = dict(img_path='images/training', seg_map_path='annotations/training')
val = dict(img_path='images/validation', seg_map_path='annotations/validation')
classes = ('background', 'star', 'cross', 'ring', 'crescent', 'bolt')
zero_is_unlabeled = True  # then the first class is 1 in the masks, else 0; 255 is unlabeled
max_iters = 8000  # some hundred images; ADE20K's 20,000 train for 160,000 iterations

model = dict(
    decode_head=dict(num_classes=len(classes)), auxiliary_head=dict(num_classes=len(classes))
)
train_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=[]),  # an empty palette: random colors
        reduce_zero_label=zero_is_unlabeled,
        data_prefix=train,
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=[]),
        reduce_zero_label=zero_is_unlabeled,
        data_prefix=val,
        pipeline=_base_.test_pipeline,
    )
)
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters, val_interval=800)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=200),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=200, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=800))
