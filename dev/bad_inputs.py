"""Bad, odd and foreign inputs of the tools, each as the command that gives it to one of them.

``dev.bad_input_table`` runs them. A case's command is run in an empty folder of its own.
"""

import copy
import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from dev.hostile_checkpoints import BOUNDS, CODE, SOURCE, archived, saved

ROOT = Path(__file__).parents[1]
DET = ROOT / 'configs/det/maskrcnn_spanetv2_shapes.py'
SEG = ROOT / 'configs/seg/upernet_spanetv2_shapes.py'
CLS = ROOT / 'configs/cls/spanetv2_shapes.py'
SHOWN = (
    'eval',
    'getattr and _rebuild_from_type_v2',
    'state of a class',
    'object array',
    'code in meta, which MMEngine executes',
    '40 TB by stride 0',
    '4 TB storage',
    'zip bomb',
    'nested tuple as a key',
    'deep lists',
)
"""The hostile files that all tools are given; the others go to two of them."""


@dataclass(frozen=True)
class Case:
    """One input for one tool.

    Attributes:
        section: Of the page.
        input: What is given, in a few words.
        tool: The script's name and, if that matters, its option.
        command: The script below ``tools/``, and its arguments.
        fits: Whether the tool can do its work with it.
    """

    section: str
    input: str
    tool: str
    command: tuple[str, ...]
    fits: bool = False


