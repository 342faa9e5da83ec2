# 300 epochs at an effective batch of 4096: 128 images x 8 GPUs x 4 accumulated iterations.
# lr 4e-3 warms up over 20 epochs from 1e-6 and falls along a cosine to 1e-5.
# As the authors' training script.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    accumulative_counts=4,
    optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay for one-dimensional parameters and biases, as timm's scripts do.
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / 4e-3,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        begin=20,
        end=300,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# Images per iteration (mmengine doesn't count accumulation).
auto_scale_lr = dict(base_batch_size=1024)
