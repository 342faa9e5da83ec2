"""Training checkpoints load where code is forbidden; files that would run code do not."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.utils import digit_version

from mmspanet.checkpoints import safe
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.errors import CheckpointError
from tests.helpers import run


class Bomb:
    """Calls ``function(*arguments)`` when it is read from a pickle."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def training_state(**more):
    """What MMEngine saves beside the weights, with the types that real files hold."""
    hub = MessageHub('safe')
    for loss in (1.0, 0.5):
        hub.update_scalar('train/loss', loss)
    hub.update_info('metric', np.float64(0.25))
    return dict(state_dict=dict(a=torch.ones(2)), message_hub=hub.state_dict(), **more)


def test_a_training_checkpoint_is_read_whole(tmp_path):
    torch.save(training_state(), tmp_path / 'epoch_1.pth')
    state = read_checkpoint(tmp_path / 'epoch_1.pth')['message_hub']
    assert state['log_scalars']['train/loss'].data[0].tolist() == [1.0, 0.5]
    assert state['log_scalars']['train/loss'].statistics('mean') == 0.75
    assert state['runtime_info']['metric'] == 0.25


@pytest.mark.parametrize('core', safe.NUMPY_CORES)
def test_files_of_numpy_1_and_2_are_read(tmp_path, core):
    """The same bytes with the other version's module name."""
    name = np.array(0.0).__reduce__()[0].__module__
    buffer = io.BytesIO()
    torch.save(training_state(), buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue().replace(name.encode() + b'\n', f'{core}.multiarray\n'.encode())
    (tmp_path / 'file.pth').write_bytes(data)
    assert read_checkpoint(tmp_path / 'file.pth')['message_hub']


@pytest.mark.parametrize(
    'bomb',
    [
        lambda path: Bomb(Path.touch, path),
        lambda path: Bomb(eval, f'open({str(path)!r}, "w")'),
        lambda path: Bomb(getattr, HistoryBuffer, '__init__'),
        lambda path: Bomb(getattr, Path, 'touch'),
    ],
)
def test_code_is_refused_and_not_run(tmp_path, bomb):
    content = training_state(meta=bomb(tmp_path / 'ran'))
    torch.save(content, tmp_path / 'bomb.pth', pickle_module=pickle)
    with pytest.raises(CheckpointError, match='trust'):
        read_checkpoint(tmp_path / 'bomb.pth')
    assert not (tmp_path / 'ran').exists()


def test_the_names_of_foreign_code_are_said(tmp_path):
    torch.save([Bomb(print, 'x')], tmp_path / 'bomb.pth', pickle_module=pickle)
    with pytest.raises(CheckpointError, match=r'would run builtins\.print'):
        read_checkpoint(tmp_path / 'bomb.pth')


def test_the_libraries_can_not_fall_back(tmp_path):
    """In a process of its own, since it stays forbidden there."""
    torch.save(training_state(), tmp_path / 'good.pth')
    bomb = Bomb(Path.touch, tmp_path / 'ran')
    torch.save(training_state(meta=bomb), tmp_path / 'bomb.pth', pickle_module=pickle)
    script = f"""
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmspanet.checkpoints.reader import read_checkpoint
from mmspanet.checkpoints.safe import guard_process
guard_process()
assert read_checkpoint({str(tmp_path / 'good.pth')!r})['message_hub']
assert torch.load({str(tmp_path / 'good.pth')!r})['message_hub']
assert torch.load({str(tmp_path / 'good.pth')!r}, weights_only=False)['message_hub']
for _ in range(2):  # onedl-mmengine allows for each load, and takes back what we had allowed
    assert CheckpointLoader.load_checkpoint({str(tmp_path / 'good.pth')!r})['message_hub']
print('the good one is read')
CheckpointLoader.load_checkpoint({str(tmp_path / 'bomb.pth')!r})
"""
    said = run(['-c', script], status=1)
    assert 'the good one is read' in said
    assert 'CheckpointError' in said
    assert not (tmp_path / 'ran').exists()


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'), reason='loads everything by default'
)
def test_a_config_of_ours_makes_training_checkpoints_loadable(tmp_path):
    """By torch.load's default, as mmengine 0.10.7 calls it in the libraries' launchers."""
    torch.save(training_state(), tmp_path / 'good.pth')
    bomb = Bomb(Path.touch, tmp_path / 'ran')
    torch.save(training_state(meta=bomb), tmp_path / 'bomb.pth', pickle_module=pickle)
    script = f"""
import pickle, torch
from mmengine.registry import MODELS
def load(name):
    try:
        return torch.load(f'{tmp_path}/{{name}}.pth')['state_dict']['a'].tolist()
    except pickle.UnpicklingError:
        return 'refused'
print(load('good'))
MODELS.build(dict(type='mmspanet.SPANetV2', arch=dict(depths=(1,) * 4, channels=(32,) * 4)))
print(load('good'))
print(load('bomb'))
"""
    said = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert said.stdout.splitlines() == ['refused', '[1.0, 1.0]', 'refused'], said.stderr
    assert not (tmp_path / 'ran').exists()


