"""Give bad, odd and hostile inputs to all tools, and write down what each answers.

    python -m dev.bad_input_table [--only REGEX] [--record FILE]

The inputs are those of ``dev.bad_inputs``. Each cell is a run of the tool in a process of its own,
forked from one that has loaded the libraries, in an empty folder. Faults are a traceback, a crash,
an answer of several sentences, status 0 for an input that the tool can't use, another status for
one that it can, and code of a checkpoint that ran; the status is 1 if there is one. The record goes
to dev/records/, from where ``python -m dev.render`` writes docs/bad_input.md.
"""

import argparse
import atexit
import functools
import http.server
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from mmengine.config import Config
from rich.progress import track

from dev.bad_inputs import CLS, DET, ROOT, Case, Workspace, cases, short
from dev.hostile_checkpoints import CANARY
from mmspanet import surroundings
from mmspanet.files import write_text

RECORD = Path(__file__).parent / 'records/bad_input.json'
PATIENCE = 300  # seconds that one run may take
SENTENCES = re.compile(r'(?<!e\.g)[.!?] [A-Z]')
LIBRARIES = ('mmcv.ops', 'mmdet.apis', 'mmseg.apis', 'mmpretrain.apis', 'matplotlib.pyplot')


@dataclass
class Cell:
    """What a tool answered.

    Attributes:
        case: The input.
        status: The exit status; negative for a signal.
        answer: The first sentence of its error, or what it found; empty if it did its work.
        seconds: Of processor time.
        mib: The most memory that it had, that of the loaded libraries included.
        fault: What is wrong with the answer; None if nothing is.
    """

    case: Case
    status: int
    answer: str
    seconds: float
    mib: int
    fault: str | None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--only', default='', help='regular expression for section, input: tool')
    parser.add_argument('--every', type=int, default=1, help='run each n-th of these cases')
    parser.add_argument('--record', type=Path, help=f'file to write (all cases: {RECORD})')
    args = parser.parse_args()
    with temporary_folder() as folder:
        workspace = prepare(folder)
        chosen = [
            case
            for case in cases(workspace)
            if re.search(args.only, f'{case.section}, {case.input}: {case.tool}')
        ]
        cells = run_all(chosen[:: args.every], workspace)
    for cell in cells:
        if cell.fault:
            print(f'{cell.fault}: {cell.case.input}: {cell.case.tool}: {cell.answer}')
    faults = sum(cell.fault is not None for cell in cells)
    print(f'{len(cells)} answers, {faults} faults')
    record = args.record or (RECORD if not args.only and args.every == 1 else None)
    if record:
        write_text(record, json.dumps(as_record(cells), indent=1) + '\n')
    sys.exit(bool(faults))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, and not already when a forked process ends."""
    folder = Path(mkdtemp(prefix='bad_input.')).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def prepare(folder: Path) -> Workspace:
    """Good files: data, a short training, random weights of a detector, a claim, a server."""
    shapes = folder / 'shapes'
    script('make_shapes.py', '--root', str(shapes), '--train', '8', '--val', '4')
    port = serve(folder)
    workspace = Workspace(
        folder, shapes, folder / 'run/epoch_2.pth', folder / 'det.pth', f'http://127.0.0.1:{port}'
    )
    script('train.py', str(CLS), '--work-dir', str(folder / 'run'), *short(workspace, 'imagenet'))
    from mmspanet.apis.build import build_model

    torch.save(build_model(Config.fromfile(DET)).state_dict(), workspace.detector)
    claims = workspace.place('claims/configs/cls/metafile.yml')
    claims.write_text((ROOT / 'configs/cls/metafile.yml').read_text())
    (claims.parent / CLS.name).write_text('')
    return workspace


def script(name: str, *arguments: str) -> None:
    """Run a tool that has to succeed."""
    command = [sys.executable, ROOT / 'tools' / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f'error: {name} ended with {done.returncode}: {done.stderr[-2000:]}')


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the folder, and answers of servers that are broken or hostile."""

    def do_GET(self) -> None:
        """One answer."""
        name = Path(self.path).stem
        if name in ('cut', 'huge', 'odd'):
            self.send_response(200)
            length = dict(cut='5000', huge=str(40 * 10**12), odd='many')[name]
            self.send_header('Content-Length', length)
            self.end_headers()
            self.wfile.write(bytes(100))
        elif name in ('local', 'loop'):
            self.send_response(302)
            self.send_header('Location', 'file:///etc/passwd' if name == 'local' else self.path)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def serve(folder: Path) -> int:
    """Serve files in a thread until the end of the process; the port."""
    (folder / 'served').mkdir()
    handler = functools.partial(Handler, directory=str(folder / 'served'))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def run_all(chosen: list[Case], workspace: Workspace) -> list[Cell]:
    """Run each case in a process of its own."""
    torch.set_num_threads(1)
    for library in LIBRARIES:
        __import__(library)
    return [run_case(case, workspace) for case in track(chosen, 'answers')]


