# Published: box AP 49.6, mask AP 44.3 (COCO val2017), 251 G MACs at 800x1280.
_base_ = ['./mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='s18-hybrid',
        drop_path_rate=0.15,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s18-hybrid'),
    )
)
