"""One way for a checkpoint into a model: whatever the source, read once, whole or refused."""

import os
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseTTAModel, MMDistributedDataParallel
from torch import distributed as dist
from torch import nn

from dev.hostile_checkpoints import archived, genuine, overlapping_entries, saved
from mmspanet.apis.build import build_model
from mmspanet.checkpoints import load, load_backbone, newest_whole_checkpoint
from mmspanet.checkpoints.loading import is_whole
from mmspanet.checkpoints.sources import cache_path, local_file
from mmspanet.errors import CheckpointError, InputError
from tests.helpers import ROOT, run


class Tiny(nn.Module):
    """A model with a backbone and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)


@pytest.fixture
def weights():
    return Tiny().state_dict()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def server(tmp_path):
    """The URL of a folder, served from this process."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

    folder = tmp_path / 'served'
    folder.mkdir()
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield SimpleNamespace(folder=folder, url=f'http://127.0.0.1:{running.server_port}')
        running.shutdown()


def assert_loaded(model: nn.Module, weights: dict) -> None:
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_a_path_and_its_file_url(tmp_path, weights):
    path = tmp_path / 'with space.pth'
    torch.save(dict(meta=dict(dataset_meta=dict(classes=('a',))), state_dict=weights), path)
    for source in (path, str(path), path.as_uri()):
        model = Tiny()
        assert load(model, source) == dict(dataset_meta=dict(classes=('a',)))
        assert_loaded(model, weights)


def test_a_bare_state_dict_has_no_meta(tmp_path, weights):
    torch.save(weights, tmp_path / 'bare.pth')
    model = Tiny()
    assert load(model, tmp_path / 'bare.pth') == {}
    assert_loaded(model, weights)


def test_a_url_is_held_to_the_same_as_a_path(server, cache, weights):
    torch.save(weights, server.folder / 'whole.pth')
    model = Tiny()
    load(model, f'{server.url}/whole.pth')
    assert_loaded(model, weights)
    del weights['head.bias']
    torch.save(weights, server.folder / 'partial.pth')
    with pytest.raises(CheckpointError, match=r'lacks 1 tensors, such as head\.bias'):
        load(Tiny(), f'{server.url}/partial.pth')
    with pytest.raises(InputError, match=r'gone\.pth could not be downloaded'):
        load(Tiny(), f'{server.url}/gone.pth')
    assert not [*cache.rglob('*.part')]


def test_the_cache_tells_urls_of_one_name_apart(server, cache):
    for folder in ('a', 'b'):
        (server.folder / folder).mkdir()
        (server.folder / folder / 'model.pth').write_text(folder)
    for _ in range(2):
        for folder in ('a', 'b'):
            url = f'{server.url}/{folder}/model.pth'
            assert local_file(url).read_text() == folder
            assert local_file(url) == cache_path(url)
    (server.folder / 'a/model.pth').write_text('changed')
    assert local_file(f'{server.url}/a/model.pth').read_text() == 'a'  # not fetched again


def test_a_download_has_a_bound(server, cache, monkeypatch):
    monkeypatch.setattr('mmspanet.checkpoints.download.LARGEST_DOWNLOAD', 1000)
    (server.folder / 'large.pth').write_bytes(bytes(1001))
    with pytest.raises(CheckpointError, match=r'large\.pth'):
        local_file(f'{server.url}/large.pth')
    assert not [path for path in cache.rglob('*') if path.is_file()]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r'gone\.pth does not exist'):
        load(Tiny(), tmp_path / 'gone.pth')


class Testable(Tiny):
    """What a BaseTTAModel asks of a model."""

    def test_step(self, data):
        return data


class Augmented(BaseTTAModel):
    """The model is in ``module``."""

    def merge_preds(self, data_samples_list):
        return data_samples_list


def test_a_model_inside_of_wrappers(tmp_path, weights):
    """As in a distributed test with test-time augmentation."""
    torch.save(dict(state_dict=weights), tmp_path / 'model.pth')
    dist.init_process_group('gloo', f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        model = Testable()
        load(MMDistributedDataParallel(Augmented(model)), tmp_path / 'model.pth')
        assert_loaded(model, weights)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda w: w.pop('head.bias'), r'lacks 1 tensors, such as head\.bias'),
        (lambda w: w.update({'head.bias': torch.ones(7)}), r'head\.bias'),
        (
            lambda w: w.update({'backbone.extra': torch.ones(7)}),
            r'has beyond it 1 tensors, such as backbone\.extra',
        ),
    ],
)
def test_another_model_is_refused(change, says, tmp_path, weights):
    change(weights)
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=says) as error:
        load(Tiny(), tmp_path / 'other.pth')
    assert '\n' not in str(error.value)