@dataclass(frozen=True)
class Workspace:
    """Good files to spoil, in a folder.

    Attributes:
        folder: Where spoiled files go.
        shapes: The data set Shapes, a few images of it in all layouts.
        checkpoint: The file of a short training of the classifier.
        detector: A file of the detector with random weights.
        url: Of the server of :mod:`dev.bad_input_table`.
    """

    folder: Path
    shapes: Path
    checkpoint: Path
    detector: Path
    url: str

    def checkpoint_path(self, name: str) -> Path:
        """The place of a spoiled checkpoint; without what --cfg-options drops or splits at."""
        return self.place('checkpoints', f'{re.sub(r"[ /,]", "_", name)}.pth')

    def place(self, *parts: str) -> Path:
        """A path for a spoiled file, its folder made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def cases(workspace: Workspace) -> Iterator[Case]:
    """All of them, in the order of the page."""
    yield from checkpoint_cases(workspace)
    yield from source_cases(workspace)
    yield from data_cases(workspace)
    yield from image_cases(workspace)
    yield from config_cases(workspace)
    yield from option_cases(workspace)
    yield from run_cases(workspace)
    yield from app_cases(workspace)


# Checkpoints.


def short(workspace: Workspace, layout: str, *more: str) -> tuple[str, ...]:
    """Settings that shorten a run on Shapes to a few images, without other processes."""
    root = workspace.shapes / layout
    parts = ('train', 'val', 'test')
    settings = [f'{part}_dataloader.dataset.data_root={root}' for part in parts]
    settings += [f'{part}_dataloader.num_workers=0' for part in parts]
    settings += [f'{part}_dataloader.persistent_workers=False' for part in parts]
    settings += ['train_dataloader.batch_size=4', 'train_cfg.val_interval=1']
    if layout == 'coco':
        file = root / 'annotations/instances_val2017.json'
        settings += [f'{part}_evaluator.ann_file={file}' for part in ('val', 'test')]
    settings += ['train_cfg.max_iters=2' if layout == 'ade' else 'train_cfg.max_epochs=2']
    return '--cfg-options', *settings, *more


def checkpoint_tools(workspace: Workspace, file: str) -> dict[str, tuple[str, ...]]:
    """Each tool that reads a checkpoint, with the command that has it read ``file``."""
    config, run = str(CLS), short(workspace, 'imagenet')
    images = ('--images', str(workspace.shapes / 'imagenet/val'), '--count', '1')
    few = (*images, '--show', '1')
    picture = str(next((workspace.shapes / 'imagenet/val').rglob('*.jpg')))
    return {
        'train --resume': ('train.py', config, '--work-dir', 'w', '--resume', file, *run),
        'train load_from': ('train.py', config, '--work-dir', 'w', *run, f'load_from={file}'),
        'test': ('test.py', config, file, '--work-dir', 'w', *run),
        'reproduce': ('reproduce.py', config, file, '--root', str(workspace.folder / 'claims'),
                      '--tolerance', '100', '--work-dir', 'w', *run),
        'demo': ('demo.py', picture, '--config', config, '--checkpoint', file, '--out-dir', 'w'),
        'export': ('deployment/export.py', config, file, '--out', 'w', '--size', '64',
                        '64', '--part', 'backbone'),
        'convert': ('model_converters/convert.py', file, 'out.pth', '--to', 'ours'),
        'publish': ('model_converters/publish.py', file, 'out.pth'),
        'inside': ('analysis_tools/inside.py', config, file, *few, '--out-dir', 'w'),
        'spectral_report': ('analysis_tools/spectral_report.py', config, file, *few, '--peers',
                            '--field-images', '1', '--out', 'w.html'),
        'graph_spectrum': ('analysis_tools/graph_spectrum.py', config, file, '--kernels', '2',
                           '--heads', '2', '--grid', '8', '--windows', '3', '--out-dir', 'w'),
        'feature_spectrum': ('analysis_tools/feature_spectrum.py', f'{config}={file}', *images,
                             '--out-dir', 'w'),
    }  # fmt: skip


RESUME = {'train --resume'}
WHOLE = {'test', 'reproduce', 'demo', 'export'}  # need all weights of the model
REWRITE = {'convert', 'publish'}  # need weights of any model
ANALYSIS = {'inside', 'spectral_report', 'graph_spectrum', 'feature_spectrum'}
LENIENT = {'train load_from'}  # takes what fits, as MMEngine does
FEW = ('train --resume', 'test', 'publish')  # of files with which the others do the same
ALIKE = ('spectral_report', 'graph_spectrum')  # read as inside.py does
ALL = RESUME | WHOLE | REWRITE | ANALYSIS | LENIENT
CONTENT = 'Checkpoints: what is in them'
STATE = 'Checkpoints: what is beside the weights'
FOREIGN = 'Checkpoints from strangers'


def checkpoint_cases(workspace: Workspace) -> Iterator[Case]:
    """Every kind of file for every tool that reads one."""
    for section, name, make, fitting in checkpoint_files(workspace):
        path = workspace.checkpoint_path(name)
        if not path.exists():
            make(path)
        for tool, command in checkpoint_tools(workspace, str(path)).items():
            few = FEW if section != FOREIGN else ('test',)
            is_for_all = section != STATE and (section != FOREIGN or name in SHOWN)
            if tool in few or (is_for_all and (section == FOREIGN or tool not in ALIKE)):
                yield Case(section, name, tool, command, tool in fitting)


Make = Callable[[Path], object]


def checkpoint_files(workspace: Workspace) -> Iterator[tuple[str, str, Make, set[str]]]:
    """Section, name, how the file is made, and the tools that can do with it."""
    good = workspace.checkpoint.read_bytes()
    content = torch.load(workspace.checkpoint, weights_only=False)
    weights = content['state_dict']

    def of(data: bytes) -> Make:
        return lambda path: path.write_bytes(data)

    def with_content(**changes: Any) -> Make:
        changed = {key: value for key, value in (content | changes).items() if value is not None}
        return of(saved(changed))

    def with_weight(value: Any, name: Any = 'backbone.norm.weight') -> Make:
        name = name if name != 'backbone.norm.weight' else next(iter(weights))
        return with_content(state_dict={**weights, name: value})

    first = next(iter(weights.values()))
    spoiled = first.clone()
    spoiled.view(-1)[0] = float('nan')
    section = 'Checkpoints: damaged files, and files of other kinds'
    yield section, 'no file', lambda path: None, set()
    yield section, 'a folder', lambda path: path.mkdir(exist_ok=True), set()
    yield section, 'a named pipe', lambda path: path.exists() or os.mkfifo(path), set()
    yield section, 'an endless device', lambda path: path.is_symlink() or path.symlink_to('/dev/zero'), set()  # fmt: skip  # noqa: E501
    yield section, 'no bytes', of(b''), set()
    yield section, 'cut in half', of(good[: len(good) // 2]), set()
    yield section, 'random bytes', of(np.random.default_rng(0).bytes(5000)), set()
    yield section, 'text', of(b'hello, world'), set()
    yield section, 'a web page', of(b'<!DOCTYPE html><html></html>'), set()
    yield section, 'compressed by gzip', of(b'\x1f\x8b' + bytes(30)), set()
    yield section, 'another zip archive', of(zipped({'photo.jpg': b'...'})), set()
    yield section, 'a pickle without torch.save', of(pickle.dumps({'a': 1})), set()
    yield section, 'an empty data.pkl', of(archived(b'')), set()
    yield section, 'a garbled data.pkl', of(archived(b'\x80\x02}s.')), set()
    yield section, 'TorchScript', of(torchscript()), set()
    yield (
        section,
        'written before PyTorch 1.6',
        of(saved(content, _use_new_zipfile_serialization=False)),
        ALL,
    )
    yield section, 'safetensors', of(safetensors(weights)), ALL - RESUME
    yield section, 'safetensors, cut', of(safetensors(weights)[:-9]), set()

    yield CONTENT, 'a list', of(saved([1])), set()
    yield STATE, 'weights alone', of(saved(weights)), ALL - RESUME
    yield CONTENT, 'state_dict is text', with_content(state_dict='weights'), set()
    yield CONTENT, 'state_dict is empty', with_content(state_dict={}), set()
    yield CONTENT, 'a number as a name', with_weight(first, 3), set()
    yield CONTENT, 'text among the weights', with_weight('text'), set()
    yield CONTENT, 'a complex weight', with_weight(first.to(torch.complex64)), set()
    yield CONTENT, 'a sparse weight', with_weight(first.to_sparse()), set()
    yield CONTENT, 'a weight on meta', with_weight(first.to('meta')), set()
    yield CONTENT, 'a quantized weight', with_weight(quantized(first)), set()
    yield CONTENT, 'a NaN weight', with_weight(spoiled), set()
    yield CONTENT, 'a weight of another size', with_weight(torch.ones(7)), REWRITE | LENIENT
    yield (
        CONTENT,
        'half of the weights',
        with_content(state_dict=dict(list(weights.items())[::2])),
        REWRITE | LENIENT,
    )
    yield (
        CONTENT,
        'weights of another model',
        with_content(state_dict=nn.Linear(2, 2).state_dict()),
        REWRITE,
    )
    yield STATE, 'without meta', with_content(meta=None), ALL - RESUME
    for name, described in (
        ('dataset_meta is a list', ['classes']),
        ('classes is 3', dict(classes=3)),
    ):
        changes = dict(dataset_meta=described)
        fitting = ALL if name == 'classes is 3' else set()
        yield STATE, name, with_content(meta=content['meta'] | changes), fitting
    yield CONTENT, 'meta is text', with_content(meta='a'), set()
    for name, changes in (
        ('epoch -1', dict(epoch=-1)),
        ("iter 'x'", dict(iter='x')),
        ('epoch 2**2000', dict(epoch=2**2000)),
        ('iter 2**2000', dict(iter=2**2000)),
    ):
        yield STATE, name, with_content(meta=content['meta'] | changes), ALL - RESUME
    mmcv_1 = dict(mmcv_version='1.7.0', epoch=1, iter=4, config='a = 1', CLASSES=('a',))
    yield (
        STATE,
        'of MMCV 1',
        of(saved(dict(meta=mmcv_1, state_dict=weights, optimizer=content['optimizer']))),
        ALL - RESUME,
    )
    optimizer = dict(state={}, param_groups=[dict(lr=0.1, params=[0])])
    yield STATE, 'of another optimizer', with_content(optimizer=optimizer), ALL - RESUME
    yield STATE, 'optimizer is text', with_content(optimizer='SGD'), ALL - RESUME
    yield STATE, 'messages are a list', with_content(message_hub=[1]), ALL - RESUME
    yield STATE, 'schedule is text', with_content(param_schedulers='cosine'), ALL - RESUME

    for name, seed in (('seed 2**40', 2**40), ('seed -1', -1), ('seed of text', 'x')):
        yield STATE, name, with_content(meta=content['meta'] | dict(seed=seed)), ALL - RESUME
    hostile = (CODE | BOUNDS).keys() - {'meta config'}
    for name in sorted(hostile, key=lambda name: (name not in SHOWN, name)):
        make = (CODE | BOUNDS)[name]
        yield FOREIGN, name, lambda path, make=make: path.write_bytes(make()), set()
    meta = content['meta'] | dict(config=SOURCE, cfg=SOURCE)
    yield FOREIGN, 'code in meta, which MMEngine executes', with_content(meta=meta), ALL


def zipped(parts: dict[str, bytes]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def torchscript() -> bytes:
    """What ``torch.jit.save`` writes."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), buffer)
    return buffer.getvalue()


