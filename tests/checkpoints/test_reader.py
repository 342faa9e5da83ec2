"""The reader gives what torch.load gives, runs nothing, and says in a sentence what a file is."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from dev.hostile_checkpoints import BOUNDS, CANARY, CODE, archived, genuine, saved
from mmspanet.checkpoints import pickles
from mmspanet.checkpoints.reader import (
    check_resumable,
    check_weights,
    config_values,
    inert_meta,
    read_checkpoint,
    read_file,
    read_state_dict,
)
from mmspanet.errors import CheckpointError
from tests.helpers import run


def assert_same(ours, theirs):
    """The same types and the same bits, all the way down."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        assert_same(list(ours.values()), list(theirs.values()))
        assert_same(getattr(ours, '_metadata', None), getattr(theirs, '_metadata', None))
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, HistoryBuffer):
        assert_same(vars(ours), vars(theirs))
    elif isinstance(theirs, torch.Tensor):
        same = ('dtype', 'shape', 'requires_grad', 'is_leaf')
        assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
        assert ours.stride() == theirs.stride()
        assert ours.untyped_storage().tolist() == theirs.untyped_storage().tolist()
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    else:
        assert ours == theirs or ours != ours


def varied():
    """Kinds of values that MMEngine's own files have, and those that PyTorch's may have."""
    base = torch.arange(24.0)
    dtypes = [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool]
    return dict(
        genuine(),
        dtypes=[base.to(dtype) for dtype in dtypes],
        views=[base.view(4, 6).t(), base[3:9:2], base[5], base[:0], base.new_zeros(0, 3)],
        parameter=nn.Parameter(base.clone(), requires_grad=False),
        gradient=base.clone().requires_grad_(),
        empty=HistoryBuffer(),
        scalars=[np.float32(1.5), np.int64(-3), np.bool_(True)],
        arrays=[np.arange(6).reshape(2, 3).T, np.zeros((0, 2)), np.float32([np.nan])],
        values=[
            None,
            True,
            -1,
            2**70,
            -(2**31),
            1e300,
            'ä😀',
            b'\x00\xff',
            b'',
            (),
            slice(1, None, 2),
        ],
        more=[{1, 'a'}, torch.Size([2, 3]), torch.float16, torch.device('cpu'), np.dtype('f4')],
    )


@pytest.mark.parametrize('is_archive', [True, False])
def test_it_gives_what_torch_load_gives(tmp_path, is_archive):
    torch.save(varied(), tmp_path / 'file.pth', _use_new_zipfile_serialization=is_archive)
    ours, theirs = (
        read_file(tmp_path / 'file.pth'),
        torch.load(tmp_path / 'file.pth', weights_only=False),
    )
    assert_same(ours, theirs)
    tied = [value.untyped_storage().data_ptr() for value in ours['state_dict'].values()]
    assert tied[0] == tied[1] != tied[2]  # memory is shared where it was


def test_it_reads_from_an_open_file_as_torch_load_does():
    file = io.BytesIO(b'before' + saved(genuine()))
    file.seek(6)
    assert_same(read_file(file)['state_dict']['weight'], genuine()['state_dict']['weight'])


def test_arrays_of_one_text_are_apart(tmp_path):
    """Python's unpickler gives them the memory of one bytes object, which must never change."""
    array = np.arange(1000.0)
    torch.save([array, array.copy()], tmp_path / 'file.pth')
    one, other = read_file(tmp_path / 'file.pth')
    one[:] = 0
    assert other.tolist() == array.tolist()


def test_safetensors_are_read(tmp_path):
    files = pytest.importorskip('safetensors.torch')
    weights = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(2, dtype=torch.bfloat16)}
    files.save_file(weights, tmp_path / 'file.safetensors')
    read = read_state_dict(tmp_path / 'file.safetensors')
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    data = (tmp_path / 'file.safetensors').read_bytes()
    (tmp_path / 'cut.safetensors').write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match='safetensors'):
        read_checkpoint(tmp_path / 'cut.safetensors')


SCRIPT = """
import os, sys, warnings
from pathlib import Path
warnings.simplefilter('ignore')
{prepare}
for path in sorted(Path('.').glob('*.pth')):
    try:
        {load}
        said = 'read'
    except Exception as error:
        said = type(error).__name__
    ran = os.path.exists('ran')
    if ran:
        os.remove('ran')
    print(path.stem, said, ran, sep='|', flush=True)
"""
READERS = {
    'ours': (
        'from mmspanet.checkpoints.reader import read_checkpoint',
        'read_checkpoint(path)',
    ),
    'mmengine': (
        'from mmengine.runner.checkpoint import CheckpointLoader',
        'CheckpointLoader.load_checkpoint(str(path), "cpu")',
    ),
    'timm': (
        'from timm.models import load_state_dict',
        'load_state_dict(str(path), weights_only=False)',
    ),
    'torch.hub': ('import torch', 'torch.load(open(path, "rb"), weights_only=False)'),
}


