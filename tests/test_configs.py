"""Every config builds, computes a loss and a prediction, and says what the recipe says."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmspanet.engine.device import adapt_to_cpu
from mmspanet.models import SPANetV2
from tests.helpers import DEVICE

CONFIGS = Path(__file__).parents[1] / 'configs'
FILES = {
    task: sorted(str(p.relative_to(CONFIGS)) for p in (CONFIGS / task).glob('*.py'))
    for task in ('det', 'seg', 'cls')
}
IGNORED = 255  # label of unlabeled pixels


def load(file: str) -> Config:
    """The config, without its pretrained weights and with what a CPU can't do turned off."""
    cfg = Config.fromfile(CONFIGS / file)
    cfg.model.backbone.pop('init_cfg', None)
    adapt_to_cpu(cfg)
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg: Config, registry):
    torch.manual_seed(0)
    model = registry.build(cfg.model)
    model.init_weights()
    return model.to(DEVICE)


def assert_trains_and_groups(cfg: Config, model, losses: dict) -> None:
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    grouped = sum(len(group['params']) for group in wrapper.optimizer.param_groups)
    assert grouped == len([p for p in model.parameters() if p.requires_grad])


def number_of_classes(model: Config) -> int:
    if 'roi_head' not in model:
        return model.bbox_head.num_classes
    heads = model.roi_head.bbox_head
    return (heads[-1] if isinstance(heads, list) else heads).num_classes


def take_fewer_regions(model: Config) -> None:
    """Most of the time of a two-stage detector would go into 512 regions an image."""
    model.train_cfg.rpn_proposal.max_per_img = model.test_cfg.rpn.max_per_img = 32
    stages = model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 32


def build_detector(file):
    """A detector that trains on few regions, its config, and whether it learns masks."""
    mmdet_registry = pytest.importorskip('mmdet.registry')
    cfg = load(file)
    with_mask = 'roi_head' in cfg.model
    if with_mask:
        take_fewer_regions(cfg.model)
    return build(cfg, mmdet_registry.MODELS), cfg, with_mask


@pytest.mark.parametrize('file', FILES['det'])
def test_detection(file):
    model, cfg, with_mask = build_detector(file)
    from mmdet.testing import demo_mm_inputs

    classes = number_of_classes(cfg.model)
    # Boxes over most of the image, so that every head has positives to learn from.
    inputs = demo_mm_inputs(
        2, [[3, 128, 128]] * 2, num_items=[3, 2], num_classes=classes, with_mask=with_mask
    )
    data = model.data_preprocessor(inputs, training=True)
    for sample in data['data_samples']:
        boxes = torch.tensor(
            [[8.0, 8, 100, 110], [40, 30, 120, 90], [10, 60, 50, 120]], device=DEVICE
        )
        sample.gt_instances.bboxes = boxes[: len(sample.gt_instances)]
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**model.data_preprocessor(inputs), mode='predict')
    assert len(predictions) == 2


@pytest.mark.parametrize(
    'file',
    [
        'det/cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py',
        'det/maskrcnn_spanetv2_shapes.py',
        'det/retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco.py',
    ],
)
def test_no_parameter_is_left_out_by_images_without_objects(file):
    """DDP would wait for its gradient for ever."""
    model, cfg, with_mask = build_detector(file)
    from mmdet.testing import demo_mm_inputs

    model.train()
    inputs = demo_mm_inputs(2, [[3, 64, 64]] * 2, num_items=[0, 0], with_mask=with_mask)
    data = model.data_preprocessor(inputs, training=True)
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))


@pytest.mark.parametrize('file', FILES['seg'])
def test_segmentation(file):
    mmseg_registry = pytest.importorskip('mmseg.registry')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg = load(file)
    cfg.model.data_preprocessor.size = (64, 64)
    model = build(cfg, mmseg_registry.MODELS)
    classes = cfg.model.decode_head.num_classes
    samples = []
    for _ in range(2):
        labels = torch.randint(0, classes, (1, 64, 64))
        if cfg.model.decode_head.loss_decode.get('class_weight') is None:
            labels[:, :4] = IGNORED  # upstream looks up a class's weight for these, too, and fails
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        sample.set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64), padding_size=[0] * 4))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**data, mode='predict')
    assert predictions[0].pred_sem_seg.data.shape == (1, 64, 64)
    assert predictions[0].seg_logits.data.shape[0] == classes


