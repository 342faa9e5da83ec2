# What all runs of the study share: AdamW from scratch with a cosine, nothing tuned for one model.
# The learning rate is set per family from the sweep (results/rates.csv).
optim_wrapper = dict(
    type='OptimWrapper',
    # No weight decay for one-dimensional parameters and biases, as timm's scripts do.
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=5.0),
)
custom_imports = dict(
    imports=[
        'projects.side_by_side.photographs.backbones',
        'projects.side_by_side.photographs.boundary_iou',
        'projects.side_by_side.photographs.noise',
    ]
)
randomness = dict(seed=0)
