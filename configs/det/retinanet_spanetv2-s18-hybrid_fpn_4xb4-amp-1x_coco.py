# Ours: the authors publish no RetinaNet.
_base_ = ['./retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco.py']

model = dict(
    backbone=dict(
        arch='s18-hybrid',
        drop_path_rate=0.15,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-hybrid'),
    )
)
