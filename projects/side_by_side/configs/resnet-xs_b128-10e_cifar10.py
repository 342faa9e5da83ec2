_base_ = './recipe.py'

model = dict(
    # As many MACs and parameters as spanetv2-xs, in ResNet's proportions: widths double.
    backbone=dict(
        type='mmspanet.ResNet23', depth=23, stem_channels=5, base_channels=5, out_indices=(3,)
    ),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=160),
)
