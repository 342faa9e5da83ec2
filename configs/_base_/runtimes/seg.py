# As MMSegmentation's default_runtime.py.
_base_ = 'default.py'

default_scope = 'mmseg'
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000, save_best='mIoU'),
    visualization=dict(type='SegVisualizationHook'),
)
visualizer = dict(type='SegLocalVisualizer', name='visualizer')
log_processor = dict(by_epoch=False)
# As the authors' ADE20K configs and MMSegmentation's default_runtime.py.
env_cfg = dict(cudnn_benchmark=True)