def run_case(case: Case, workspace: Workspace) -> Cell:
    """Fork, and look at what the process left."""
    with temporary_folder() as folder:
        child = os.fork()
        if child == 0:
            become(case, folder)
        _, code, usage = os.wait4(child, 0)
        out, err = ((folder / name).read_text(errors='replace') for name in ('out', 'err'))
        ran = next(folder.rglob(CANARY), None) is not None
    status = os.waitstatus_to_exitcode(code)
    answer = answer_of(case, status, out, err)
    for path, name in (
        (str(workspace.checkpoint_path(case.input)), 'FILE'),
        (workspace.url, 'http://HOST'),
        (str(folder), '.'),
        (str(workspace.folder), 'PATH'),
        (str(ROOT), '.'),
    ):
        answer = answer.replace(path, name)
    seconds = usage.ru_utime + usage.ru_stime
    fault = 'CODE RAN' if ran else fault_in(case, status, out + err, answer)
    return Cell(case, status, answer, round(seconds, 2), usage.ru_maxrss >> 10, fault)


def become(case: Case, folder: Path) -> None:
    """Be the process of a tool: nothing of the other's is left but its loaded modules."""
    status = 1
    try:
        os.chdir(folder)
        for number, name in ((1, 'out'), (2, 'err')):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        os.environ.update(
            XDG_CACHE_HOME=str(folder / 'cache'), PYTHONPATH=str(ROOT), COLUMNS='1000'
        )
        signal.alarm(PATIENCE)
        path, *arguments = case.command
        own = ['--no-report'] if path in ('train.py', 'test.py') else []
        sys.argv = [str(ROOT / 'tools' / path), *arguments, *own]
        sys.path[0] = str(Path(sys.argv[0]).parent)
        sys.path.insert(1, str(ROOT))
        runpy.run_path(sys.argv[0], run_name='__main__')
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def answer_of(case: Case, status: int, out: str, err: str) -> str:
    """What a tool said in the end."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    if 'Traceback (most recent call last)' in err:
        return f'traceback: {lines[-1]}'
    if status < 0:
        return f'killed by {signal.Signals(-status).name}'
    if case.tool == 'check_data' and status == 1 and 'faults,' in out:
        return ', '.join(f'fault: {kind}' for kind in re.findall(r'fault: ([\w -]+),', out))
    if status == 0:
        return ''
    said = [line for line in lines if re.match(r'(\S+: )?error: ', line)]
    return said[-1].partition('error: ')[2] if said else f'NO ANSWER {" ".join(lines)[-200:]}'


def fault_in(case: Case, status: int, text: str, answer: str) -> str | None:
    """What is wrong with an answer."""
    if status < 0:
        return 'crash'
    if 'Traceback (most recent call last)' in text:
        return 'traceback'
    if case.fits != (status == 0):
        return f'status {status}'
    if 'weights_only' in answer:
        return "PyTorch's advice"
    if SENTENCES.search(answer.rstrip()):
        return 'several sentences'
    return 'no answer' if answer.startswith('NO ANSWER') else None


def as_record(cells: list[Cell]) -> dict[str, Any]:
    """The answers as JSON can hold them, without the commands, which hold paths."""
    rows = []
    for cell in cells:
        row = asdict(cell)
        given = row.pop('case')
        rows.append({key: given[key] for key in ('section', 'input', 'tool', 'fits')} | row)
    return dict(surroundings.record(), answers=rows)


if __name__ == '__main__':
    main()
