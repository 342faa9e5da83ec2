_base_ = './recipe.py'

model = dict(
    # As many MACs and parameters as spanetv2-xs. Mean and norm are inside the backbone, as its
    # paper has it.
    backbone=dict(
        type='ConvNeXt',
        arch=dict(depths=(2, 2, 2, 1), channels=(8, 16, 32, 96)),
        drop_path_rate=0.0,
    ),
    neck=None,
    head=dict(in_channels=96),
)