@pytest.mark.parametrize('file', FILES['cls'])
def test_classification(file):
    mmpretrain_registry = pytest.importorskip('mmpretrain.registry')
    from mmpretrain.structures import DataSample

    cfg = load(file)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = build(cfg, mmpretrain_registry.MODELS)
    classes = cfg.model.head.num_classes
    samples = [DataSample().set_gt_label(k) for k in range(2)]
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    model.train()
    assert_trains_and_groups(cfg, model, model(**data, mode='loss'))
    model.eval()
    with torch.no_grad():
        predictions = model(**data, mode='predict')
    assert predictions[0].pred_score.shape == (classes,)


# --- what the recipes say -----------------------------------------------------------------------
# Typed from the authors' released configs and scripts: Mask R-CNN and Cascade Mask R-CNN with S18,
# UperNet h320, Semantic FPN, the eight ImageNet recipes; and the drop path and channels below.
# Typed a second time from our own configs, of which no release exists: UperNet h512, Cascade Mask
# R-CNN with S36, and what differs on ImageNet (8 GPUs of 128 images).


# The published table: drop path by variant, and what each recipe adds to it.
DROP_PATH = {
    's18-pure': 0.2,
    's18-hybrid': 0.15,
    's36-pure': 0.3,
    's36-hybrid': 0.3,
    'm36-pure': 0.4,
    'm36-hybrid': 0.4,
    'b36-pure': 0.6,
    'b36-hybrid': 0.6,
}
CHANNELS = dict(
    s18=[64, 128, 320, 512],
    s36=[64, 128, 320, 512],
    m36=[96, 192, 384, 576],
    b36=[128, 256, 512, 768],
)
METHODS = ('mask-rcnn', 'cascade-mask-rcnn', 'retinanet', 'upernet', 'fpn', 'spanetv2-')
RELEASED = [
    (task, file)
    for task, files in FILES.items()
    for file in files
    if Path(file).name.startswith(METHODS) and any(s in file for s in ('_coco', '_ade20k', '_in1k'))
]


def variant(file: str) -> str:
    size, family = file.split('spanetv2-')[1].split('_')[0].split('-')[:2]
    return f'{size}-{family}'


def recipe(file: str) -> Config:
    return Config.fromfile(CONFIGS / file)


def files(*parts: str) -> list[str]:
    found = [file for _, file in RELEASED if all(part in file for part in parts)]
    assert found
    return found


def test_front_doors_are_s18_pure():
    for file in ('det/maskrcnn_spanetv2.py', 'seg/upernet_spanetv2.py', 'cls/spanetv2.py'):
        backbone = recipe(file).model.backbone
        assert backbone.type == 'mmspanet.SPANetV2'
        assert backbone.arch == 's18-pure'


def test_every_published_row_has_its_config():
    names = [Path(file).name for _, file in RELEASED]
    four = ['s18-pure', 's18-hybrid', 's36-pure', 's36-hybrid']
    wanted = (
        [f'mask-rcnn_spanetv2-{v}_' for v in four[:2]]
        + [f'cascade-mask-rcnn_spanetv2-{v}_' for v in four]
        + [f'upernet_spanetv2-{v}_h{width}_' for v in four for width in (320, 512)]
        + [f'fpn_spanetv2-{v}_' for v in four]
        + [f'spanetv2-{v}_' for v in DROP_PATH]
        + [f'spanetv2-{v}-scaled-sigmoid_' for v in ('s18-pure', 's36-hybrid')]
    )
    for start in wanted:
        assert len([name for name in names if name.startswith(start)]) == 1, start


def revised(arch):
    """A named arch with the mixer of the revision."""
    setting = SPANetV2.arch_settings[arch]
    mixers = tuple('SPAMRevision' if m == 'SPAM' else m for m in setting['mixers'])
    return setting | dict(mixers=mixers)


