_base_ = './recipe.py'

model = dict(
    backbone=dict(
        type='mmspanet.SPANetV2',
        arch='s18-pure',
        input_size=64,  # the filters are stored for the size that they are trained at
        out_indices=(3,),
        output_norm=False,
    ),
)
