# The released classifier: raw maps of the last stage, the hidden MLP as a neck, a Linear head.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmspanet.SPANetV2', out_indices=(3,), output_norm=False),
    neck=dict(type='mmspanet.SPANetV2ClassifierNeck', in_channels=512),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
)
