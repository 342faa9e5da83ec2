# Published: mIoU 48.6 (ADE20K val), 45 M parameters (the unused ImageNet classifier included),
# 74 G MACs at 512x512.
_base_ = ['./fpn_spanetv2-s18-pure_4xb8-amp-40k_ade20k-512x512.py']

model = dict(
    backbone=dict(
        arch='s36-hybrid',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s36-hybrid'),
    )
)
