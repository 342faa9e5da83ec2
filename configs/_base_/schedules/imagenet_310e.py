# 300 epochs of a cosine and ten of cooldown, at an effective batch of 4096: 128 images x 4 GPUs x 8
# accumulated iterations, as in the released script of S18-pure.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    accumulative_counts=8,
    optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay for one-dimensional parameters and biases, as timm's scripts do.
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
)
# timm's cosine, one step an epoch: it counts from epoch 0 and the warm-up of 20 epochs hides its
# beginning, so that the rate after the warm-up is 0.989 of 4e-3. The rate stays at 1e-5 in the
# cooldown, whose epochs are validated like the others.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / 4e-3, by_epoch=True, begin=0, end=21),
    dict(type='CosineAnnealingLR', T_max=300, eta_min=1e-5, by_epoch=True, begin=0, end=301),
]
train_cfg = dict(by_epoch=True, max_epochs=310, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# Images per iteration (mmengine doesn't count accumulation).
auto_scale_lr = dict(base_batch_size=512)
