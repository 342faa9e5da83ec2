# What the three libraries' default_runtime.py have in common, and what our runs add to it.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='mmspanet.BestCheckpointHook',
        max_keep_ckpts=3,  # and the best one beside them
        rule='greater',
        backend_args=dict(backend='atomic'),  # of mmspanet: no half-written file
    ),
    checkpoint_guard=dict(type='mmspanet.CheckpointGuardHook'),  # none of another model
    finite_weights=dict(type='mmspanet.FiniteWeightsHook'),  # no NaN in checkpoints
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