def safetensors(weights: dict[str, torch.Tensor]) -> bytes:
    """What the library of that name writes."""
    from safetensors.torch import save

    return save({name: weight.contiguous() for name, weight in weights.items()})


def quantized(weight: torch.Tensor) -> torch.Tensor:
    """The weight in 8 bits, as PyTorch's own quantization keeps it."""
    return torch.quantize_per_tensor(weight.float(), 0.1, 0, torch.qint8)


# Sources.


def source_cases(workspace: Workspace) -> Iterator[Case]:
    """Addresses; :mod:`dev.bad_input_table` serves what is at those with http."""
    served = workspace.place('served', 'x').parent
    shutil.copy(workspace.checkpoint_path('half of the weights'), served / 'half.pth')
    shutil.copy(workspace.checkpoint_path('eval'), served / 'eval.pth')
    shutil.copy(workspace.checkpoint_path('a web page'), served / 'page.pth')
    shutil.copy(workspace.checkpoint, served / 'good.pth')
    for name, source in {
        'half of the weights by URL': f'{workspace.url}/half.pth',
        'code by URL': f'{workspace.url}/eval.pth',
        'a web page by URL': f'{workspace.url}/page.pth',
        'status 404': f'{workspace.url}/none.pth',
        'a body that breaks off': f'{workspace.url}/cut.pth',
        'a Content-Length of 40 TB': f'{workspace.url}/huge.pth',
        'a Content-Length that is no number': f'{workspace.url}/odd.pth',
        'led on to file:///etc/passwd': f'{workspace.url}/local.pth',
        'led on without end': f'{workspace.url}/loop.pth',
        'a server that is not there': 'http://127.0.0.1:9/a.pth',
        'a port that is none': 'http://127.0.0.1:99999999/a.pth',
        'no host': 'http:///a.pth',
        'another scheme': 'ftp://127.0.0.1/a.pth',
        'file:// of nothing': 'file:///no/such/file.pth',
        'file:// of another host': f'file://example.org{workspace.checkpoint}',
        'a NUL in the name': f'{workspace.url}/none%00.pth',
        'a name of 5000 letters': 'a' * 5000,
        'a URL of 5000 letters': f'{workspace.url}/{"a" * 5000}',
        'an unknown name': 'spanetv2://nope',
        'a name with dots': 'spanetv2://../../x',
    }.items():
        for tool in ('train --resume', 'test', 'demo', 'publish'):
            fits = name.startswith('half') and tool == 'publish'
            command = checkpoint_tools(workspace, source)[tool]
            yield Case('Checkpoints by address', name, tool, command, fits)


