_base_ = './recipe_xs.py'

model = dict(
    # As many MACs and parameters as spanetv2-xs, in ResNet's proportions: widths double.
    backbone=dict(
        type='mmspanet.ResNet26', depth=26, stem_channels=10, base_channels=10, out_indices=(3,)
    ),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=320),
)
