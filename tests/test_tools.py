"""The scripts as users run them: second processes, real files, the libraries' own launchers."""

import json
import os
import pickle
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from leaderboard.rows import read_rows
from mmspanet.checkpoints.reader import read_state_dict
from tests.helpers import ROOT, SHAPES_CONFIGS, free_port, run, shapes_options

pytestmark = pytest.mark.slow


METRICS = dict(det='coco/segm_mAP', seg='mIoU', cls='accuracy/top1')


@pytest.mark.parametrize('task', SHAPES_CONFIGS)
def test_resume_and_test(task, trained, shapes_root, tmp_path):
    short = shapes_options(task, shapes_root)
    work_dir = shutil.copytree(trained(task), tmp_path / 'run')
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    assert METRICS[task] in scalars.read_text()
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    longer = {'seg': 'train_cfg.max_iters=8'}.get(task, 'train_cfg.max_epochs=2')
    log = run(
        ['tools/train.py', SHAPES_CONFIGS[task], '--work-dir', work_dir, '--resume', *short, longer]
    )
    assert 'resumed epoch: 1' in log or 'resumed epoch: 0, iter: 4' in log
    out = tmp_path / ('maps' if task == 'seg' else 'predictions.pkl')
    log = run(
        ['tools/test.py', SHAPES_CONFIGS[task], checkpoint, '--work-dir', tmp_path / 'test',
         '--out', out, '--show-dir', tmp_path / 'pictures', *short]
    )  # fmt: skip
    files = {path.name: path for path in (tmp_path / 'test').glob('*/*.json')}
    del files['run.json']  # what the page of the run is made of
    (metrics,) = files.values()
    assert METRICS[task] in json.loads(metrics.read_text())
    assert out.exists()
    pictures = [*tmp_path.rglob('pictures/**/*.png'), *tmp_path.rglob('pictures/**/*.jpg')]
    assert len(pictures) == 4


@pytest.mark.parametrize('task', ['det', 'seg'])
def test_test_time_augmentation(task, trained, shapes_root, tmp_path):
    checkpoint = (trained(task) / 'last_checkpoint').read_text()
    log = run(
        ['tools/test.py', SHAPES_CONFIGS[task], checkpoint, '--work-dir', tmp_path, '--tta',
         *shapes_options(task, shapes_root)]
    )  # fmt: skip
    assert dict(det='bbox_mAP', seg='mIoU')[task] in log


def test_two_processes(shapes_root, tmp_path):
    """gloo, DDP without find_unused_parameters: a parameter without gradient would be an error."""
    log = run(
        ['tools/dist_train.sh', SHAPES_CONFIGS['det'], 2, '--work-dir', tmp_path,
         *shapes_options('det', shapes_root)],
        PORT=free_port(), OMP_NUM_THREADS='1',
    )  # fmt: skip
    assert '2 CPU processes are joined by gloo' in log
    assert 'find_unused_parameters' not in log.replace('find_unused_parameters=False', '')
    assert '[1][2/2]' in log.replace(' ', '')  # 16 images: 2 iterations of 2 x 4
    checkpoint = (tmp_path / 'last_checkpoint').read_text()
    log = run(
        ['tools/dist_test.sh', SHAPES_CONFIGS['det'], checkpoint, 2, '--work-dir', tmp_path,
         *shapes_options('det', shapes_root)],
        PORT=free_port(), OMP_NUM_THREADS='1',
    )  # fmt: skip
    assert 'coco/segm_mAP' in log


