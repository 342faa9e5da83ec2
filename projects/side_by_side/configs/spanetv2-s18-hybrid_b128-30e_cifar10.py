_base_ = './spanetv2-s18-pure_b128-30e_cifar10.py'

model = dict(backbone=dict(arch='s18-hybrid'))
