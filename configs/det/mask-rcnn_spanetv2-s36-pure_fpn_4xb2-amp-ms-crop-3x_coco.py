# Ours: the authors publish no Mask R-CNN of this size.
_base_ = ['./mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='s36-pure',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s36-pure'),
    )
)
