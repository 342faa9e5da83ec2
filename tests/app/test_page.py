"""The page's handlers in this process, then the page in browsers and for many users at once."""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from mmspanet.app.models import Run, find_runs
from mmspanet.datasets.shapes import make_portrait
from mmspanet.errors import InputError
from tests.helpers import ROOT, free_port

gr = pytest.importorskip('gradio')
pytestmark = pytest.mark.slow
RUN = 'shapes/cls'
PATIENCE = 120_000  # ms for a page on a busy machine


@pytest.fixture
def handlers(models, tmp_path, monkeypatch):
    from mmspanet.app.page import Handlers

    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'cache'))
    (tmp_path / 'cache').mkdir()
    return Handlers(models)


def write_portrait(folder: Path, seed: int) -> Path:
    path = folder / f'portrait{seed}.png'
    image = make_portrait(np.random.default_rng(seed), 'val', seed % 5)
    cv2.imwrite(str(path), image)
    return path


def test_runs_are_found_with_their_best_checkpoint(work_dirs, tmp_path):
    (run,) = find_runs(work_dirs)
    assert run.name == RUN
    assert run.find_checkpoint() == str(work_dirs / RUN / 'epoch_1.pth')
    (tmp_path / 'epoch_3.pth').touch()
    assert find_runs(tmp_path) == []
    (tmp_path / 'cfg.py').touch()
    (tmp_path / 'best_top1_epoch_2.pth').touch()
    (run,) = find_runs(tmp_path)
    assert run == Run('cfg', str(tmp_path / 'cfg.py'))
    assert run.find_checkpoint() == str(tmp_path / 'best_top1_epoch_2.pth')


def test_models_that_are_not_on_the_list_are_refused(models):
    with pytest.raises(InputError, match='no such run'):
        models.get('../../etc')


def test_the_slider_needs_no_forward_pass(handlers, models, tmp_path, monkeypatch):
    path = write_portrait(tmp_path, 1)
    seen, *_, record = handlers.predict(str(path), RUN, 0.5)
    predictor = models.get(RUN).predictor
    monkeypatch.setattr(predictor, 'infer', lambda image: pytest.fail('a forward pass'))
    rows = [handlers.redraw(seen, score)[2] for score in (0.05, 0.99)]
    assert len(rows[0]) > 1
    assert rows[1] == []
    saved = json.loads(Path(record).read_text())
    assert (saved['file'], saved['model']) == ('portrait1.png', RUN)


def test_a_video_is_shown_as_a_video(handlers, tmp_path):
    path = tmp_path / 'clip.mp4'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 10, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8):
        video.write(frame)
    video.release()
    seen, picture, video, *_, record = handlers.predict(str(path), RUN, 0.5)
    assert (picture['visible'], video['visible']) == (False, True)
    assert cv2.VideoCapture(video['value']).get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert len(json.loads(Path(record).read_text())['frames']) == 3
    assert handlers.modulators(seen)  # of the first frame


def test_the_tabs_draw_and_leave_the_model_as_it_was(handlers, models, tmp_path):
    pytest.importorskip('pytorch_grad_cam')
    path = write_portrait(tmp_path, 2)
    seen, *_, record = handlers.predict(str(path), RUN, 0.05)
    before = Path(record).read_text()
    for drawn in (
        handlers.modulators(seen),
        handlers.gains(RUN),
        handlers.evidence(seen, 'hires-cam'),
    ):
        assert cv2.imread(drawn[0]).shape[1] > 1000
    answer, old, new = handlers.without_band(seen, 0.1, 1, 0.5)
    assert answer
    assert old.shape == new.shape == (512, 512, 3)
    assert (old[200:] != new[200:]).any()  # below the text
    handlers.without_head(seen, 1, 2, 'silent', 0.5)
    assert Path(handlers.predict(str(path), RUN, 0.05)[-1]).read_text() == before
    with pytest.raises(InputError, match='no head 4'):
        handlers.without_head(seen, 9, 4, 'flat', 0.5)


def test_nothing_chosen_is_said(handlers):
    with pytest.raises(InputError, match='Choose an image'):
        handlers.modulators(None)


def test_addresses_are_not_fetched():
    from mmspanet.app.page import upload_box

    fetching = upload_box().async_move_resource_to_block_cache('http://example.com/a.png')
    with ThreadPoolExecutor(1) as pool, pytest.raises(gr.Error, match='not fetched'):
        pool.submit(asyncio.run, fetching).result()  # Playwright's loop runs in this thread


@contextmanager
def serving(work_dirs: Path, *options: str):
    """The command's address; it ends with the block."""
    port = free_port()
    command = [sys.executable, 'tools/app.py', '--work-dirs', work_dirs, '--port', port, *options]
    process = subprocess.Popen(
        [*map(str, command), '--device', 'cpu'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    up = threading.Event()

    def read() -> None:
        for line in process.stdout:
            said.append(line)
            if 'The page is at' in line:
                up.set()
        up.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert up.wait(300)
        assert process.poll() is None, ''.join(said)
        yield f'http://127.0.0.1:{port}/'
    finally:
        process.terminate()
        process.wait(300)
        reader.join()


@pytest.fixture(scope='module')
def address(work_dirs):
    with serving(work_dirs) as url:
        yield url


def find_chromium(playwright) -> str | None:
    names = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
    own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, (*names, own))), None)


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            pytest.skip('no Chromium is installed: playwright install chromium')
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """``open_page(url)``: a user of their own, whose browser asks no other host."""
    contexts = []
    foreign = []

    def note(request, url):
        if not request.url.startswith((url, 'data:', 'blob:')):
            foreign.append(request.url)

    def open_url(url, width=1280):
        context = browser.new_context(viewport=dict(width=width, height=900), accept_downloads=True)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: note(request, url))
        page.goto(url)
        page.wait_for_selector('#file input[type=file]', state='attached')
        return page

    yield open_url
    for context in contexts:
        context.close()
    assert foreign == []


