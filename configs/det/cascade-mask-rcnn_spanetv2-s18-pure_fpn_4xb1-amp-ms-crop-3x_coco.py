# Published: box AP 51.6, mask AP 44.7 (COCO val2017), 734 G MACs at 800x1280.
# The numbers are those of the released config, but where a comment says otherwise.
_base_ = [
    '../_base_/models/cascade-mask-rcnn_spanetv2_fpn.py',
    '../_base_/datasets/coco_instance_ms-crop.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtimes/det.py',
]

model = dict(
    backbone=dict(
        arch='s18-pure',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-pure'),
    )
)
train_dataloader = dict(batch_size=1)
# 4 GPUs x 1 image x 4 accumulated iterations: an effective batch of 16. The warm-up of 1000
# iterations is therefore one of 250 optimizer steps, as in the released recipe.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    accumulative_counts=4,
    constructor='mmspanet.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=0.7, decay_type='layer_wise'),
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05),
)
# Images per iteration (mmengine doesn't count accumulation): 4 GPUs x 1.
auto_scale_lr = dict(base_batch_size=4)