# Data sets.


def data_cases(workspace: Workspace) -> Iterator[Case]:
    """Spoiled data sets for check_data, train and test."""
    for name, change in COCO.items():
        root = workspace.place('data', name.replace(' ', '_'), 'x').parent
        if not (root / 'annotations').exists():
            shutil.copytree(workspace.shapes / 'coco', root, dirs_exist_ok=True)
            for part in ('train2017', 'val2017'):
                file = root / f'annotations/instances_{part}.json'
                content = json.loads(file.read_text())
                data = change(root / part, content)
                file.write_bytes(json.dumps(content).encode() if data is None else data)
        # An annotation that is only left out does not stop a run.
        fits = {'train', 'test'} if name in DROPPED else set()
        spoiled = Workspace(workspace.folder, root.parent, *[workspace.checkpoint] * 2, '')
        options = [o.replace(f'{root.parent}/coco', str(root)) for o in short(spoiled, 'coco')]
        for tool, command in {
            'check_data': ('check_data.py', str(DET), '--jobs', '1', *options),
            'train': ('train.py', str(DET), '--work-dir', 'w', *options),
            'test': ('test.py', str(DET), str(workspace.detector), '--work-dir', 'w', *options),
        }.items():
            yield Case('Data of detection', name, tool, command, tool in fits)
    yield from map_cases(workspace)
    yield from folder_cases(workspace)


Content = dict[str, Any]
Change = Callable[[Path, Content], bytes | None]
"""Spoils the images in a folder, or their annotations; may give other bytes for the file."""


def annotated(**changes: Any) -> Change:
    """Every image's first annotation with other values; those that are ... go."""

    def change(_: Path, content: Content) -> None:
        for annotation in content['annotations'][:1]:
            annotation.update(changes)
            for key in [key for key, value in changes.items() if value is ...]:
                del annotation[key]

    return change


def doubled(kind: str) -> Change:
    """The first of the images, annotations or categories twice."""
    return lambda _, content: content[kind].append(copy.deepcopy(content[kind][0]))


def replaced(**changes: Any) -> Change:
    """Other lists."""
    return lambda _, content: content.update(changes)


def first_image(spoil: Callable[[Path], object]) -> Change:
    """The file of the first image spoiled."""

    def change(folder: Path, content: Content) -> None:
        spoil(folder / content['images'][0]['file_name'])

    return change


def without_categories(_: Path, content: Content) -> None:
    """The list gone."""
    del content['categories']


def renamed_class(_: Path, content: Content) -> None:
    """A category of another name."""
    content['categories'][0]['name'] = 'unicorn'


COCO: dict[str, Change] = {
    'infinite box': annotated(bbox=[0, 0, float('inf'), 5]),
    'NaN box': annotated(bbox=[float('nan'), 0, 5, 5]),
    'box of three numbers': annotated(bbox=[0, 0, 5]),
    'box of text': annotated(bbox='all'),
    'no box': annotated(bbox=...),
    'area of text': annotated(area='big'),
    'box without area': annotated(bbox=[1, 1, 0, 5]),
    'unknown image': annotated(image_id=987654),
    'unknown category': annotated(category_id=77),
    'image listed twice': doubled('images'),
    'annotation listed twice': doubled('annotations'),
    'category listed twice': doubled('categories'),
    'no segmentation': annotated(segmentation=...),
    'empty segmentation': annotated(segmentation=[]),
    'segmentation of text': annotated(segmentation='here'),
    'polygon of two points': annotated(segmentation=[[1, 1, 2, 2]]),
    'run-length code of another size': annotated(segmentation=dict(size=[3, 3], counts=[9])),
    'run-length code that is none': annotated(segmentation=dict(size=[3, 3], counts='\x00~')),
    'no annotations': replaced(annotations=[]),
    'no images': replaced(images=[], annotations=[]),
    'no list of categories': without_categories,
    'images are a dict': replaced(images={}),
    'annotations of numbers': replaced(annotations=[1, 2]),
    'JSON that breaks off': lambda _, content: json.dumps(content).encode()[:-20],
    'JSON without end': lambda _, content: b'[' * 100_000,
    'a list at the top': lambda _, content: b'[]',
    'no JSON': lambda _, content: b'hello',
    'bytes that are no text': lambda _, content: b'\xff\xfe\xff',
    'another class': renamed_class,
    'missing image': first_image(lambda path: path.unlink()),
    'zero-byte image': first_image(lambda path: path.write_bytes(b'')),
    'cut image': first_image(lambda path: path.write_bytes(path.read_bytes()[:300])),
    'text as an image': first_image(lambda path: path.write_text('no image')),
}
DROPPED = {'box without area', 'unknown image', 'unknown category'}


