# Published: box AP 52.8, mask AP 45.7 (COCO val2017), 729 G MACs at 800x1280.
_base_ = ['./cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='s18-hybrid',
        drop_path_rate=0.15,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-hybrid'),
    )
)