def read_all(
    folder, reader, guard='from mmspanet.checkpoints.safe import guard_process; guard_process()'
):
    """For each file of a folder: what a process that reads them all says, and whether it ran."""
    prepare, load = READERS[reader]
    script = SCRIPT.format(prepare=f'{prepare}\n{guard}', load=load)
    process = subprocess.run(
        [sys.executable, '-c', script], cwd=folder, capture_output=True, text=True, check=True
    )
    lines = [line.split('|') for line in process.stdout.splitlines() if line.count('|') == 2]
    return {name: (said, ran == 'True') for name, said, ran in lines}


@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    """A folder with all files of CODE."""
    folder = tmp_path_factory.mktemp('hostile')
    for name, make in CODE.items():
        (folder / f'{name}.pth').write_bytes(make())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('reader', READERS)
def test_no_trick_runs_code_in_a_guarded_process(hostile, reader):
    found = read_all(hostile, reader)
    assert set(found) == set(CODE)
    assert not [name for name, (_, ran) in found.items() if ran]
    assert {said for said, _ in found.values()} == {'read', 'CheckpointError'}
    assert [name for name, (said, _) in found.items() if said == 'read'] == ['meta config']


@pytest.mark.slow
def test_the_tricks_are_real(hostile):
    """Some run code in a process without our guard, or the test above would show nothing."""
    ran = [name for name, (_, ran) in read_all(hostile, 'timm', guard='').items() if ran]
    assert {'os.system', 'eval', 'INST', 'object array', 'getattr and _rebuild_from_type_v2'} <= {
        *ran
    }


@pytest.mark.parametrize('name', sorted(CODE.keys() - {'meta config'}))
def test_code_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    HistoryBuffer()  # the first one of a process registers the statistics for all
    before = dict(vars(HistoryBuffer)), dict(HistoryBuffer._statistics_methods)
    (tmp_path / 'file.pth').write_bytes(CODE[name]())
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(tmp_path / 'file.pth')
    assert 'weights_only' not in str(error.value)
    assert not (tmp_path / CANARY).exists()
    assert (dict(vars(HistoryBuffer)), dict(HistoryBuffer._statistics_methods)) == before


def test_meta_holds_nothing_that_mmengine_executes(tmp_path):
    (tmp_path / 'file.pth').write_bytes(CODE['meta config']())
    meta = read_checkpoint(tmp_path / 'file.pth')['meta']
    assert meta == dict(epoch=1, iter=3, config_values={})
    assert inert_meta(dict(meta=None)) == dict(meta=None)


def test_the_config_in_a_checkpoint_is_read_and_not_run():
    text = "import os\na = dict(b=2, c=dict(d='x', e=os.system('false')))\nf = -1\na.b = 3\n"
    assert config_values(text) == dict(a=dict(b=2, c=dict(d='x', e=None)), f=None)
    for odd in ('(' * 1000, '\0', 'a = 1\n' * 200_000, None, 3):
        assert config_values(odd) == {}
    checkpoint = inert_meta(dict(meta=dict(cfg='a = 1', config='b = 2')))
    assert inert_meta(checkpoint)['meta'] == dict(config_values=dict(a=1))


def test_a_file_names_no_other_files_to_be_removed():
    """CheckpointHook removes what the messages call the best checkpoint so far."""
    kept = dict(best_ckpt='work_dirs/a/best_acc_epoch_1.pth', best_score=0.5, epoch=1)
    more = dict(
        best_ckpt_map='/home/me/thesis', best_ckpt_miou=['best_a.pth'], keep_ckpt_ids=['../a']
    )
    checkpoint = dict(message_hub=dict(runtime_info=dict(kept, **more)))
    assert inert_meta(checkpoint)['message_hub']['runtime_info'] == kept


