"""Every command that README and docs show: what runs it in a test, or why nothing does.

`tests/test_docs.py` holds each documented command to exactly one place here; the commands of
docs/your_own_data.md are run from the page itself by `tests/test_your_own_data.py`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """A command, run as it is written but for what `fill` replaces and `more` adds.

    Attributes:
        command: The documented text, without its comment.
        fill: What stands for placeholders, and smaller numbers for large ones.
        more: Options behind it that shorten the run.
        says: A text of its output.
        makes: A file that it leaves.
    """

    command: str
    fill: dict[str, str] = field(default_factory=dict)
    more: str = ''
    says: str = ''
    makes: str = ''

    @property
    def line(self) -> str:
        """What the shell gets."""
        line = self.command
        for old, new in self.fill.items():
            assert old in line, f'{old} is not in {line}'
            line = line.replace(old, new)
        return f'{line} {self.more}'


CLASSIFIER = 'configs/cls/spanetv2_shapes.py'
TRAINED = 'work_dirs/spanetv2_shapes/epoch_6.pth'
PHOTOS = 'data/shapes/imagenet/val'
FEW_IMAGES = '--cfg-options ' + ' '.join(
    f'{part}_dataloader.{option}'
    for part in ('train', 'val')
    for option in ('dataset.indices=8', 'num_workers=0', 'persistent_workers=False')
)
FEW_DRAWS = '--windows 3 5 --kernels 9 --heads 2'

# What the others need: images, and the classifier after its six epochs (of eight images).
FIRST = [
    Run('python tools/make_shapes.py imagenet', more='--train 8 --val 4', says='imagenet'),
    Run(
        'python tools/train.py CONFIG',
        fill={'CONFIG': CLASSIFIER},
        more=FEW_IMAGES,
        says='accuracy/top1',
        makes=TRAINED,
    ),
]

# Lists are run in their order.
AS_WRITTEN = dict(
    demo=[
        Run(
            'python tools/demo.py INPUT --config NAME [--checkpoint FILE]',
            fill={
                'INPUT': PHOTOS,
                'NAME': 'spanetv2_shapes.py',
                '[--checkpoint FILE]': f'--checkpoint {TRAINED}',
            },
            says='4 of 4 files done',
        )
    ],
    costs=[
        Run(
            'python tools/analysis_tools/get_flops.py CONFIG',
            fill={'CONFIG': 'configs/det/maskrcnn_spanetv2.py'},
            says='255.35',  # as the paper prints it, with one digit more
        ),
        Run(
            'tools/analysis_tools/get_flops.py CONFIG --json',
            fill={
                'tools/analysis': 'python tools/analysis',
                'CONFIG': CLASSIFIER,
                '--json': '--json costs.json',
            },
            makes='costs.json',
        ),
    ],
    leaderboard=[
        Run('python tools/leaderboard.py', says='rows in', makes='docs/leaderboard/index.html')
    ],
    hybrid=[
        Run(
            'python tools/train.py configs/cls/spanetv2_shapes.py --work-dir work_dirs/hybrid '
            '--cfg-options "model.backbone.arch.mixers=[SPAM,SPAM,MixAttention,Attention]"',
            more=FEW_IMAGES.removeprefix('--cfg-options '),
            says='accuracy/top1',
            makes='work_dirs/hybrid/epoch_6.pth',
        ),
        Run(
            'python tools/analysis_tools/graph_spectrum.py work_dirs/hybrid/spanetv2_shapes.py '
            'work_dirs/hybrid/epoch_6.pth --image-size 128',
            more=FEW_DRAWS,
            makes='work_dirs/graph_spectrum/attention.png',
        ),
    ],
    theory=[
        Run(
            'python tools/analysis_tools/graph_spectrum.py --out-dir work_dirs/graph_spectrum',
            fill={'work_dirs/graph_spectrum': 'work_dirs/theory'},
            more=FEW_DRAWS,
            makes='work_dirs/theory/windows.png',
        )
    ],
    features=[
        Run(
            'python tools/analysis_tools/feature_spectrum.py '
            'configs/cls/spanetv2_shapes.py=work_dirs/spanetv2_shapes/epoch_6.pth '
            'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py timm:vit_tiny_patch16_224 '
            '--images data/shapes/imagenet/val --size 224',
            says='4 images of 224 x 224 pixels',
        )
    ],
    two_machines=[  # both on this one, with a process each: tests/test_docs.py starts the second
        Run(
            'NNODES=2 NODE_RANK=0 MASTER_ADDR=HOST bash tools/dist_train.sh CONFIG 8',
            fill={'HOST': '127.0.0.1', 'CONFIG': CLASSIFIER, ' 8': ' 1 --work-dir work_dirs/two'},
            more=f'{FEW_IMAGES} train_cfg.max_epochs=1 train_cfg.val_interval=1',
            says='2 CPU processes are joined by gloo',
            makes='work_dirs/two/epoch_1.pth',
        )
    ],
)

# Run by a test of its own: the command, and that test.
BY_TEST = {
    'bash tools/quickstart.sh': 'tests/test_docs.py::test_the_quickstart_with_fewer_images',
    'bash tools/dist_train.sh CONFIG 2': 'tests/test_tools.py::test_two_processes',
    'bash tools/dist_test.sh CONFIG CHECKPOINT 8': 'tests/test_tools.py::test_two_processes',
    'MAX_RESTARTS=3 bash tools/dist_train.sh CONFIG 8 --resume': (
        'tests/test_tools.py::test_fault_drill'  # with two processes
    ),
    'python .venv/lib/python3.11/site-packages/mmdet/.mim/tools/train.py '
    'configs/det/maskrcnn_spanetv2_shapes.py': (
        'tests/test_tools.py::test_the_libraries_own_train_scripts'
    ),
    'python -m mmspanet.check_env': 'tests/test_check_env.py::test_this_environment',
    "python -c 'import mmspanet; print(mmspanet.__path__[0])'": (
        'tests/test_docs.py::test_the_package_says_where_it_is'
    ),
    'python tools/test.py CONFIG CHECKPOINT': 'tests/test_tools.py::test_train_resume_and_test',
    'tools/test.py --deploy': 'tests/test_tools.py::test_an_authors_segmentor_works_everywhere',
    'tools/test.py --out': 'tests/test_tools.py::test_train_resume_and_test',
    'tools/test.py --tta': 'tests/test_tools.py::test_test_time_augmentation',
    'tools/train.py --resume': 'tests/test_tools.py::test_train_resume_and_test',
    'python tools/make_shapes.py': 'tests/test_tools.py::test_train_resume_and_test',
    'python tools/reproduce.py CONFIG CHECKPOINT': (
        'tests/test_tools.py::test_reproduce_says_what_came_out'
    ),
    'python tools/misc/check_data.py CONFIG': 'tests/test_check_data.py::test_the_command',
    'python tools/benchmarks/train_side_by_side.py configs/cls/cifar10/*-xs*.py --seeds 0': (
        'tests/analysis/test_evidence.py::test_pairs_are_trained_once_within_the_time'
    ),
    'python tools/misc/long_run.py': 'tests/test_tools.py::test_long_run',
    'torchrun --nproc_per_node=2 tools/misc/fully_shard.py': (
        'tests/test_tools.py::test_fully_sharded_in_two_processes'
    ),
    'python tools/dataset_converters/cifar10.py cifar-10-python.tar.gz': (
        'tests/test_cifar10_converter.py::test_unpacks_an_archive_of_class_folders'
    ),
    'python tools/model_converters/convert.py IN.pth OUT.pth --to ours': (
        'tests/test_tools.py::test_an_authors_detector_works_everywhere'
    ),
    'python tools/model_converters/publish.py work_dirs/RUN/epoch_36.pth checkpoints/NAME.pth': (
        'tests/test_tools.py::test_an_authors_detector_works_everywhere'
    ),
    'python tools/deployment/export_onnx.py CONFIG [CHECKPOINT]': (
        'tests/deployment/test_export.py::test_the_command'
    ),
    'python tools/deployment/export_onnx.py configs/cls/spanetv2_shapes.py --dynamic-batch': (
        'tests/deployment/test_export.py::test_the_command'
    ),
    'python tools/analysis_tools/graph_spectrum.py [CONFIG [CHECKPOINT]]': (
        'tests/analysis/test_argument_figures.py::test_command_writes_all_figures'
    ),
    'python tools/analysis_tools/graph_spectrum.py CONFIG [CHECKPOINT]': (
        'tests/analysis/test_argument_figures.py::test_command_writes_all_figures'
    ),
    'python tools/analysis_tools/feature_spectrum.py MODEL ... --images DIR': (
        'tests/test_analysis_tools.py::test_feature_spectrum_of_several_models'
    ),
    'python tools/analysis_tools/spectral_report.py CONFIG [CHECKPOINT] --images DIR': (
        'tests/test_analysis_tools.py::test_report'
    ),
    'python tools/analysis_tools/inside.py configs/cls/spanetv2_shapes.py '
    'work_dirs/spanetv2_shapes/epoch_6.pth --images data/shapes/imagenet/val': (
        'tests/test_analysis_tools.py::test_inside'
    ),
    'python tools/analysis_tools/shape_bias.py --seeds 0 1': (
        'tests/analysis/test_shape_bias.py::test_command_trains_once_and_goes_on'
    ),
    'python tools/analysis_tools/shape_bias.py --seeds 0 1 --out-dir work_dirs/shape_bias': (
        'tests/analysis/test_shape_bias.py::test_command_trains_once_and_goes_on'
    ),
}

# Run by no test: why, and the commands.
NOT_RUN = {
    'is the set-up or the test suite itself; .ci/run runs it': [
        'bash tools/setup_env.sh',
        'bash tools/run_tests.sh',
        'bash tools/run_tests.sh --all',
    ],
    'needs COCO, ADE20K or ImageNet, and GPUs': [
        'bash tools/dist_train.sh configs/det/maskrcnn_spanetv2.py 4',
        'bash tools/dist_train.sh configs/seg/upernet_spanetv2.py 4',
        'bash tools/dist_train.sh configs/cls/spanetv2.py 8',
        'bash tools/dist_train.sh CONFIG 8',
    ],
    'needs COCO or ADE20K, and a GPU; that the options fit is held by '
    'tests/test_docs_examples.py::test_one_gpu_at_the_same_batch': [
        'python tools/train.py configs/det/maskrcnn_spanetv2.py --cfg-options '
        'optim_wrapper.accumulative_counts=8 param_scheduler.0.end=4000',
        'python tools/train.py configs/seg/upernet_spanetv2.py --cfg-options '
        'optim_wrapper.accumulative_counts=4 train_cfg.max_iters=640000 '
        'train_cfg.val_interval=64000 param_scheduler.0.end=6000 param_scheduler.1.begin=6000 '
        'param_scheduler.1.end=640000 default_hooks.checkpoint.interval=64000',
    ],
    'asks PyTorch alone': ["python -c 'import torch; print(torch.version.cuda)'"],
    'needs a Slurm cluster; its command line is held by '
    'tests/test_tools.py::test_slurm_command_line': [
        'GPUS=16 GPUS_PER_NODE=8 bash tools/slurm_train.sh PARTITION JOB CONFIG WORK_DIR',
    ],
    'takes up to 100 minutes; its parts are run in short by tests/test_tools.py::test_fault_drill '
    'and test_long_run': ['bash tools/misc/fault_drill.sh'],
    'is a benchmark: takes minutes, and its figures want an idle machine': [
        'python tools/benchmarks/cpu_speed.py',
        'python tools/benchmarks/cpu_speed.py --compile',
        'python tools/benchmarks/training_speed.py',
        'python tools/benchmarks/size_sweep.py --rounds 4',
        'python tools/benchmarks/roofline.py --rounds 7',
        'python tools/benchmarks/alternatives.py --rounds 9',
        'python tools/benchmarks/gpu_speed.py',
        'python tools/benchmarks/onnx_speed.py --rounds 7',
    ],
    'installs packages from the network; tools/setup_env.sh does the same': [
        'pip install torch==2.11.0 torchvision==0.26.0',
        "pip install 'setuptools>=77,<82' 'packaging>=24.2' wheel ninja",
        'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --no-binary onedl-mmcv '
        'onedl-mmcv==2.3.6',
        'pip install --no-deps --force-reinstall opencv-python-headless==4.12.0.88',
    ],
    'changes an installation; tools/misc/mim_drill.sh installs the wheel and the editable form': [
        "pip install '.[onedl]'",
        'pip install .',
        'pip install --no-deps .',
        'pip install -e .',
    ],
    'installs what an environment lacks; where the texts come from: tests/test_check_env.py': [
        "pip install -e '.[deploy]'",
        "pip install -e '.[analysis]'",
        "pip install 'setuptools<82'",
        'pip install --force-reinstall --no-deps torchvision==0.26.0',
        'pip install ftfy regex',
        'pip install seaborn',
        'pip uninstall -y opencv-python',
    ],
    'makes an environment of its own: minutes, and packages from the network': [
        'bash tools/misc/mim_drill.sh',
    ],
    'needs MIM, which wants an environment of its own; tools/misc/mim_drill.sh runs it': [
        'mim train onedl-mmdetection CONFIG',
        'mim train onedl-mmsegmentation CONFIG',
        'mim train mmseg CONFIG',
        'mim train onedl-mmpretrain CONFIG',
        'mim test onedl-mmdetection CONFIG -C CHECKPOINT',
        'mim run onedl-mmdetection browse_dataset CONFIG ...',
        'mim run onedl-mmpretrain confusion_matrix CONFIG CHECKPOINT ...',
        'mim run mmspanet make_shapes ...',
        'mim train mmdet CONFIG',
        'mim test mmdet CONFIG -C CHECKPOINT',
        'mim train mmspanet spanetv2_shapes.py',
        'mim train mmspanet CONFIG',
        'mim test mmspanet CONFIG -C CHECKPOINT',
        'mim train mmspanet maskrcnn_spanetv2_shapes.py',
    ],
    'stands for the commands of a table of docs/install.md': ['mim train', 'mim test'],
    'is run as it is installed by tools/misc/wheel_drill.sh': [
        'python .../mmspanet/.mim/tools/train.py CONFIG',
    ],
    'is a tool of a library: tried by hand, with the outcome that the table gives': [
        '$S/mmdet/.mim/tools/train.py CONFIG',
        '$S/mmdet/.mim/tools/test.py CONFIG CHECKPOINT',
        '$S/mmdet/.mim/tools/analysis_tools/browse_dataset.py CONFIG --output-dir DIR --not-show',
        '$S/mmdet/.mim/tools/analysis_tools/analyze_logs.py plot_curve LOG --keys loss_cls '
        '--style default --out FILE',
        '$S/mmdet/.mim/tools/analysis_tools/confusion_matrix.py CONFIG PREDICTIONS.pkl DIR',
        '$S/mmseg/.mim/tools/analysis_tools/browse_dataset.py CONFIG --output-dir DIR --not-show',
        '$S/mmseg/.mim/tools/analysis_tools/analyze_logs.py LOG --keys loss --out FILE',
        '$S/mmseg/.mim/tools/analysis_tools/confusion_matrix.py CONFIG MAPS DIR',
        '$S/mmseg/.mim/tools/analysis_tools/visualization_cam.py IMAGE CONFIG CHECKPOINT '
        '--target-layers backbone.norm3 --category-index 2 --device cpu',
        '$S/mmpretrain/.mim/tools/analysis_tools/confusion_matrix.py CONFIG CHECKPOINT '
        '--show-path FILE',
        '$S/mmpretrain/.mim/tools/visualization/browse_dataset.py CONFIG -o DIR --not-show',
    ],
    'writes into .git': [
        '.venv/bin/pip install pre-commit && .venv/bin/pre-commit install',
    ],
}
