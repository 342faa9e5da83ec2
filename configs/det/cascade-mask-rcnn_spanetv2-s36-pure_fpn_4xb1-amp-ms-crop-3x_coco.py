# Published: box AP 53.1, mask AP 45.9 (COCO val2017), 814 G MACs at 800x1280.
# The row comes without a config: the layer count below is ours, the rest is that of S18.
_base_ = ['./cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py']

model = dict(
    backbone=dict(
        arch='s36-pure',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='spanetv2://s36-pure'),
    )
)
# 18 blocks in stage 3 have the layer-wise ids 3 to 8, so the decay needs n = 9: with 6, blocks
# would get ids above the head's, a learning rate above the base one.