def test_gloo_is_gone_before_the_exit(shapes_root, tmp_path):
    """A thread that still lets go of a tensor while Python ends would abort the process."""
    (tmp_path / 'run.py').write_text(
        'import runpy, sys, time\n'
        'from pathlib import Path\n'
        'del sys.argv[0]\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'for _ in range(600):  # a thread that has ended may be listed for a moment\n'
        '    tasks = Path("/proc/self/task").glob("*/comm")\n'
        '    count = sum("gloo" in path.read_text() for path in tasks)\n'
        '    if not count:\n'
        '        break\n'
        '    time.sleep(0.1)\n'
        'print("threads at the end:", count)\n'
    )

    def alone(*command):
        log = run(
            [tmp_path / 'run.py', *command, '--launcher', 'pytorch', '--work-dir', tmp_path,
             *shapes_options('cls', shapes_root)],
            RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(),
        )  # fmt: skip
        assert '1 CPU processes are joined by gloo' in log
        assert 'threads at the end: 0' in log

    alone('tools/train.py', SHAPES_CONFIGS['cls'])
    alone('tools/test.py', SHAPES_CONFIGS['cls'], (tmp_path / 'last_checkpoint').read_text())


@pytest.mark.parametrize(
    ('task', 'library'), [('det', 'mmdet'), ('seg', 'mmseg'), ('cls', 'mmpretrain')]
)
def test_the_libraries_own_train_scripts(task, library, shapes_root, tmp_path):
    script = Path(find_spec(library).submodule_search_locations[0]) / '.mim/tools/train.py'
    log = run(
        [
            script,
            ROOT / SHAPES_CONFIGS[task],
            '--work-dir',
            tmp_path / 'run',
            *shapes_options(task, shapes_root)[1:],  # all but --no-report
        ],
        cwd=tmp_path,
    )
    assert METRICS[task] in log


@pytest.mark.parametrize(('task', 'library'), [('det', 'mmdet'), ('seg', 'mmseg')])
def test_the_libraries_own_distributed_launchers(task, library, shapes_root, tmp_path):
    """Two processes. MMEngine's launcher needs CUDA: a module stands in for what it asks of it."""
    (tmp_path / 'no_cuda.py').write_text(
        'import torch\ntorch.cuda.set_device = lambda device: None\n'
    )
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{ROOT / SHAPES_CONFIGS[task]}'\n"
        "custom_imports = dict(imports=['no_cuda'])\n"
        "env_cfg = dict(dist_cfg=dict(backend='gloo'))\n"
        "model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)\n"
    )
    script = Path(find_spec(library).submodule_search_locations[0]) / '.mim/tools/dist_train.sh'
    log = run(
        [script, config, '2', '--work-dir', tmp_path / 'run',
         *shapes_options(task, shapes_root)[1:]],  # all but --no-report
        cwd=tmp_path,
        PYTHONPATH=f'{tmp_path}:{ROOT}',
        PORT=free_port(),
        CUDA_VISIBLE_DEVICES='',
    )  # fmt: skip
    assert METRICS[task] in log


@pytest.mark.parametrize('kind', ['DetVisualizationHook', 'mmdet.DetVisualizationHook', None])
def test_a_hook_that_draws(kind, trained, shapes_root, tmp_path):
    """--show-dir takes the library's, with and without its scope, and says so if there is none."""
    config = tmp_path / 'config.py'
    hook = f"dict(_delete_=True, type='{kind}')" if kind else None
    config.write_text(
        f"_base_ = '{ROOT / SHAPES_CONFIGS['det']}'\ndefault_hooks = dict(visualization={hook})\n"
    )
    checkpoint = (trained('det') / 'last_checkpoint').read_text()
    log = run(
        ['tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'test',
         '--show-dir', tmp_path / 'pictures', *shapes_options('det', shapes_root)],
        status=0 if kind else 1,
    )  # fmt: skip
    if kind:
        assert len([*tmp_path.rglob('pictures/**/*.jpg')]) == 4
    else:
        assert '--show-dir needs a hook' in log


