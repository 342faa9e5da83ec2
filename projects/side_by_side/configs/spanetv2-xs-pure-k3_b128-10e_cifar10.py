_base_ = './spanetv2-xs-pure_b128-10e_cifar10.py'

model = dict(backbone=dict(arch=dict(mixers=[dict(type='SPAM', kernel_sizes=(3,) * 4)] * 4)))
