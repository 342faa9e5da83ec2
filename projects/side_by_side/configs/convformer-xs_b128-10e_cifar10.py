_base_ = './recipe.py'

model = dict(
    backbone=dict(
        type='mmspanet.TimmMetaFormer',
        depths=(1, 1, 1, 1),  # as spanetv2-xs
        channels=(8, 16, 32, 64),
        mixers=('SepConv', 'SepConv', 'SepConv', 'SepConv'),
    ),
    neck=dict(in_channels=64),
    head=dict(in_channels=256),
)
