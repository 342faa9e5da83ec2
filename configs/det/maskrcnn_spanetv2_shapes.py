# Mask R-CNN with a small SPANetV2 on synthetic Shapes: trains on two CPU cores in minutes.
_base_ = [
    '../_base_/models/mask-rcnn_spanetv2_fpn.py',
    '../_base_/datasets/shapes_instance.py',
    '../_base_/schedules/shapes.py',
    '../_base_/runtimes/det.py',
]

model = dict(
    backbone=dict(
        arch=dict(depths=(1, 1, 1, 1), channels=(32, 64, 128, 192)),
        input_size=128,  # the images' size, so that no filter is ever resized
        # Narrow stages learn faster from weights scaled by their fan than from std 0.02.
        init_cfg=dict(type='Xavier', layer=['Conv2d', 'Linear'], distribution='uniform'),
    ),
    neck=dict(
        in_channels=[32, 64, 128, 192], out_channels=64, num_outs=4, norm_cfg=dict(type='BN')
    ),
    # Narrower heads, and square anchors of 16, 32, 64 and 128 pixels: the objects are about as
    # wide as high, between 18 and 64 pixels.
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[4], ratios=[1.0], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        # Levels by size: boxes up to 56 pixels (2 x 28) are read at stride 4, half of MMDetection's
        # 112, as the objects are small; masks up to 224 (2 x 112), so all of them, at stride 4.
        # One sample per bin: a box of 64 pixels has 16 cells at stride 4 for 7 or 14 bins.
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=1), out_channels=64, finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=5),
        mask_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1), out_channels=64, finest_scale=112
        ),
        mask_head=dict(
            num_convs=3,
            in_channels=64,
            conv_out_channels=64,
            num_classes=5,
            norm_cfg=dict(type='BN'),
            loss_mask=dict(loss_weight=2.0),
        ),
    ),
    train_cfg=dict(
        # Half and a tenth of MMDetection's 256, 2000 and 1000: an image of 128 pixels has 1360
        # anchors, where one of COCO has some 270,000.
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        # 16 boxes instead of 512, half of them objects: an image has 2 to 6 of these.
        rcnn=dict(sampler=dict(num=16, pos_fraction=0.5)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=100),
        # Objects hide up to half of each other: soft NMS lowers the scores of overlapping boxes
        # instead of dropping them, and the thresholds keep what it has lowered.
        rcnn=dict(
            score_thr=0.02,
            nms=dict(type='soft_nms', iou_threshold=0.5, min_score=0.01),
            max_per_img=100,
        ),
    ),
)

max_epochs = 4
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20))
auto_scale_lr = dict(base_batch_size=4)
