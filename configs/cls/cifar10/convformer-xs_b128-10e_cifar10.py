_base_ = './recipe_xs.py'

model = dict(
    backbone=dict(
        type='mmspanet.TimmMetaFormer',
        depths=(1, 1, 2, 1),  # as spanetv2-xs
        channels=(16, 32, 64, 96),
        mixers=('SepConv', 'SepConv', 'SepConv', 'SepConv'),
    ),
    neck=dict(in_channels=96),
    head=dict(in_channels=384),
)
