# Published: top-1 84.4 (ImageNet-1K, 224x224), 44 M parameters, 8.1 G MACs.
_base_ = ['./spanetv2-s18-pure_4xb128-amp-310e_in1k.py']

model = dict(backbone=dict(arch='s36-pure', drop_path_rate=0.3))
# Float32, as the released script has it now. When the figure was published the script used AMP, so
# the row may be of either: tools/train.py --amp trains in mixed precision.
optim_wrapper = dict(type='OptimWrapper', accumulative_counts=16)
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=256)
