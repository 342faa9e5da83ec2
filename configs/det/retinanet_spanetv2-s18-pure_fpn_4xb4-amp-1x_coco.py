# Ours: the authors publish no RetinaNet.
_base_ = [
    '../_base_/models/retinanet_spanetv2_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/coco_1x.py',
    '../_base_/runtimes/det.py',
]

model = dict(
    backbone=dict(
        arch='s18-pure',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-pure'),
    )
)
train_dataloader = dict(batch_size=4)
# 4 GPUs x 4 images: a batch of 16, with the optimizer of the Mask R-CNN recipe.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    constructor='mmspanet.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=0.95, decay_type='layer_wise'),
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
)
auto_scale_lr = dict(base_batch_size=16)