def map_cases(workspace: Workspace) -> Iterator[Case]:
    """Spoiled label maps."""

    def write(pixels: np.ndarray) -> Callable[[Path], object]:
        return lambda path: cv2.imwrite(str(path), pixels)

    for name, spoil in {
        'label map of another size': write(np.zeros((7, 9), np.uint8)),
        'label out of range': lambda path: cv2.imwrite(
            str(path), np.full_like(cv2.imread(str(path), 0), 77)
        ),
        'label map in color': lambda path: cv2.imwrite(str(path), cv2.imread(str(path))),
        'missing label map': lambda path: path.unlink(),
        'cut label map': lambda path: path.write_bytes(path.read_bytes()[:40]),
    }.items():
        root = workspace.place('data', name.replace(' ', '_'), 'x').parent
        if not (root / 'annotations').exists():
            shutil.copytree(workspace.shapes / 'ade', root, dirs_exist_ok=True)
            for path in (root / 'annotations').rglob('*.png'):
                spoil(path)
        options = [
            option.replace(str(workspace.shapes / 'ade'), str(root))
            for option in short(workspace, 'ade')
        ]
        for tool, command in {
            'check_data': ('check_data.py', str(SEG), '--jobs', '1', *options),
            'train': ('train.py', str(SEG), '--work-dir', 'w', *options),
        }.items():
            yield Case('Data of segmentation and classification', name, tool, command)


def folder_cases(workspace: Workspace) -> Iterator[Case]:
    """Folders of classes that are not there, or empty."""
    empty = workspace.place('data', 'empty folders', 'train', 'x').parent.parent
    (empty / 'val').mkdir(exist_ok=True)
    for name, root in {'no folder': workspace.folder / 'none', 'empty folders': empty}.items():
        options = [
            option.replace(str(workspace.shapes / 'imagenet'), str(root))
            for option in short(workspace, 'imagenet')
        ]
        file = str(workspace.checkpoint)
        for tool, command in {
            'check_data': ('check_data.py', str(CLS), '--jobs', '1', *options),
            'train': ('train.py', str(CLS), '--work-dir', 'w', *options),
            'test': ('test.py', str(CLS), file, '--work-dir', 'w', *options),
        }.items():
            yield Case('Data of segmentation and classification', name, tool, command)


# Images for demo.py.


