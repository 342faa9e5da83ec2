"""Downloads from a real server that is slow of wit: it dies, forgets, changes its mind and lies."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from mmspanet.checkpoints.download import download
from mmspanet.checkpoints.publish import short_hash
from mmspanet.checkpoints.reader import read_state_dict
from mmspanet.errors import CheckpointError, InputError, WriteError

CONTENT = bytes(range(256)) * 1000
OTHER = CONTENT[::-1]


class Server(ThreadingHTTPServer):
    """Serves one file under any name, as its attributes say."""

    content = CONTENT
    has_ranges = True
    minds_if_range = True
    version = {'ETag': '"1"'}  # headers that tell one version of the file from another
    dies_after: int | None = None  # bytes of the next answer
    says_more = 0  # bytes, in Content-Length
    says_length = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server_port}'
        self.asked: list[str | None] = []  # the Range of each request
        self.sent = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers['Range']
        server.asked.append(asked)
        condition = self.headers['If-Range'] or ''
        known = condition in ('', *server.version.values()) and not condition.startswith('W/')
        current = known or not server.minds_if_range
        start, whole = 0, len(server.content)
        if asked and server.has_ranges and current:
            start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
            if start >= whole:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start}-{whole - 1}/{whole}')
        else:
            self.send_response(200)
        if server.says_length:
            self.send_header('Content-Length', str(whole - start + server.says_more))
        for name, value in server.version.items():
            self.send_header(name, value)
        self.end_headers()
        end = whole if server.dies_after is None else start + server.dies_after
        server.dies_after = None
        server.sent += len(server.content[start:end])
        self.wfile.write(server.content[start:end])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'cache/model.pth'


def break_off(server, path, after=100_000) -> None:
    server.dies_after = after
    with pytest.raises(InputError, match=f'broke off after {after:,} of {len(server.content):,}'):
        download(f'{server.url}/model.pth', path)
    assert not path.exists()


def assert_whole(server, path) -> None:
    """The file is there, and nothing beside it."""
    assert path.read_bytes() == server.content
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_arrives(server, path):
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)


@pytest.mark.parametrize(
    'version',
    [
        {'ETag': '"1"'},
        {'Last-Modified': 'Wed, 21 Oct 2015 07:28:00 GMT'},
        {'ETag': 'W/"1"', 'Last-Modified': 'Wed, 21 Oct 2015 07:28:00 GMT'},
    ],
)
def test_what_has_come_is_not_sent_again(server, path, version):
    server.version = version
    break_off(server, path, 100_000)
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)
    assert server.asked == [None, 'bytes=100000-']
    assert server.sent == len(CONTENT)


def test_a_server_without_ranges_sends_all_of_it_again(server, path):
    server.has_ranges = False
    break_off(server, path)
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)


def test_without_a_version_nothing_is_put_together(server, path):
    server.version = {}
    break_off(server, path)
    server.content = OTHER
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)
    assert server.asked == [None, None]


@pytest.mark.parametrize('minds_if_range', [True, False])
@pytest.mark.parametrize('content', [OTHER, OTHER[:50_000]])
def test_a_file_that_changed_meanwhile_is_fetched_whole(server, path, minds_if_range, content):
    server.minds_if_range = minds_if_range
    break_off(server, path)
    server.content, server.version = content, {'ETag': '"2"'}
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)


def test_a_server_that_promises_more_than_it_sends_is_not_believed(server, path):
    server.says_more = 10
    for _ in range(2):
        with pytest.raises(InputError, match='broke off'):
            download(f'{server.url}/model.pth', path)
        assert not path.exists()
    server.says_more = 0
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)


def test_a_server_that_promises_less_than_the_known_size(server, path):
    server.says_more = -10
    with pytest.raises(CheckpointError, match='another file'):
        download(f'{server.url}/model.pth', path, size=len(CONTENT))
    assert not [*path.parent.iterdir()]


def test_a_file_cut_by_its_server_is_told_by_the_reader(server, path, tmp_path):
    torch.save(dict(weight=torch.randn(100)), tmp_path / 'whole.pth')
    server.content = (tmp_path / 'whole.pth').read_bytes()
    server.says_more = -10
    download(f'{server.url}/model.pth', path)
    with pytest.raises(CheckpointError, match='cut short'):
        read_state_dict(path)


def test_the_hash_in_a_name_is_checked(server, path):
    digest = short_hash(CONTENT)
    for name in (f'model-{digest}.pth', 'model-20250331.safetensors'):
        download(f'{server.url}/{name}', path.with_name(name))
        assert path.with_name(name).read_bytes() == CONTENT
        path.with_name(name).unlink()
    with pytest.raises(CheckpointError, match=digest):
        download(f'{server.url}/model-0123abcd.pth', path)
    assert not [*path.parent.iterdir()]


def test_processes_that_ask_at_once_fetch_it_once(server, path):
    threads = [
        threading.Thread(target=download, args=(f'{server.url}/model.pth', path)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_whole(server, path)
    assert len(server.asked) == 1


def test_a_full_disk_is_no_fault_of_the_server(server, path, monkeypatch):
    def full(*_) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(WriteError, match='disk is full'):
        download(f'{server.url}/model.pth', path)
    assert not path.exists()


def test_a_place_that_can_not_be_written_to_is_no_fault_of_the_server(server, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(WriteError, match='give another place'):
        download(f'{server.url}/model.pth', tmp_path / 'file' / 'model.pth')


def test_a_server_that_says_no_length_does_not_fill_the_disk(server, path, monkeypatch):
    server.says_length = False
    download(f'{server.url}/model.pth', path)
    assert_whole(server, path)
    path.unlink()
    monkeypatch.setattr('mmspanet.checkpoints.download.LARGEST_DOWNLOAD', len(CONTENT) - 1)
    with pytest.raises(CheckpointError, match='larger than any checkpoint'):
        download(f'{server.url}/model.pth', path)
    assert not any(path.parent.iterdir())
