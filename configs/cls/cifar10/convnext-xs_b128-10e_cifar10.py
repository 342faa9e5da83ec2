_base_ = './recipe_xs.py'

model = dict(
    # As many MACs and parameters as spanetv2-xs, in ConvNeXt's proportions: widths double, most
    # blocks lie in stage 3. Mean and norm are inside the backbone, as its paper has it.
    backbone=dict(
        type='ConvNeXt',
        arch=dict(depths=(1, 2, 3, 1), channels=(18, 36, 72, 144)),
        drop_path_rate=0.0,
    ),
    neck=None,
    head=dict(in_channels=144),
)
