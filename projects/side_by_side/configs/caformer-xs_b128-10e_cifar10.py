_base_ = './convformer-xs_b128-10e_cifar10.py'

model = dict(backbone=dict(mixers=('SepConv', 'SepConv', 'Attention', 'Attention')))
