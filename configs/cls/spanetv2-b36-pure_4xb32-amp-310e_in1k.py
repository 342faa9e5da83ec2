# Published: top-1 85.0 (ImageNet-1K, 224x224), 100 M printed, 109.6 M parameters, 24.3 G MACs.
_base_ = ['./spanetv2-s18-pure_4xb128-amp-310e_in1k.py']

model = dict(
    backbone=dict(arch='b36-pure', drop_path_rate=0.6),
    neck=dict(in_channels=768),
    head=dict(in_channels=3072),
)
optim_wrapper = dict(accumulative_counts=32)
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=128)
