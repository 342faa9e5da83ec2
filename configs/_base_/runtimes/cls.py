# As MMPretrain's default_runtime.py.
_base_ = 'default.py'

default_scope = 'mmpretrain'
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=1, save_best='accuracy/top1'),
    visualization=dict(type='VisualizationHook', enable=False),
)
visualizer = dict(type='UniversalVisualizer')
