# Published: mIoU 46.7 (ADE20K val), 33 M parameters (the unused ImageNet classifier included),
# 43 G MACs at 512x512.
# The numbers are those of the released config, but where a comment says otherwise.
_base_ = [
    '../_base_/models/fpn_spanetv2.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/ade20k_40k.py',
    '../_base_/runtimes/seg.py',
]

model = dict(
    backbone=dict(
        arch='s18-pure',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-pure'),
    )
)
# The released config assigns train_dataloader twice, so its RepeatDataset and its test pipeline's
# ResizeToMultiple never applied: neither is here.
train_dataloader = dict(batch_size=8)
# 4 GPUs x 8 images: a batch of 32. One rate and one weight decay for all parameters.
optim_wrapper = dict(
    type='AmpOptimWrapper', optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4)
)
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(checkpoint=dict(interval=4000))