def upload(page, path):
    page.set_input_files('#file input[type=file]', str(path))


def record_of(page) -> dict:
    with page.expect_download() as download:
        page.click('#save_record')
    return json.loads(Path(download.value.path()).read_text())


def expect(locator):
    from playwright.sync_api import expect as wait_for

    wait_for.set_options(timeout=PATIENCE)
    return wait_for(locator)


def test_upload_slider_and_tabs(address, open_page, models, tmp_path):
    page = open_page(address)
    path = write_portrait(tmp_path, 3)
    page.locator('#score input[type=number]').fill('0.05')
    upload(page, path)
    expect(page.locator('#picture img')).to_be_visible()
    top = models.get(RUN).predictor.predict(cv2.imread(str(path)), 0).record['top']
    expect(page.locator('#found')).to_contain_text(top[0]['class'])
    saved = record_of(page)['top']
    assert [entry['class'] for entry in saved] == [entry['class'] for entry in top]
    page.locator('#score input[type=number]').fill('1')
    page.keyboard.press('Enter')
    expect(page.locator('#found')).not_to_contain_text(top[0]['class'])
    for tab, button, shown in (
        ('Modulators', 'draw_modulators', '#modulators img'),
        ('Without a band', 'take_band', '#band_after img'),
        ('Without a head', 'take_head', '#head_after img'),
    ):
        page.get_by_role('tab', name=tab).click()
        page.click(f'#{button}')
        expect(page.locator(shown)).to_be_visible()
    expect(page.locator('#said')).to_have_text('')


def test_an_example_on_a_phone(address, open_page):
    page = open_page(address, width=390)
    page.locator('#examples button').nth(5).click()
    expect(page.locator('#picture img')).to_be_visible()
    width = page.evaluate('document.documentElement.scrollWidth')
    assert width <= 390  # nothing is pushed out of the screen


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(address, open_page, tmp_path):
    page = open_page(address)
    (tmp_path / 'broken.png').write_bytes(b'no image')
    upload(page, tmp_path / 'broken.png')
    expect(page.locator('#said')).to_contain_text('broken.png is broken')
    page.get_by_label('Clear').or_(page.locator('#file button[aria-label="Remove this file"]')).or_(
        page.locator('#file button[title="Clear"]')
    ).first.click()
    upload(page, write_portrait(tmp_path, 4))
    expect(page.locator('#picture img')).to_be_visible()
    expect(page.locator('#said')).to_have_text('')


def test_two_sessions_see_their_own(address, open_page, tmp_path):
    pages = [open_page(address) for _ in range(2)]
    for seed, page in enumerate(pages):
        upload(page, write_portrait(tmp_path, seed))
    for page in pages:
        expect(page.locator('#picture img')).to_be_visible()
    assert [record_of(page)['file'] for page in pages] == ['portrait0.png', 'portrait1.png']


def test_ten_users_at_once_get_their_own_results(address, models, tmp_path):
    client = pytest.importorskip('gradio_client')
    paths = [write_portrait(tmp_path, seed) for seed in range(10)]
    barrier = threading.Barrier(len(paths))

    def use(path: Path) -> list[dict]:
        user = client.Client(
            address,
            verbose=False,
            download_files=str(tmp_path / path.stem),
            httpx_kwargs=dict(timeout=600),
        )
        barrier.wait(600)
        answers = [user.predict(client.handle_file(path), RUN, 0.05, api_name='/predict')]
        answers += [user.predict(score, api_name='/redraw') for score in (0.5, 0.06)]
        return [json.loads(Path(answer[-1]).read_text()) for answer in answers]

    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(use, paths))
    predictor = models.get(RUN).predictor
    for path, records in zip(paths, answers, strict=True):
        top = predictor.predict(cv2.imread(str(path)), 0).record['top']
        for record in records:
            assert record['file'] == path.name
            assert record['top'] == [
                entry | dict(score=pytest.approx(entry['score'], abs=1e-5)) for entry in top
            ]


class Proxy(BaseHTTPRequestHandler):
    """Shows a server at /spanet, as nginx does with a proxy_pass that ends in a slash."""

    protocol_version = 'HTTP/1.0'
    server_port: int

    def forward(self) -> None:
        if not self.path.startswith('/spanet/'):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() != 'connection'}
        server = http.client.HTTPConnection('127.0.0.1', self.server_port)
        server.request(self.command, self.path.removeprefix('/spanet'), body, headers)
        answer = server.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ('transfer-encoding', 'connection'):
                self.send_header(name, value)
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(part)

    do_GET = do_POST = do_HEAD = forward  # noqa: N815

    def log_message(self, *_) -> None:
        pass


def test_behind_a_reverse_proxy(work_dirs, open_page, tmp_path):
    with serving(work_dirs, '--root-path', '/spanet') as url:
        handler = type('Handler', (Proxy,), dict(server_port=urlsplit(url).port))
        proxy = ThreadingHTTPServer(('127.0.0.1', 0), handler)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            page = open_page(f'http://127.0.0.1:{proxy.server_port}/spanet/')
            upload(page, write_portrait(tmp_path, 6))
            expect(page.locator('#picture img')).to_be_visible()
            assert record_of(page)['file'] == 'portrait6.png'
        finally:
            proxy.shutdown()
            proxy.server_close()
