_base_ = './recipe.py'

model = dict(
    # Mean and norm are inside the backbone (gap_before_final_norm), as its paper has it.
    backbone=dict(type='ConvNeXt', arch='tiny', drop_path_rate=0.0),
    neck=None,
    head=dict(in_channels=768),
)