def image_cases(workspace: Workspace) -> Iterator[Case]:
    """Images and videos of all shapes for the three tasks."""
    rng = np.random.default_rng(0)

    def image(name: str, height: int, width: int, channels: int = 3, bits: int = 8) -> Path:
        path = workspace.place('images', name)
        kind = dict([(8, np.uint8), (16, np.uint16)])[bits]
        if not path.exists():
            shape = (height, width, channels) if channels > 1 else (height, width)
            cv2.imwrite(str(path), rng.integers(0, 2**bits, shape).astype(kind))
        return path

    def video(name: str, height: int, width: int) -> Path:
        path = workspace.place('images', name)
        if not path.exists():
            code = cv2.VideoWriter.fourcc(*'mp4v')
            writer = cv2.VideoWriter(str(path), code, 5, (width, height))
            for _ in range(2):
                writer.write(rng.integers(0, 255, (height, width, 3)).astype(np.uint8))
            writer.release()
        return path

    def spoiled(name: str, data: bytes) -> Path:
        path = workspace.place('images', name)
        path.write_bytes(data)
        return path

    good = image('good.jpg', 60, 80)
    video_bytes = video('good.mp4', 64, 64).read_bytes()
    inputs = {
        '20000 x 5 pixels': (image('wide.png', 5, 20000), False),
        '5 x 20000 pixels': (image('high.png', 20000, 5), False),
        '99 to 1': (image('narrow.png', 8, 792), True),
        'one pixel': (image('pixel.png', 1, 1), True),
        'gray': (image('gray.png', 50, 60, 1), True),
        '16 bits': (image('deep.png', 50, 60, 3, 16), True),
        'with transparency': (image('clear.png', 50, 60, 4), True),
        'no bytes': (spoiled('empty.jpg', b''), False),
        'cut image': (spoiled('cut.jpg', good.read_bytes()[:200]), False),
        'text': (spoiled('text.jpg', b'no image'), False),
        'video of 4096 x 16': (video('wide.mp4', 16, 4096), False),
        'cut video': (spoiled('cut.mp4', video_bytes[: len(video_bytes) // 2]), False),
        'text as a video': (spoiled('text.mp4', b'no video'), False),
        'no such file': (workspace.folder / 'images/none.jpg', False),
        'a folder without images': (workspace.folder / 'claims', False),
        'a glob of nothing': (workspace.folder / 'images/*.none', False),
    }
    for name, (path, fits) in inputs.items():
        for task, config in dict(detection=DET, segmentation=SEG, classification=CLS).items():
            command = ('demo.py', str(path), str(good), '--config', str(config), '--out-dir', 'w')
            is_too_small = name == 'one pixel' and task == 'segmentation'  # which does not resize
            yield Case('Images for demo.py', name, task, command, fits and not is_too_small)


# Configs.

CONFIGS = {
    'no file': None,
    'a folder': ...,
    'no bytes': '',
    'syntax error': 'a = (\n',
    'bytes that are no text': '\0',
    'a base that leads back': "_base_ = 'config.py'\n",
    'a missing base': "_base_ = 'gone.py'\n",
    'a function without end': 'def f():\n    return f()\n\n\na = f()\n',
    'import of nothing': 'import no_such_module\n',
    'attribute of nothing': 'a = 1\n\nb = a.nope\n',
    'division by 0': 'a = 1 / 0\n',
    'exit': 'raise SystemExit(0)\n',
    'a model of text': "_base_ = {base!r}\nmodel = 'ResNet'\n",
    'a model without type': '_base_ = {base!r}\nmodel = dict(_delete_=True, depth=3)\n',
    'unknown model': "_base_ = {base!r}\nmodel = dict(type='Nope')\n",
    'unknown backbone': "_base_ = {base!r}\nmodel = dict(backbone=dict(type='Nope'))\n",
    'unknown arch': "_base_ = {base!r}\nmodel = dict(backbone=dict(_delete_=True, "
    "type='mmspanet.SPANetV2', arch='nope'))\n",
    'unknown argument': '_base_ = {base!r}\nmodel = dict(backbone=dict(nope=1))\n',
    'unknown scope': "_base_ = {base!r}\ndefault_scope = 'nope'\n",
    'no scope': '_base_ = {base!r}\ndefault_scope = None\n',
    'no data sets': '_base_ = {base!r}\ntrain_dataloader = None\nval_dataloader = None\n'
    'test_dataloader = None\n',
    'data loader of text': "_base_ = {base!r}\ntrain_dataloader = 'a'\nval_dataloader = 'a'\n"
    "test_dataloader = 'a'\n",
    'unknown data set': "_base_ = {base!r}\ntrain_dataloader = dict(dataset=dict(type='No'))\n"
    "test_dataloader = dict(dataset=dict(type='No'))\n",
    'unknown transform': "_base_ = {base!r}\npipe = [dict(type='No')]\n"
    'train_dataloader = dict(dataset=dict(pipeline=pipe))\n'
    'test_dataloader = dict(dataset=dict(pipeline=pipe))\n',
    'import of nothing by name': "_base_ = {base!r}\ncustom_imports = dict(imports=['no_such'])\n",
}  # fmt: skip
READABLE = {'no data sets', 'unknown transform'}  # classes are found, or none are asked for
DATA_ONLY = READABLE | {'data loader of text', 'unknown data set'}
MODEL_ONLY = {'a model of text', 'a model without type', 'unknown model', 'unknown backbone',
              'unknown arch', 'unknown argument'}  # fmt: skip


def config_cases(workspace: Workspace) -> Iterator[Case]:
    """Configs that can't be read or built, for every tool that reads one."""
    file, shapes = str(workspace.checkpoint), str(workspace.shapes / 'imagenet/val')
    picture = str(next((workspace.shapes / 'imagenet/val').rglob('*.jpg')))
    options = short(workspace, 'imagenet')
    few = ('--images', shapes, '--count', '1')
    for name, text in CONFIGS.items():
        path = workspace.place('configs', name, 'config.py')
        if text is ...:
            path.mkdir(exist_ok=True)
        elif text is not None:
            path.write_text(text.replace('{base!r}', repr(str(CLS))))
        config = str(path)
        needs_options = '_base_ = {base' in (text if isinstance(text, str) else '')
        run = options if needs_options and name != 'data loader of text' else ()
        run = () if name == 'no data sets' else run
        for tool, command in {
            'train': ('train.py', config, '--work-dir', 'w', *run),
            'test': ('test.py', config, file, '--work-dir', 'w', *run),
            'demo': ('demo.py', picture, '--config', config, '--out-dir', 'w'),
            'check_data': ('check_data.py', config, '--jobs', '1', *run),
            'export': ('deployment/export.py', config, '--out', 'w', '--size', '64', '64',
                            '--part', 'backbone'),
            'get_flops': ('analysis_tools/get_flops.py', config),
            'inside': ('analysis_tools/inside.py', config, *few, '--out-dir', 'w', '--show', '1'),
            'feature_spectrum': ('analysis_tools/feature_spectrum.py', config, *few, '--out-dir',
                                 'w'),
        }.items():  # fmt: skip
            fits = (
                (name in DATA_ONLY and tool in ('export', 'get_flops'))
                or (name in READABLE and tool in ('inside', 'feature_spectrum'))
                or (name in MODEL_ONLY and tool == 'check_data')
                or (name == 'unknown transform' and tool == 'check_data')
            )
            yield Case('Configs', name, tool, command, fits)


# Options.


def option_cases(workspace: Workspace) -> Iterator[Case]:
    """Options of each tool that can't work."""
    config, file = str(CLS), str(workspace.checkpoint)
    run = short(workspace, 'imagenet')
    picture = str(next((workspace.shapes / 'imagenet/val').rglob('*.jpg')))
    few = ('--images', str(workspace.shapes / 'imagenet/val'), '--count', '1')
    settings = {
        'lr=-1': 'optim_wrapper.optimizer.lr=-1',
        'lr=fast': 'optim_wrapper.optimizer.lr=fast',
        'an optimizer Nope': 'optim_wrapper.optimizer.type=Nope',
        'batch_size=0': 'train_dataloader.batch_size=0',
        'batch_size=many': 'train_dataloader.batch_size=many',
        'num_workers=-1': 'train_dataloader.num_workers=-1',
        'max_epochs=0': 'train_cfg.max_epochs=0',
        'max_epochs=-3': 'train_cfg.max_epochs=-3',
        'indices=0': 'train_dataloader.dataset.indices=0',
        'checkpoint.interval=0': 'default_hooks.checkpoint.interval=0',
        'logger.interval=-1': 'default_hooks.logger.interval=-1',
        'a hook NoHook': 'default_hooks.logger.type=NoHook',
        'a schedule of text': 'param_scheduler=cosine',
        'key': 'key',
        '=5': '=5',
        'a=[1,(2': 'a=[1,(2',
        'a="dict(b=1)"': 'a="dict(b=1)"',
        'model=3': 'model=3',
        'model.backbone.arch=nope': 'model.backbone.arch=nope',
        'train_cfg.nope.deep=1': 'train_cfg.max_epochs.deep=1',
    }
    fits = {'a="dict(b=1)"'}
    for name, setting in settings.items():
        command = ('train.py', config, '--work-dir', 'w', *run, setting)
        yield Case('Options', f'--cfg-options {name}', 'train', command, name in fits)
    full = workspace.place('a file')
    full.write_text('')
    folder = str(workspace.folder / 'claims')
    train = ('train.py', config)
    test = ('test.py', config, file, *run, '--work-dir', 'w')
    demo = ('demo.py', picture, '--config', config, '--out-dir', 'w')
    export = ('deployment/export.py', config, '--part', 'backbone')
    flops = ('analysis_tools/get_flops.py', config)
    inside = ('analysis_tools/inside.py', config, *few, '--show', '1')
    report = ('analysis_tools/spectral_report.py', config, *few, '--peers')
    graph = ('analysis_tools/graph_spectrum.py',)
    feature = ('analysis_tools/feature_spectrum.py', config, *few)
    shapes = ('make_shapes.py', 'imagenet')
    reproduce = ('reproduce.py', config, file, '--root', folder, *run, '--work-dir', 'w')
    commands: dict[str, list[tuple[str, ...]]] = {
        '--launcher pytorch without its variables': [
            (*train, '--launcher', 'pytorch', '--work-dir', 'w', *run),
            (*test, '--launcher', 'pytorch'),
            (*reproduce, '--launcher', 'pytorch'),
        ],
        '--track nope': [(*train, '--track', 'nope', '--work-dir', 'w', *run)],
        'an unknown option': [(*c, '--nope') for c in (train, test, demo, export, flops, shapes)],
        '--device nope': [(*c, '--device', 'nope') for c in (demo, inside, report, graph, feature)],
        '--score nan': [(*demo, '--score', 'nan')],
        '--tolerance nan': [(*reproduce, '--tolerance', 'nan')],
        '--size 1 1': [(*export, '--size', '1', '1', '--out', 'w')],
        '--size -5 64': [(*export, '--size', '-5', '64', '--out', 'w')],
        '--size of a million': [(*export, '--size', '1000000', '1000000', '--out', 'w')],
        '--shape 1 1': [(*flops, '--shape', '1', '1')],
        '--shape 0 64': [(*flops, '--shape', '0', '64')],
        '--shape 10**9 a side': [(*flops, '--shape', '1000000000', '1000000000')],
        '--depth -1': [(*flops, '--depth', '-1')],
        '--size 1': [(*c, '--size', '1') for c in (inside, report, feature)],
        '--count 0': [(*inside, '--count', '0')],
        '--windows 4': [(*graph, '--windows', '4')],
        '--grid 2': [(*graph, '--grid', '2')],
        '--image-size 1': [(*graph, config, '--image-size', '1')],
        '--image of text': [(*graph, config, '--image', config)],
        '--cam-layer nope': [
            ('analysis_tools/inside.py', config, file, *few, '--cam-layer', 'nope'),
        ],
        '--blocks (': [(*feature, '--blocks', '(')],
        '--blocks of none': [(*feature, '--blocks', 'nope')],
        '--seed -1': [(*c, '--seed', '-1') for c in (inside, graph, feature, shapes)],
        '--seed of 30 digits': [(*c, '--seed', '9' * 30) for c in (inside, graph, feature, shapes)],
        '--images of nothing': [('analysis_tools/inside.py', config, '--images', 'none')],
        '--train -1': [(*shapes, '--train', '-1')],
        'an unknown layout': [('make_shapes.py', 'voc')],
        'model timm:nope': [('analysis_tools/feature_spectrum.py', 'timm:nope', *few)],
        'model mmpretrain::nope': [('analysis_tools/feature_spectrum.py', 'mmpretrain::no', *few)],
        '--out a.txt': [(*test, '--out', 'a.txt')],
        '--tta without its model': [(*test, '--tta')],
        '--to nowhere': [('model_converters/convert.py', file, 'out.pth', '--to', 'nowhere')],
        'a config without a claim': [
            ('reproduce.py', str(ROOT / 'configs/cls/spanetv2.py'), file, '--root',
             str(ROOT / 'dev')),
        ],
    }  # fmt: skip
    for name, given in commands.items():
        for command in given:
            yield Case('Options', name, Path(command[0]).stem, command)
    for name, place in {
        'below a file': f'{full}/w',
        'where nobody can write': '/proc/w/x',
    }.items():
        for command in (
            (*train, '--work-dir', place, *run),
            ('test.py', config, file, *run, '--work-dir', place),
            (*test, '--out', f'{place}.pkl'),
            (*test, '--show-dir', place),
            (*demo, '--out-dir', place),
            (*export, '--size', '64', '64', '--out', place),
            (*flops, '--json', f'{place}.json'),
            (*inside, '--out-dir', place),
            (*report, '--out', f'{place}.html', '--field-images', '1', '--show', '1'),
            (*graph, '--out-dir', place, '--kernels', '2', '--heads', '2', '--grid', '8',
             '--windows', '3'),
            (*feature, '--out-dir', place),
            (*shapes, '--root', place, '--train', '1', '--val', '1'),
            ('check_data.py', config, '--jobs', '1', '--out', f'{place}.csv', *run),
            ('model_converters/convert.py', file, place, '--to', 'ours'),
            ('model_converters/publish.py', file, f'{place}.pth'),
        ):  # fmt: skip
            option = next((o for o in reversed(command) if (o.startswith('--') and 'out' in o)
                           or o in ('--json', '--root', '--show-dir')), '')  # fmt: skip
            tool = Path(command[0]).stem
            label = f'{tool} {option}' if tool == 'test' and option else tool
            yield Case('Options', f'a place to write to {name}', label, command)
    for command in (
        (*test, '--out', folder),
        (*flops, '--json', folder),
        (*report, '--out', folder, '--field-images', '1', '--show', '1'),
        ('check_data.py', config, '--jobs', '1', '--out', folder, *run),
        ('model_converters/convert.py', file, folder, '--to', 'ours'),
    ):
        yield Case('Options', 'a folder as the file to write', Path(command[0]).stem, command)
    for command in ((*test, '--show-dir', str(full)), (*demo, '--out-dir', str(full)),
                    (*export, '--out', str(full)), (*shapes, '--root', str(full))):  # fmt: skip
        yield Case('Options', 'a file as the folder to write', Path(command[0]).stem, command)


# Folders of runs, and the app.


def run_cases(workspace: Workspace) -> Iterator[Case]:
    """Work dirs, and predictions in them, for the page of a run."""
    run, empty = workspace.folder / 'run', workspace.place('runs/empty/x').parent
    garbled = workspace.place('runs/garbled/vis_data/scalars.json')
    garbled.write_text('{"loss": 1')
    (garbled.parents[1] / CLS.name).write_text('model = ')
    file = workspace.place('a file')
    file.write_text('')
    code = zipfile.ZipFile(io.BytesIO(CODE['eval']()))
    pickled = next(code.read(part) for part in code.namelist() if part.endswith('data.pkl'))
    arguments: dict[str, tuple[object, ...]] = {
        'no folder': (workspace.folder / 'none',),
        'a file': (file,),
        'an empty folder': (empty,),
        'a garbled config and log': (garbled.parents[1],),
        'no predictions': (run, '--predictions', 'none.pkl'),
        'a checkpoint none': (run, '--checkpoint', 'none'),
        'another run, empty': (run, '--compare', empty),
    }
    for name, data in {
        'predictions that run code': pickled,
        'predictions, cut': pickle.dumps([dict(pred_score=[0.5])])[:-4],
        'predictions of text': pickle.dumps('none'),
        'predictions of another model': pickle.dumps([dict(boxes=1)]),
    }.items():
        place = workspace.place('runs', f'{name.replace(" ", "_")}.pkl')
        place.write_bytes(data)
        arguments[name] = (run, '--predictions', place)
    for name, given in arguments.items():
        command = ('analysis_tools/run_report.py', *map(str, given), '--out', 'w.html')
        yield Case('Folders of runs', name, 'run_report', command)


def app_cases(workspace: Workspace) -> Iterator[Case]:
    """What keeps the app from starting."""
    config, good = str(CLS), str(workspace.checkpoint)
    bad = ('no file', 'cut in half', 'a web page', 'half of the weights', 'a NaN weight')
    for name in (*bad, *SHOWN[:4]):
        file = str(workspace.checkpoint_path(name))
        yield Case('The app', name, 'app', ('app.py', config, file))
    empty = str(workspace.place('runs/empty/x').parent)
    for name, arguments in {
        'a config alone': (config,),
        'no config': ('none.py', good),
        'no runs': ('--work-dirs', empty),
        '--port of text': (config, good, '--port', 'http'),
        '--port 70000': (config, good, '--port', '70000'),
        '--device nope': (config, good, '--device', 'nope'),
        '--examples of nothing': (config, good, '--examples', 'none'),
    }.items():
        yield Case('The app', name, 'app', ('app.py', *arguments))
