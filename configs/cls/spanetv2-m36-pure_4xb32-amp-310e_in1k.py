# Published: top-1 84.9 (ImageNet-1K, 224x224), 61 M printed, 62.9 M parameters, 13.7 G MACs.
_base_ = ['./spanetv2-s18-pure_4xb128-amp-310e_in1k.py']

model = dict(
    backbone=dict(arch='m36-pure', drop_path_rate=0.4),
    neck=dict(in_channels=576),
    head=dict(in_channels=2304),
)
optim_wrapper = dict(accumulative_counts=32)
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=128)