def test_an_unknown_layout_is_named():
    log = run(['tools/make_shapes.py', 'voc'], status=2)
    assert log.rstrip().endswith('voc is none of coco, ade, imagenet')


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_launchers_without_arguments_say_what_they_need(script):
    said = subprocess.run(['bash', f'tools/{script}'], cwd=ROOT, capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (2, '')
    assert f'bash tools/{script}' in said.stderr


@pytest.mark.parametrize(
    ('script', 'arguments', 'expected'),
    [
        (
            'slurm_train.sh',
            ['part', 'job', 'c.py', 'work', '--amp'],
            '-p part --job-name=job --gres=gpu:4 --ntasks=8 --ntasks-per-node=4 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --quiet python -u tools/train.py c.py '
            '--work-dir=work --launcher=slurm --amp',
        ),
        (
            'slurm_test.sh',
            ['part', 'job', 'c.py', 'c.pth', '--tta'],
            '-p part --job-name=job --gres=gpu:4 --ntasks=8 --ntasks-per-node=4 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --quiet python -u tools/test.py c.py '
            'c.pth --launcher=slurm --tta',
        ),
    ],
)
def test_slurm_command_line(script, arguments, expected, tmp_path):
    """A stand-in for srun shows what the cluster would be asked for."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    shown = subprocess.run(
        ['bash', f'tools/{script}', *arguments],
        cwd=ROOT,
        env=os.environ
        | dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS_PER_NODE='4', SRUN_ARGS='--quiet'),
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == expected


def test_reproduce_says_what_came_out(trained, shapes_root, tmp_path):
    """A claim that is missed, without a leaderboard to record it, and one that is met, with it."""
    short = shapes_options('cls', shapes_root)[1:]  # all but --no-report
    checkpoint = (trained('cls') / 'last_checkpoint').read_text()
    root = tmp_path / 'root'
    (root / 'configs/cls').mkdir(parents=True)
    (root / SHAPES_CONFIGS['cls']).write_text('')
    metafile = root / 'configs/cls/metafile.yml'
    row = (ROOT / 'configs/cls/metafile.yml').read_text()
    command = ['tools/reproduce.py', SHAPES_CONFIGS['cls'], checkpoint, '--root', root]
    command += ['--work-dir', tmp_path / 'again', *short]
    metafile.write_text(row)  # claims 98.5
    assert 'NOT reproduced' in run(command, status=2)
    (missed,) = yaml.safe_load((tmp_path / 'again/reproduced.yml').read_text())
    assert not missed['reproduced']
    top1 = missed['metrics']['top-1']['measured']
    metafile.write_text(row.replace('Top 1 Accuracy: 98.5', f'Top 1 Accuracy: {top1}'))
    (root / 'leaderboard').mkdir()
    run(command)  # status 0
    path = root / 'leaderboard/reproduced.yml'
    (met,) = yaml.safe_load(path.read_text())
    assert met['reproduced']
    assert met['config'] == SHAPES_CONFIGS['cls']
    assert met['picked'] == 'not stated'
    assert len(met['checkpoint']) == 8
    launch = ['-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    run([*launch, *command, '--launcher', 'pytorch'], OMP_NUM_THREADS='1')
    assert len(yaml.safe_load(path.read_text())) == 2  # one entry of two processes


def checkout(root, met):
    """What tools/reproduce.py --all reads and writes, with another claim of the classifier."""
    shutil.copytree(ROOT / 'configs', root / 'configs')
    (root / 'leaderboard').mkdir()
    for name in ('leaderboard/peers.yml', 'leaderboard/peer_costs.json'):
        shutil.copy(ROOT / name, root / name)
    metafile = root / 'configs/cls/metafile.yml'
    text = metafile.read_text()
    assert 'Top 1 Accuracy: 98.5' in text
    metafile.write_text(text.replace('Top 1 Accuracy: 98.5', f'Top 1 Accuracy: {met}'))


def test_all_rows_one_after_the_other(trained, shapes_root, tmp_path):
    """One reproduced, one not, one damaged, one missing; the next call does what is left."""
    cls, seg = trained('cls'), trained('seg')
    (scalars,) = cls.glob('*/vis_data/scalars.json')
    top1 = json.loads(scalars.read_text().splitlines()[-1])['accuracy/top1']
    root, runs = tmp_path / 'root', tmp_path / 'runs'
    checkout(root, met=top1)  # the short training of the segmentor misses its claim
    (runs / 'maskrcnn_spanetv2_shapes').mkdir(parents=True)
    (runs / 'maskrcnn_spanetv2_shapes/best_coco_bbox_mAP_epoch_1.pth').write_bytes(b'no weights')
    (runs / 'upernet_spanetv2_shapes').symlink_to(seg)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/shapes').symlink_to(shapes_root)
    command = [ROOT / 'tools/reproduce.py', '--all', '--pick', 'best', '--root', root]
    command += ['--runs', runs]
    names = ('maskrcnn_spanetv2', 'upernet_spanetv2', 'spanetv2')

    def call(status):
        lines = run(command, cwd=tmp_path, status=status).splitlines()
        rows = [[c.strip() for c in line.split('|')[1:-1]] for line in lines if '| conf' in line]
        found = {Path(config).stem: (what, why) for config, what, why in rows[1:]}
        of_shapes = {name: found.pop(f'{name}_shapes') for name in names}
        assert {what for what, _ in found.values()} == {'no checkpoint'}  # nobody trained them
        return of_shapes

    outcomes = call(status=1)
    assert outcomes['maskrcnn_spanetv2'][0] == 'failed'
    assert 'best_coco_bbox_mAP_epoch_1.pth' in outcomes['maskrcnn_spanetv2'][1]
    assert outcomes['upernet_spanetv2'][0] == 'NOT reproduced'
    assert 'best of 1 validations on the reporting set' in outcomes['upernet_spanetv2'][1]
    assert outcomes['spanetv2'][0] == 'no checkpoint'  # its run is yet to come
    assert [row.config for row in read_rows(root) if row.status == 'not reproduced'] == [
        'configs/seg/upernet_spanetv2_shapes.py'
    ]

    (runs / 'spanetv2_shapes').symlink_to(cls)
    (runs / 'maskrcnn_spanetv2_shapes/best_coco_bbox_mAP_epoch_1.pth').unlink()
    outcomes = call(status=0)
    assert {name: what for name, (what, _) in outcomes.items()} == dict(
        maskrcnn_spanetv2='no checkpoint', upernet_spanetv2='recorded', spanetv2='reproduced'
    )
    records = yaml.safe_load((root / 'leaderboard/reproduced.yml').read_text())
    assert [record['reproduced'] for record in records] == [False, True]


def test_an_authors_detector_works_everywhere(trained, shapes_root, tmp_path):
    """Their layout, with a dead classifier, in test.py, init_detector, DetInferencer, convert.py.

    The detector is a small one of ours, written in the authors' layout, so that all must agree.
    """
    short = shapes_options('det', shapes_root)
    checkpoint = (trained('det') / 'last_checkpoint').read_text()
    published = run(
        ['tools/model_converters/publish.py', checkpoint, tmp_path / 'small.pth']
    ).splitlines()[-1]
    theirs = tmp_path / 'theirs.pth'
    run(['tools/model_converters/convert.py', published, theirs, '--to', 'authors'])
    file = torch.load(theirs, weights_only=True)
    assert any('token_mixer.filter_1' in key for key in file['state_dict'])
    file['state_dict']['backbone.norm.weight'] = torch.ones(192)
    file['state_dict']['backbone.head.fc1.weight'] = torch.ones(768, 192)
    torch.save(file, theirs)
    image = min((shapes_root / 'coco/val2017').glob('*.jpg'))
    script = tmp_path / 'infer.py'
    script.write_text(f"""
import sys, torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
config = {str(ROOT / SHAPES_CONFIGS['det'])!r}
boxes = []
for path in sys.argv[1:]:
    found = inference_detector(init_detector(config, path, device='cpu'), {str(image)!r})
    boxes.append(found.pred_instances.bboxes)
    inferencer = DetInferencer(config, path, device='cpu', show_progress=False)
    boxes.append(torch.tensor(inferencer({str(image)!r})['predictions'][0]['bboxes']))
assert len(boxes[0]) and all(torch.equal(boxes[0], other) for other in boxes[1:])
print('equal', len(boxes))
""")
    assert 'equal 4' in run([script, published, theirs])
    log = run(
        ['tools/test.py', SHAPES_CONFIGS['det'], theirs, '--work-dir', tmp_path / 'test', *short]
    )
    assert 'coco/segm_mAP' in log
    assert 'size mismatch' not in log
    assert 'missing keys' not in log
    back = tmp_path / 'back.pth'
    run(['tools/model_converters/convert.py', theirs, back, '--to', 'ours'])
    ours = torch.load(published, weights_only=True)['state_dict']
    again = torch.load(back, weights_only=True)['state_dict']
    assert all(torch.equal(again[key], ours[key]) for key in ours)


def test_two_processes_learn_what_one_learns(shapes_root, tmp_path):
    """Two times a batch of 4 and once a batch of 8: the same weights after 6 steps of SGD."""
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = {str(ROOT / SHAPES_CONFIGS['cls'])!r}
train_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))  # nothing random
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9)
)
param_scheduler = []
custom_hooks = []
""")
    weights = []
    for processes in (1, 2):
        work_dir = tmp_path / str(processes)
        short = [
            *shapes_options('cls', shapes_root),
            f'train_dataloader.batch_size={8 // processes}',
        ]
        short += ['train_cfg.max_epochs=3', 'train_cfg.val_interval=3']
        command = (
            ['tools/train.py', config] if processes == 1 else ['tools/dist_train.sh', config, 2]
        )
        run([*command, '--work-dir', work_dir, *short], PORT=free_port(), OMP_NUM_THREADS='1')
        weights.append(read_state_dict(work_dir / 'epoch_3.pth'))
    for key, one in weights[0].items():
        assert (one - weights[1][key]).abs().max() <= 1e-4 * one.abs().max(), key


