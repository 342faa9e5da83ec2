_base_ = './recipe.py'

model = dict(
    backbone=dict(
        type='mmspanet.TimmMetaFormer',
        depths=(3, 3, 9, 3),
        channels=(64, 128, 320, 512),
        mixers=('SepConv', 'SepConv', 'SepConv', 'SepConv'),
    ),
)
