_base_ = './recipe.py'

model = dict(
    backbone=dict(
        type='mmspanet.SPANetV2',
        # S18's design with a block a stage, an eighth as wide; 32 and 64 channels are whole heads
        # of the hybrid's attention.
        arch=dict(depths=(1, 1, 1, 1), channels=(8, 16, 32, 64)),
        input_size=64,  # the filters are stored for the size that they are trained at
        out_indices=(3,),
        output_norm=False,
    ),
    neck=dict(in_channels=64),
    head=dict(in_channels=256),
)