class Bomb:
    """Makes a file when it is read from a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    'command',
    [
        ['tools/test.py', SHAPES_CONFIGS['cls'], 'BOMB'],
        ['tools/reproduce.py', SHAPES_CONFIGS['cls'], 'BOMB'],
        ['tools/train.py', SHAPES_CONFIGS['cls'], '--resume', 'BOMB'],
        ['tools/train.py', SHAPES_CONFIGS['cls'], '--resume'],
        ['tools/train.py', SHAPES_CONFIGS['cls'], 'load_from=BOMB'],
        ['tools/demo.py', 'docs/images', '--config', SHAPES_CONFIGS['cls'], '--checkpoint', 'BOMB'],
        ['tools/deployment/export.py', SHAPES_CONFIGS['cls'], 'BOMB', '--out', 'out.onnx'],
        [
            'tools/analysis_tools/inside.py',
            SHAPES_CONFIGS['cls'],
            'BOMB',
            '--images',
            'docs/images',
        ],
        [
            'tools/analysis_tools/feature_spectrum.py',
            'timm:resnet10t=BOMB',
            '--images',
            'docs/images',
        ],
        ['tools/model_converters/publish.py', 'BOMB', 'out.pth'],
        ['tools/model_converters/convert.py', 'BOMB', 'out.pth', '--to', 'ours'],
    ],
)
def test_a_checkpoint_can_not_run_code(command, shapes_root, tmp_path):
    """Nothing of a stranger's file is run, and its name is in the error."""
    bomb = tmp_path / 'work' / 'epoch_1.pth'
    bomb.parent.mkdir()
    content = dict(state_dict=dict(a=torch.ones(1)), meta=Bomb(tmp_path / 'ran'))
    torch.save(content, bomb, pickle_module=pickle)
    if command[0] in ('tools/test.py', 'tools/train.py', 'tools/reproduce.py'):
        place = command.index('load_from=BOMB') if 'load_from=BOMB' in command else len(command)
        own = 1 if command[0] == 'tools/reproduce.py' else 0  # which has no --no-report
        shortened = ['--work-dir', bomb.parent, *shapes_options('cls', shapes_root)[own:]]
        command = [*command[:place], *shortened, *command[place:]]
    command = [str(part).replace('BOMB', str(bomb)) for part in command]
    log = run(command, status=None)
    assert not (tmp_path / 'ran').exists()
    assert 'epoch_1.pth' in log
    assert 'trust' in log or 'UnpicklingError' in log


