# Published: top-1 85.6 (ImageNet-1K, 224x224), 100 M printed, 101.8 M parameters, 23.9 G MACs.
_base_ = ['./spanetv2-s18-hybrid_4xb64-amp-310e_in1k.py']

model = dict(
    backbone=dict(arch='b36-hybrid', drop_path_rate=0.6),
    neck=dict(in_channels=768),
    head=dict(in_channels=3072),
)
# In float32, as the released script. Its clipping of the gradient and its head dropout of 0.5 are
# later edits. The first changes nothing, as LAMB itself clips the gradient to a norm of 1; the
# training script hands no dropout to the model, and there is none here.
optim_wrapper = dict(type='OptimWrapper', accumulative_counts=32, clip_grad=dict(max_norm=1.0))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=128)