@pytest.mark.parametrize(('task', 'file'), RELEASED)
def test_backbone_of_a_recipe(task, file):
    cfg = recipe(file)
    backbone, arch = cfg.model.backbone, variant(file)
    assert backbone.drop_path_rate == DROP_PATH[arch]
    assert backbone.arch == (revised(arch) if 'scaled-sigmoid' in file else arch)
    channels = CHANNELS[arch[:3]]
    if task == 'cls':
        assert cfg.model.neck.in_channels == channels[-1]
        assert cfg.model.head.in_channels == 4 * channels[-1]
        return
    assert backbone.init_cfg == dict(type='Pretrained', checkpoint=f'spanetv2://{arch}')
    inputs = cfg.model.decode_head.in_channels if 'upernet' in file else cfg.model.neck.in_channels
    assert inputs == (channels[1:] if 'retinanet' in file else channels)
    assert {'tta_model', 'tta_pipeline'} <= set(cfg)


# (images a GPU, accumulated iterations, lr, decay rate) on 4 GPUs.
COCO_3X = {'/mask-rcnn': (2, 2, 1e-4, 0.95), '/cascade': (1, 4, 2e-4, 0.7)}


@pytest.mark.parametrize('file', files('3x_coco'))
def test_coco_3x_recipe(file):
    cfg = recipe(file)
    images, accumulated, lr, decay = next(v for k, v in COCO_3X.items() if k in file)
    wrapper = cfg.optim_wrapper
    optimizer = wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.betas) == (lr, 0.05, (0.9, 0.999))
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.get('clip_grad') is None
    assert wrapper.paramwise_cfg == dict(decay_rate=decay, decay_type='layer_wise')
    assert wrapper.accumulative_counts == accumulated
    assert cfg.train_dataloader.batch_size == images
    assert cfg.auto_scale_lr.base_batch_size == 4 * images
    assert 4 * images * accumulated == 16
    warmup, steps = cfg.param_scheduler
    assert (warmup.end, warmup.start_factor, warmup.by_epoch) == (1000, 0.001, False)
    assert warmup.end // accumulated == (500 if accumulated == 2 else 250)  # optimizer steps
    assert (steps.milestones, steps.gamma, cfg.train_cfg.max_epochs) == ([27, 33], 0.1, 36)
    flip, choice = cfg.train_dataloader.dataset.pipeline[2:4]
    assert flip.prob == 0.5
    plain, cropped = choice.transforms
    assert plain[0].scales == cropped[2].scales == [(s, 1333) for s in range(480, 801, 32)]
    assert cropped[0].scales == [(400, 1333), (500, 1333), (600, 1333)]
    assert (cropped[1].crop_size, cropped[1].crop_type) == ((384, 600), 'absolute_range')
    assert cropped[1].allow_negative_crop
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (1333, 800)
    assert cfg.model.data_preprocessor.pad_size_divisor == 32
    assert (cfg.model.neck.out_channels, cfg.model.neck.num_outs) == (256, 5)


@pytest.mark.parametrize('file', files('/cascade'))
def test_cascade_heads(file):
    model = recipe(file).model
    for head in model.roi_head.bbox_head:
        assert (head.num_shared_convs, head.num_shared_fcs) == (4, 1)
        assert head.norm_cfg.type == 'SyncBN'
        assert (head.loss_bbox.type, head.loss_bbox.loss_weight) == ('GIoULoss', 10.0)
        assert head.reg_decoded_bbox
        assert not head.reg_class_agnostic
    assert [stage.assigner.pos_iou_thr for stage in model.train_cfg.rcnn] == [0.5, 0.6, 0.7]


@pytest.mark.parametrize('file', files('160k_ade20k'))
def test_upernet_recipe(file):
    cfg = recipe(file)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.betas) == (1e-4, 0.05, (0.9, 0.999))
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.paramwise_cfg == dict(
        decay_rate=0.9, decay_type='stage_wise', num_layers=7 if '-s18-' in file else 11
    )
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.begin, warmup.end) == (1e-6, 0, 1500)
    assert (poly.power, poly.eta_min, poly.begin, poly.end) == (1.0, 0.0, 1500, 160000)
    assert cfg.train_cfg.max_iters == 160000
    assert cfg.train_dataloader.batch_size * 4 == cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(512, 512), stride=(341, 341))
    assert cfg.model.decode_head.channels == (320 if '_h320_' in file else 512)
    auxiliary = cfg.model.auxiliary_head
    assert (auxiliary.in_channels, auxiliary.in_index, auxiliary.channels) == (320, 2, 256)
    assert auxiliary.loss_decode.loss_weight == 0.4


