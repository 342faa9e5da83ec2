_base_ = './recipe_xs.py'

model = dict(
    backbone=dict(
        type='mmspanet.SPANetV2',
        # S18's design, a quarter as wide at the first stage; 64 and 96 channels are whole heads of
        # the hybrid's attention (32 each).
        arch=dict(depths=(1, 1, 2, 1), channels=(16, 32, 64, 96)),
        input_size=64,  # the filters are stored for the size that they are trained at
        out_indices=(3,),
        output_norm=False,
    ),
    neck=dict(in_channels=96),
    head=dict(in_channels=384),
)