def test_an_authors_segmentor_works_everywhere(shapes_root, tmp_path):
    """A small UperNet with random weights, in our layout and the authors': both must agree."""
    image = min((shapes_root / 'ade/images/validation').glob('*.jpg'))
    script = tmp_path / 'infer.py'
    script.write_text(f"""
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmspanet.checkpoints import model_to_authors
config = {str(ROOT / SHAPES_CONFIGS['seg'])!r}
cfg = Config.fromfile(config)
init_default_scope('mmseg')
torch.manual_seed(0)
model = MODELS.build(cfg.model)
model.init_weights()
ours = model.state_dict()
meta = dict(dataset_meta=dict(classes=cfg.metainfo.classes, palette=cfg.metainfo.palette))
theirs = model_to_authors(ours) | {{'backbone.head.fc1.weight': torch.ones(4, 4)}}
maps = []
for name, weights in (('ours', ours), ('theirs', theirs)):
    path = f'{tmp_path}/{{name}}.pth'
    torch.save(dict(state_dict=weights, meta=meta), path)
    maps.append(inference_model(init_model(config, path, device='cpu'), {str(image)!r}))
    inferencer = MMSegInferencer(config, path, device='cpu')
    maps.append(inferencer({str(image)!r}, return_datasamples=True))
labels = [found.pred_sem_seg.data for found in maps]
assert labels[0].unique().numel() > 1 and all(torch.equal(labels[0], x) for x in labels[1:])
print('equal', len(labels))
""")
    assert 'equal 4' in run([script])
    log = run(
        ['tools/test.py', SHAPES_CONFIGS['seg'], tmp_path / 'theirs.pth', '--deploy',
         '--dtype', 'bf16', '--work-dir', tmp_path / 'test', *shapes_options('seg', shapes_root)]
    )  # fmt: skip
    assert '1 SPANetV2 switched to the deployed form in torch.bfloat16' in log
    assert 'mIoU' in log


def test_an_authors_classifier_works_in_the_inferencer(shapes_root, tmp_path):
    """The bare ImageNet file of a release, against the whole model in our layout."""
    image = min((shapes_root / 'imagenet/val').glob('*/*'))
    script = tmp_path / 'infer.py'
    script.write_text(f"""
import torch
from mmpretrain import ImageClassificationInferencer
from mmspanet.checkpoints import model_from_authors
from tests import golden
config = {str(ROOT / 'configs/cls/spanetv2.py')!r}
theirs = golden.state_dict('s18_pure')
scores = []
for name, weights in dict(theirs=theirs, ours=dict(state_dict=model_from_authors(theirs))).items():
    path = f'{tmp_path}/{{name}}.pth'
    torch.save(weights, path)
    inferencer = ImageClassificationInferencer(config, pretrained=path, device='cpu')
    scores.append(inferencer({str(image)!r})[0]['pred_scores'])
assert scores[0].size == 1000 and scores[0].std() > 0
assert (scores[0] == scores[1]).all()
print('equal', scores[0].argmax())
""")
    log = run([script])
    assert 'equal' in log
    assert 'missing keys' not in log
    assert 'size mismatch' not in log
