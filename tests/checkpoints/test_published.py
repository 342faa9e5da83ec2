"""spanetv2://NAME: what is known of each, where it is looked for, and what a download says."""

import runpy
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from mmspanet.apis.config_files import ROOT, read_models
from mmspanet.checkpoints import __main__ as listing
from mmspanet.checkpoints.publish import short_hash
from mmspanet.checkpoints.published import PUBLISHED, Status
from mmspanet.checkpoints.sources import cache_path, local_file
from mmspanet.errors import CheckpointError, InputError
from tests import golden

S18 = PUBLISHED['s18-pure']


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with an empty ``checkpoints/`` and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'checkpoints').mkdir()
    return tmp_path


@pytest.fixture
def release(tmp_path, monkeypatch):
    """The folder of a release, served in the place of the authors'."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

    folder = tmp_path / 'served/releases/download/ImageNet-1K'
    folder.mkdir(parents=True)
    handler = partial(Quiet, directory=str(tmp_path / 'served'))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(
            'mmspanet.checkpoints.published.PROJECT', f'http://127.0.0.1:{running.server_port}'
        )
        yield folder
        running.shutdown()


def test_every_printed_row_has_its_name():
    printed = {m['Name'] for m in read_models(ROOT / 'configs') if m['Status'] == 'paper'}
    named = [config for entry in PUBLISHED.values() for config in entry.configs]
    assert set(named) == printed
    assert len(named) == len(printed)


def test_only_one_address_is_proved():
    assert [entry for entry in PUBLISHED.values() if entry.status is Status.PROVED] == [S18]
    assert S18.url.endswith('/ImageNet-1K/spanetv2_s18_pure_res-scale_Full-ExSPAM.pth')
    weights = 4 * golden.load('s18_pure')['num_parameters']
    assert weights < S18.size < 1.01 * weights  # and the frame of torch.save


def test_what_is_in_the_folder_is_taken(here):
    for name, file in (
        ('s18-pure', S18.file),
        ('mask-rcnn_s18-pure', 'mask-rcnn_s18-pure.pth'),
        ('upernet_s36-pure', 'upernet_s36-pure-0123abcd.safetensors'),
    ):
        (here / 'checkpoints' / file).touch()
        (here / 'checkpoints' / f'cascade-{file}').touch()  # of another model
        assert local_file(f'spanetv2://{name}') == Path('checkpoints') / file
    (here / 'checkpoints/s18-pure.pth').touch()
    with pytest.raises(InputError, match=r's18-pure\.pth and spanetv2_s18.*keep one'):
        local_file('spanetv2://s18-pure')


def test_names_that_lead_nowhere(here):
    with pytest.raises(InputError, match='t18-pure is not published'):
        local_file('spanetv2://t18-pure')
    with pytest.raises(InputError, match=r'tag/COCO .*checkpoints/mask-rcnn_s18-pure\.pth'):
        local_file('spanetv2://mask-rcnn_s18-pure')


def test_a_name_that_can_not_be_fetched_comes_with_both_remedies(here, monkeypatch):
    monkeypatch.setattr('mmspanet.checkpoints.published.PROJECT', 'http://127.0.0.1:9')  # discard
    with pytest.raises(InputError) as error:
        local_file('spanetv2://s18-pure')
    text = str(error.value)
    assert f'checkpoints/{S18.file}' in text
    assert 'model.backbone.init_cfg=None' in text
    assert '\n' not in text


@pytest.mark.parametrize('name', ['s36-pure', 'm36-pure'])
def test_an_inferred_address_is_called_so_before_it_is_asked(here, release, capsys, name):
    entry = PUBLISHED[name]
    (release / entry.file).write_text('weights')
    path = local_file(f'spanetv2://{name}')
    assert path == cache_path(entry.url)
    assert path.read_text() == 'weights'
    assert 'inferred' in capsys.readouterr().err
    assert local_file(f'spanetv2://{name}') == path
    assert 'inferred' not in capsys.readouterr().err  # it is here


def test_the_proved_file_is_held_to_its_size(here, release, capsys):
    (release / S18.file).write_bytes(b'another')
    with pytest.raises(CheckpointError, match='116,857,189'):
        local_file('spanetv2://s18-pure')
    assert 'warning' not in capsys.readouterr().err


def test_the_command_tells_what_is_here_missing_and_damaged(here, capsys, monkeypatch):
    weights = {'backbone.weight': torch.randn(10)}
    folder = here / 'checkpoints'
    torch.save(weights, folder / 'fpn_s18-pure.pth')
    torch.save(weights, folder / S18.file)  # of another size
    torch.save(weights, folder / 'fpn_s36-pure-00000000.pth')
    torch.save(weights, folder / 'whole.pth')
    content = (folder / 'whole.pth').read_bytes()
    (folder / f'upernet_s18-pure-{short_hash(content)}.pth').write_bytes(content)
    at = content.index(weights['backbone.weight'].numpy().tobytes())
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    (folder / 'fpn_s36-hybrid.pth').write_bytes(flipped)
    (folder / 'm36-pure.pth').write_text('<html>')
    monkeypatch.setattr(sys, 'argv', ['checkpoints'])
    listing.main()
    lines = capsys.readouterr().out.splitlines()
    states = {
        name: next(s for s in ('here', 'missing', 'damaged') if f'  {s}' in line)
        for name in PUBLISHED
        for line in lines
        if line.startswith(f'{name}  ')
    }
    assert states.keys() == PUBLISHED.keys()
    damaged = {'s18-pure', 'fpn_s36-pure', 'fpn_s36-hybrid', 'm36-pure'}
    assert {name for name, state in states.items() if state == 'damaged'} == damaged
    whole = {'fpn_s18-pure', 'upernet_s18-pure'}
    assert {name for name, state in states.items() if state == 'here'} == whole


def test_the_command_runs_as_a_module(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['__main__.py', '--help'])
    with pytest.raises(SystemExit) as end:
        runpy.run_module('mmspanet.checkpoints', run_name='__main__')
    assert end.value.code == 0
    assert 'python -m mmspanet.checkpoints' in capsys.readouterr().out
