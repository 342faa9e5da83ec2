_base_ = './convformer-s18_b128-30e_cifar10.py'

model = dict(backbone=dict(mixers=('SepConv', 'SepConv', 'Attention', 'Attention')))
