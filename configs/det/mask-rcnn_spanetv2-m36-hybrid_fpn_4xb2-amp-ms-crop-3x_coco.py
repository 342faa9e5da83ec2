# Ours: the authors publish no Mask R-CNN of this size.
_base_ = ['./mask-rcnn_spanetv2-m36-pure_fpn_4xb2-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='m36-hybrid',
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://m36-hybrid'),
    )
)
