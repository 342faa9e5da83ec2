# Published: top-1 83.4 (ImageNet-1K, 224x224), 29 M parameters, 4.2 G MACs: the best epoch.
# Where this and the other ImageNet configs differ from the released scripts, and what it weighs:
# docs/imagenet_recipe.md.
_base_ = [
    '../_base_/models/spanetv2_classifier.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/imagenet_310e.py',
    '../_base_/runtimes/cls.py',
]

model = dict(
    backbone=dict(arch='s18-pure', drop_path_rate=0.2),
    # One of the two for each batch, with equal probability.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
