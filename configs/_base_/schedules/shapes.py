# What the three configs on the synthetic data set Shapes share: AdamW with one rate for all layers.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmspanet.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=1.0),  # one rate for all; norms and biases don't decay
    optimizer=dict(
        type='AdamW',
        lr=2e-3,
        betas=(0.9, 0.99),  # some hundred steps: 0.999 would remember the first of them
        weight_decay=0.05,
        fused=True,  # one pass over all parameters
    ),
    clip_grad=dict(max_norm=5.0),
)
# Each epoch draws its own random numbers; docs/reliability.md says which resumed runs repeat.
custom_hooks = [dict(type='mmspanet.EpochSeedHook')]
randomness = dict(seed=0)
