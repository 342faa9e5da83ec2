# Published: box AP 53.8, mask AP 46.4 (COCO val2017), 806 G MACs at 800x1280.
# The row comes without a config: the recipe is that of S18 with the drop path rate of S36.
_base_ = ['./cascade-mask-rcnn_spanetv2-s36-pure_fpn_4xb1-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='s36-hybrid',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s36-hybrid'),
    )
)
