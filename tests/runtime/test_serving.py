"""The app of docs/runtime.md as a user starts it: what it answers, and that it loses nothing."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import ROOT, free_port
from tests.runtime import graphs

REQUESTS = 200


def app() -> str:
    """The page's block of code."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/runtime.md').read_text(), re.DOTALL)
    (found,) = (block for block in blocks if 'LitAPI' in block)
    return found


class Server:
    """The app on a free port, in a process group of its own."""

    def __init__(self, folder: Path, model: Path):
        (folder / 'serve.py').write_text(app())
        port = free_port()
        self.url = f'http://127.0.0.1:{port}'
        self.log = open(folder / 'log', 'w+')  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, 'serve.py', str(model), port],
            cwd=folder, env=os.environ | dict(PYTHONPATH=str(ROOT)), start_new_session=True,
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait(self) -> None:
        """Until it answers; the timeout is the test's."""
        while True:
            assert self.process.poll() is None, Path(self.log.name).read_text()
            try:
                with urllib.request.urlopen(f'{self.url}/health') as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)

    def post(self, body: object) -> tuple[int, str]:
        request = urllib.request.Request(
            f'{self.url}/predict', json.dumps(body).encode(), {'Content-Type': 'application/json'}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def memory(self) -> int:
        """Bytes that the group has for itself: no pages of files, which others share or not."""
        total = 0
        for status in Path('/proc').glob('[0-9]*/smaps_rollup'):
            try:
                if os.getpgid(int(status.parent.name)) == self.process.pid:
                    total += int(re.search(r'Pss_Anon: +(\d+)', status.read_text())[1]) * 1024
            except OSError:  # has ended, or is another user's
                continue
        return total

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


@pytest.fixture
def server(tmp_path):
    pytest.importorskip('litserve')
    server = Server(tmp_path, graphs.detector(tmp_path / 'a.onnx'))
    try:
        server.wait()
        yield server
    finally:
        server.close()


def picture(number: int) -> tuple[dict[str, str], list[float]]:
    """A request with a box of its own, and that box."""
    image = np.zeros((60 + number % 5, 300, 3), np.uint8)
    box = [number, 10, number + 40, 50]
    image[box[1] : box[3], box[0] : box[2], 1] = 255
    content = cv2.imencode('.png', image)[1].tobytes()
    return dict(image=base64.b64encode(content).decode()), box


@pytest.mark.slow
def test_the_app(server):
    """Bad input is a sentence; every one of many requests at once gets the answer to its image."""
    for body in ({}, [], dict(image=7), dict(image='no base64'), dict(image=''),
                 dict(image=base64.b64encode(b'no image').decode())):  # fmt: skip
        status, text = server.post(body)
        assert status == 400, text
        assert json.loads(text)['detail'].endswith('.')

    def ask(number: int) -> bool:
        body, box = picture(number)
        status, text = server.post(body)
        return status == 200 and json.loads(text)['bboxes'] == [box]

    with ThreadPoolExecutor(REQUESTS) as pool:
        grown = []
        for _ in range(5):  # how many are answered at once differs from wave to wave
            before = server.memory()
            assert all(pool.map(ask, range(REQUESTS)))
            grown.append(server.memory() - before)
            if grown[-1] < 50e6:
                break
    assert grown[-1] < 50e6, grown