BOUNDED = """
import resource, sys
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.errors import CheckpointError
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
for path in sys.argv[1:]:
    try:
        read_checkpoint(path)
    except CheckpointError:
        print(path)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc and limits the address space')
def test_sizes_are_checked_first(tmp_path):
    """Within 1 GB of address space; the limit of processor time ends a reader without end alone."""
    paths = []
    for name, make in BOUNDS.items():
        paths.append(str(tmp_path / name))
        (tmp_path / name).write_bytes(make())
    said = subprocess.run([sys.executable, '-c', BOUNDED, *paths], capture_output=True, text=True)
    assert said.stdout.splitlines() == paths, said.stderr


@pytest.mark.parametrize('name', sorted(BOUNDS.keys() - {'zip bomb'}))
def test_a_file_out_of_bounds_is_refused(tmp_path, name):
    (tmp_path / 'file.pth').write_bytes(BOUNDS[name]())
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / 'file.pth')


def torchscript():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), buffer)
    return buffer.getvalue()


def other_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('photo.jpg', b'...')
    return buffer.getvalue()


def legacy():
    return saved(genuine(), _use_new_zipfile_serialization=False)


def sparse():
    return saved({'w': torch.eye(2).to_sparse()})


def quantized():
    return saved({'w': torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})


DAMAGED = {
    'empty': (lambda: b'', 'empty'),
    'text': (lambda: b'hello, world', 'not a PyTorch file'),
    'page': (lambda: b'<!DOCTYPE html><html></html>', 'web page'),
    'gzip': (lambda: b'\x1f\x8b' + bytes(30), 'gzip'),
    'cut': (lambda: saved(genuine())[:-300], 'cut short'),
    'cut legacy': (lambda: legacy()[:-8], 'cut short'),
    'TorchScript': (torchscript, 'TorchScript'),
    'other zip': (other_zip, 'zip archive'),
    'empty pickle': (lambda: archived(b''), 'cut short'),
    'garbage pickle': (lambda: archived(b'garbage'), 'damaged'),
    'garbled pickle': (lambda: archived(b'\x80\x02}s.'), 'damaged'),
    'a list': (lambda: saved([1]), 'list'),
    'sparse': (sparse, 'sparse'),
    'quantized': (quantized, 'quantized'),
    'meta': (lambda: saved({'w': torch.ones(2, device='meta')}), 'meta'),
    'meta is text': (lambda: saved({'meta': 'a', 'state_dict': {}}), 'meta'),
}  # fmt: skip


@pytest.mark.parametrize('name', DAMAGED)
def test_what_a_file_is_is_said(tmp_path, name):
    make, kind = DAMAGED[name]
    (tmp_path / 'file.pth').write_bytes(make())
    with pytest.raises(CheckpointError, match=kind) as error:
        read_checkpoint(tmp_path / 'file.pth')
    assert 'weights_only' not in str(error.value)
    assert str(tmp_path / 'file.pth') in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('state_dict', 'kind'),
    [
        ('weights', 'str'),
        ({}, 'no weights'),
        ({1: torch.ones(1)}, '1'),
        ({'a': 'text'}, 'str'),
        ({'a': torch.ones(1, dtype=torch.complex64)}, 'complex'),
        ({'a': torch.empty(1, dtype=torch.bits8)}, 'bits8'),
        ({'a': torch.tensor([1.0, float('nan')])}, 'finite'),
        ({'a': torch.tensor([1.0, float('nan')]).to(torch.float8_e5m2)}, 'finite'),
        ({'a': torch.tensor([1.0, float('inf')]).half()}, 'finite'),
        ({'a': torch.tensor([float('inf'), float('-inf')])}, 'finite'),
    ],
)
@pytest.mark.parametrize('is_bare', [True, False])
def test_weights_that_no_model_takes(tmp_path, state_dict, kind, is_bare):
    if is_bare and not isinstance(state_dict, dict):
        pytest.skip('a bare one is a dict, or no checkpoint')
    torch.save(state_dict if is_bare else dict(state_dict=state_dict), tmp_path / 'file.pth')
    with pytest.raises(CheckpointError, match=kind):
        read_state_dict(tmp_path / 'file.pth')


def test_what_is_no_file_is_said(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path, tmp_path / 'pipe', Path('/dev/zero')):
        with pytest.raises(FileNotFoundError, match='is no file'):
            read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        read_checkpoint('a' * 5000)


@pytest.mark.skipif(sys.platform != 'linux', reason='a file that can not be read')
def test_a_file_that_can_not_be_read_is_said():
    with pytest.raises(CheckpointError, match='can not be read'):
        read_checkpoint('/proc/self/mem')


def test_finite_weights_whose_sum_is_not(tmp_path):
    check_weights({'a': torch.full((3,), 3e38), 'b': torch.tensor(1), 'c': torch.ones(0)}, 'file')


@pytest.mark.parametrize(
    'change',
    [dict(meta=None), dict(meta=dict(epoch=-1, iter=3)), dict(meta=dict(epoch=1, iter='3'))],
)
def test_what_no_training_resumes_from(change):
    check_resumable(genuine(), 'file.pth')
    with pytest.raises(CheckpointError, match='load_from'):
        check_resumable(dict(genuine(), **change), 'file.pth')


def test_names_of_files_are_shown_without_controls():
    assert pickles.printable('a.b') == 'a.b'
    assert '\x1b' not in pickles.printable('\x1b[31m')
    assert len(pickles.printable('a' * 1000)) <= 100


@pytest.mark.slow
def test_changed_instructions_run_nothing():
    """200 files; dev/fuzz_checkpoints.py reads any number."""
    script = 'import json, dev.fuzz_checkpoints as f; print(json.dumps(f.read_batch(range(200))))'
    said = run(['-c', script])
    assert 'VIOLATION' not in said
    assert '"read"' in said
    assert '"refused"' in said