@pytest.mark.parametrize('file', files('/fpn_'))
def test_semantic_fpn_recipe(file):
    cfg = recipe(file)
    wrapper = cfg.optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert 'constructor' not in wrapper  # no layer decay
    assert wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=1e-4)
    assert cfg.param_scheduler == [
        dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=40000)
    ]
    assert cfg.train_cfg.max_iters == 40000
    assert cfg.train_dataloader.batch_size * 4 == cfg.auto_scale_lr.base_batch_size == 32
    assert cfg.train_dataloader.dataset.type == 'ADE20KDataset'  # not repeated
    assert 'ResizeToMultiple' not in [t.type for t in cfg.test_dataloader.dataset.pipeline]
    assert cfg.model.test_cfg == dict(mode='whole')
    assert (cfg.model.neck.out_channels, cfg.model.decode_head.channels) == (256, 128)


@pytest.mark.parametrize('file', files('ade20k'))
def test_ade20k_data(file):
    cfg = recipe(file)
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomCrop'].crop_size == (512, 512)
    assert pipeline['RandomCrop'].cat_max_ratio == 0.75
    assert pipeline['RandomResize'].ratio_range == (0.5, 2.0)
    assert pipeline['RandomResize'].scale == (2048, 512)
    assert 'PhotoMetricDistortion' in pipeline
    assert 'reduce_zero_label' not in pipeline['LoadAnnotations']  # the data set says so
    datasets = pytest.importorskip('mmseg.datasets')
    options = {
        k: v for k, v in cfg.train_dataloader.dataset.items() if k not in ('type', 'pipeline')
    }
    assert cfg.train_dataloader.dataset.type == 'ADE20KDataset'
    assert datasets.ADE20KDataset(**options, pipeline=[], lazy_init=True).reduce_zero_label
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (2048, 512)
    scales = cfg.tta_pipeline[1].transforms[0]
    assert [s.scale[1] / 512 for s in scales] == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


@pytest.mark.parametrize('file', files('in1k'))
def test_imagenet_recipe(file):
    cfg = recipe(file)
    arch, wrapper = variant(file), cfg.optim_wrapper
    is_hybrid = arch.endswith('hybrid')
    name, lr = ('mmspanet.HeadwiseLamb', 8e-3) if is_hybrid else ('AdamW', 4e-3)
    optimizer = wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (name, lr, 0.05)
    in_float32 = arch in ('s36-pure', 'm36-hybrid', 'b36-hybrid')
    assert wrapper.type == ('OptimWrapper' if in_float32 else 'AmpOptimWrapper')
    assert ('-amp-' in file) is not in_float32
    clip = dict(max_norm=1.0) if arch == 'b36-hybrid' else None
    assert wrapper.get('clip_grad') == clip
    assert [a.alpha for a in cfg.model.train_cfg.augments] == [0.8, 1.0]
    assert cfg.model.head.loss.label_smooth_val == 0.1
    crops, _, operations, _ = cfg.train_dataloader.dataset.pipeline[1:-1]
    assert {crop.crop_ratio_range for crop in crops.transforms} == {(0.08, 1.0)}
    assert {operation.magnitude_level for operation in operations.transforms} == {9}
    assert cfg.data_preprocessor.erasing.p == 0.25
    resize = cfg.test_dataloader.dataset.pipeline[1]
    assert (resize.scale, resize.interpolation) == (224, 'bicubic')


def test_lamb_of_the_hybrids_builds():
    mmpretrain_registry = pytest.importorskip('mmpretrain.registry')
    cfg = load(files('cls', 's18-hybrid', 'amp')[0])
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = mmpretrain_registry.MODELS.build(cfg.model)
    assert type(build_optim_wrapper(model, cfg.optim_wrapper).optimizer).__name__ == 'HeadwiseLamb'


def test_one_dimensional_parameters_of_the_classifier_do_not_decay():
    mmpretrain_registry = pytest.importorskip('mmpretrain.registry')
    cfg = load('cls/spanetv2.py')
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = mmpretrain_registry.MODELS.build(cfg.model)
    decays = {}
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.optimizer.param_groups:
        decays |= {id(p): group['weight_decay'] for p in group['params']}
    for name, param in model.named_parameters():
        decay = 0.0 if param.ndim == 1 or name.endswith('.bias') else 0.05
        assert decays[id(param)] == decay, name
