"""Run docker/Dockerfile's lines in bare Debian roots, where there is no container runtime.

    python -m dev.check_dockerfile FOLDER [--options=--cpu]

Needs root, debootstrap and the network. FOLDER gets a Debian bookworm with its Python 3.11, which
stands for the image python:3.11-slim-bookworm, and a copy of it for each stage. FROM, ARG, WORKDIR,
COPY, RUN, USER, ENV and CMD are followed; a line that fails ends the script with its status.
MMSPANET_WHEELS of this machine is mounted where it is named by --wheels, to save the compiling.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = 'python3,python3-venv,python3-dev,ca-certificates,passwd'


@dataclass
class Stage:
    """A root that the lines of one stage are run in."""

    root: Path
    folder: str = '/'
    user: str = 'root'
    environment: dict[str, str] = field(default_factory=dict)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='for the roots, some 30 GB')
    parser.add_argument('--options', default='--cpu', help='the argument OPTIONS of the build')
    parser.add_argument('--wheels', type=Path, help='compiled wheels of mmcv to start from')
    return parser.parse_args()


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows them, continued lines joined."""
    text = re.sub(r'^\s*#.*\n', '', text, flags=re.MULTILINE).replace('\\\n', ' ')
    found = [line.strip().partition(' ') for line in text.splitlines() if line.strip()]
    return [(name.upper(), rest.strip()) for name, _, rest in found]


def base(folder: Path) -> Path:
    """A bare Debian; it is made once."""
    root = folder / 'base'
    if not (root / 'etc/debian_version').exists():
        command = ['debootstrap', '--variant=minbase', f'--include={PACKAGES}', 'bookworm']
        subprocess.run([*command, str(root)], check=True)
    for name in ('etc/resolv.conf', 'etc/ssl/certs/ca-certificates.crt'):
        shutil.copy(f'/{name}', root / name)
    return root


def run_line(stage: Stage, line: str) -> None:
    """Run a shell line in the stage's root."""
    script = f'cd {stage.folder} && {line}'
    # With a /proc of its own, as in a container, that goes with the line.
    own_proc = ['unshare', '--mount', '--pid', '--fork', f'--mount-proc={stage.root}/proc']
    shell = ['/bin/su', '-p', '-s', '/bin/bash', stage.user, '-c', script]
    command = [*own_proc, shutil.which('chroot') or 'chroot', str(stage.root), *shell]
    paths = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    proxies = {k: v for k, v in os.environ.items() if re.search('proxy|PIP_|SSL_CERT', k, re.I)}
    environment = dict(PATH=paths, HOME='/root', LANG='C.UTF-8') | proxies | stage.environment
    print(f'\n== {stage.root.name}: {line}', flush=True)
    status = subprocess.run(command, env=environment).returncode
    if status:
        sys.exit(f'error: status {status}: {line}')


def copy(stage: Stage, stages: dict[str, Stage], rest: str) -> None:
    """COPY, of the checkout's tracked files or from another stage."""
    words = [word for word in rest.split() if not word.startswith('--')]
    flags = dict(re.findall(r'--(\w+)=(\S+)', rest))
    target = stage.root / os.path.join(stage.folder, words[-1]).lstrip('/')
    target.mkdir(parents=True, exist_ok=True)
    if 'from' in flags:
        source = stages[flags['from']].root / words[0].lstrip('/')
        subprocess.run(['cp', '-a', f'{source}/.', str(target)], check=True)
    else:
        files = subprocess.run(['git', 'archive', 'HEAD'], cwd=ROOT, capture_output=True)
        subprocess.run(['tar', '-x', '-C', str(target)], input=files.stdout, check=True)
    if 'chown' in flags:
        run_line(stage, f'chown -R {flags["chown"]} {words[-1]}')


def main() -> None:
    args = parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    stages: dict[str, Stage] = {}
    stage = Stage(base(folder))
    for name, rest in instructions((ROOT / 'docker/Dockerfile').read_text()):
        if name == 'FROM':
            label = rest.partition(' AS ')[2] or 'runtime'
            stage = stages[label] = Stage(folder / label)
            shutil.rmtree(stage.root, ignore_errors=True)
            subprocess.run(['cp', '-a', str(folder / 'base'), str(stage.root)], check=True)
            if args.wheels and not (stage.root / 'opt/wheels').exists():
                shutil.copytree(args.wheels, stage.root / 'opt/wheels')
        elif name == 'ARG':
            key, _, default = rest.partition('=')
            stage.environment[key] = args.options if key == 'OPTIONS' else default
        elif name == 'WORKDIR':
            stage.folder = rest
            (stage.root / rest.lstrip('/')).mkdir(parents=True, exist_ok=True)
        elif name == 'COPY':
            copy(stage, stages, rest)
        elif name == 'RUN':
            run_line(stage, rest)
        elif name == 'USER':
            stage.user = rest
        elif name == 'ENV':
            key, _, value = rest.partition('=')
            now = '/usr/local/bin:/usr/bin:/bin'
            stage.environment[key] = value.replace('$PATH', now)
        elif name == 'CMD':
            run_line(stage, ' '.join(json.loads(rest)))
        else:
            sys.exit(f'error: {name} is not followed by this script.')


if __name__ == '__main__':
    main()