@pytest.mark.slow
@pytest.mark.parametrize('way', ['module', 'config'])
def test_scripts_of_others_run_guarded(tmp_path, way):
    bomb = Bomb(Path.touch, tmp_path / 'ran')
    torch.save(training_state(meta=bomb), tmp_path / 'bomb.pth', pickle_module=pickle)
    (tmp_path / 'config.py').write_text(
        "custom_imports = dict(imports=['mmspanet.checkpoints.guarded'])"
    )
    (tmp_path / 'script.py').write_text(
        'import sys, torch\n'
        'from mmengine.config import Config\n'
        'if sys.argv[1:]: Config.fromfile(sys.argv[1])\n'
        "torch.load('bomb.pth', weights_only=False)\n"
    )
    module, config = ['-m', 'mmspanet.checkpoints.guarded'], ['config.py']
    command = [*module, 'script.py'] if way == 'module' else ['script.py', *config]
    assert 'CheckpointError' in run(command, tmp_path, status=1)
    assert not (tmp_path / 'ran').exists()


def test_the_guard_can_be_taken_back(monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    for module in (torch, torch.serialization):
        monkeypatch.setattr(module, 'load', safe._torch_load)
    safe.guard_process()
    assert torch.load is torch.serialization.load is safe.load_inert
    safe.release_process()
    assert torch.load is torch.serialization.load is safe._torch_load


def test_the_import_of_our_registry_lets_a_file_bring_no_functions(tmp_path):
    """Under torch's own reader: a statistic of the file's choice stays behind."""
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save([history], tmp_path / 'file.pth')
    with torch.serialization.safe_globals(safe.training_globals()):
        (read,) = torch.load(tmp_path / 'file.pth', weights_only=True)
    assert type(read) is HistoryBuffer
    assert read.statistics('mean') == 2.0
    assert all(callable(method) for method in HistoryBuffer._statistics_methods.values())


def test_processes_still_send_tensors(tmp_path):
    """MMEngine collects the results of several processes as pickles."""
    sent = dict(mask=torch.rand(3, 4) > 0.5, box=torch.rand(5)[1:], half=torch.ones(2).half())
    safe.guard_process()
    received = pickle.loads(pickle.dumps(sent))
    assert b'mmspanet' not in pickle.dumps(sent)  # other programs read predictions
    assert sent.keys() == received.keys()
    assert all(torch.equal(sent[key], received[key]) for key in sent)
    bomb = io.BytesIO()
    torch.save(Bomb(Path.touch, tmp_path / 'ran'), bomb, pickle_module=pickle)
    with pytest.raises(pickle.UnpicklingError):
        torch.storage._load_from_bytes(bomb.getvalue())
    assert not (tmp_path / 'ran').exists()