def test_heads_may_stay_where_only_the_backbone_counts(tmp_path, weights):
    del weights['head.bias']
    torch.save(weights, tmp_path / 'headless.pth')
    load_backbone(Tiny(), tmp_path / 'headless.pth')
    del weights['backbone.bias']
    torch.save(weights, tmp_path / 'empty.pth')
    with pytest.raises(CheckpointError, match=r'lacks 1 weights of the backbone'):
        load_backbone(Tiny(), tmp_path / 'empty.pth')


@pytest.mark.parametrize(('file_width', 'config_width'), [(320, 512), (512, 320)])
def test_another_head_width_comes_with_its_remedy(file_width, config_width, tmp_path):
    pytest.importorskip('mmseg')
    (config,) = ROOT.glob(f'configs/seg/upernet_spanetv2-s18-pure_h{config_width}_*.py')
    cfg = Config.fromfile(config)
    model = build_model(cfg)
    weights = model.state_dict()
    weights['decode_head.fpn_bottleneck.conv.weight'] = torch.ones(file_width, 4, 3, 3)
    torch.save(dict(state_dict=weights), tmp_path / 'upernet.pth')
    with pytest.raises(CheckpointError, match=f'{file_width} channels wide.*h{file_width}'):
        load(model, tmp_path / 'upernet.pth')


def test_what_is_no_checkpoint_is_refused(tmp_path, weights):
    good = tmp_path / 'good.pth'
    torch.save(weights, good)
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(good.read_bytes()[:-500])
    page = tmp_path / 'page.pth'
    page.write_text('<html>not found</html>')
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), script)
    archive = tmp_path / 'archive.pth'
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('notes.txt', 'no weights')
    for bad in (cut, page, script, archive):
        with pytest.raises(CheckpointError, match=bad.name):
            load(Tiny(), bad)


COUNT = """
import runpy, sys
path, count = sys.argv[1], [0]
def see(event, args):
    if event == 'open' and str(args[0]) == path:
        count[0] += 1
sys.addaudithook(see)
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print('opened', count[0])
"""


@pytest.mark.slow
def test_a_test_opens_its_checkpoint_once(tmp_path):
    config = 'configs/cls/spanetv2_shapes.py'
    run(['tools/make_shapes.py', 'imagenet', '--root', tmp_path, '--train', '4', '--val', '4'])
    path = tmp_path / 'weights.pth'
    torch.save(build_model(Config.fromfile(ROOT / config)).state_dict(), path)
    command = ['-c', COUNT, path, 'tools/test.py', config, path, '--work-dir', tmp_path / 'work']
    data = f'test_dataloader.dataset.data_root={tmp_path}/imagenet'
    assert 'opened 1' in run([*command, '--no-report', '--cfg-options', data])


def test_resume_passes_damaged_checkpoints_over(tmp_path, capsys):
    assert newest_whole_checkpoint(str(tmp_path)) is None
    (tmp_path / 'epoch_36-1a2b3c4d.pth').touch()  # published, no state of a training
    assert newest_whole_checkpoint(str(tmp_path)) is None
    for epoch in (2, 9, 10):
        torch.save(dict(weight=torch.randn(1000)), tmp_path / f'epoch_{epoch}.pth')
    assert newest_whole_checkpoint(str(tmp_path)).endswith('epoch_10.pth')
    os.truncate(tmp_path / 'epoch_10.pth', 3000)
    flipped = bytearray((tmp_path / 'epoch_9.pth').read_bytes())
    flipped[len(flipped) // 2] ^= 255
    (tmp_path / 'epoch_9.pth').write_bytes(flipped)
    assert newest_whole_checkpoint(str(tmp_path)).endswith('epoch_2.pth')
    warned = capsys.readouterr().out
    assert 'epoch_10.pth is damaged' in warned
    assert 'epoch_9.pth is damaged' in warned
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='All checkpoints in'):
        newest_whole_checkpoint(str(tmp_path))


def test_a_whole_file_is_one_whose_parts_have_their_checksums(tmp_path):
    """And that is looked at within bounds: no part is unpacked, none is read twice."""
    path = tmp_path / 'file.pth'
    data = saved(genuine())
    path.write_bytes(data)
    assert is_whole(path)
    weight = data.index(torch.arange(6.0).numpy().tobytes())
    for other in (
        data[:-1],
        data[: len(data) // 2],
        data[:weight] + b'?' + data[weight + 1 :],
        b'',
        b'text',
        archived(b'\x80\x02}.', zipfile.ZIP_DEFLATED),
        overlapping_entries(),
    ):
        path.write_bytes(other)
        assert not is_whole(path)
