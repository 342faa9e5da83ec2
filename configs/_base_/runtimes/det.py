# As MMDetection's default_runtime.py; DetLocalVisualizer draws what the hook passes on.
_base_ = 'default.py'

default_scope = 'mmdet'
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=1, save_best='coco/bbox_mAP'),
    visualization=dict(type='DetVisualizationHook'),
)
visualizer = dict(type='DetLocalVisualizer', name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
