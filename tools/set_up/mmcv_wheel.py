"""Decide for which device mmcv is compiled, compile it once, and keep the wheel.

The set-up scripts call it; it needs nothing but Python, and torch once that is installed:

    python tools/set_up/mmcv_wheel.py plan onedl-mmcv==2.3.6 torch==2.11.0 [options]
        prints the decision, the versions and the commands of a set-up
    python tools/set_up/mmcv_wheel.py serves 'cuda-8.0' [options]
        exits with 0 if a build for that target serves what is wanted here, else with 1
    python tools/set_up/mmcv_wheel.py wheel onedl-mmcv==2.3.6 [options]
        compiles unless the cache has a wheel that serves; its path is the last line of the output

The options are those of tools/setup_env.sh: --cpu, --cuda, --arch.
"""

import argparse
import fcntl
import glob
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# The GPUs of PyTorch's default wheels; the last one with PTX, which newer GPUs compile.
DEFAULT_ARCHITECTURES = ('7.5', '8.0', '8.6', '9.0', '10.0', '12.0+PTX')
# What PyPI's wheel of a torch brings: the version of CUDA and that of NVIDIA's toolkit package.
DEFAULT_WHEELS = {'2.11.0': ('13.0', '13.0.2')}
LOWEST_DRIVER = {11: 450, 12: 525, 13: 580}  # by major version of CUDA
LOWEST_CAPABILITY = {11: 3.5, 12: 5.0, 13: 7.5}
IN_MAINTAINERS_WHEELS = {'7.5', '8.6', '8.9', '9.0', '12.0'}
COMPILER = 'cuda-toolkit[nvcc,nvvm,crt,cccl]'
PAGE = 'docs/install.md'


class SetUpError(Exception):
    """What keeps the set-up from going on, in one sentence with the remedy."""


@dataclass(frozen=True)
class Gpus:
    """What nvidia-smi says.

    Attributes:
        names: One for each GPU, without double ones.
        capabilities: Compute capabilities such as 8.6, ascending, without double ones.
        driver: Version of the driver.
        message: The first line of nvidia-smi if it lists no GPU.
    """

    names: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    driver: str = ''
    message: str = ''


@dataclass(frozen=True)
class Torch:
    """The installed PyTorch, or the one that the set-up will install.

    Attributes:
        version: With its suffix, such as 2.11.0+cu130.
        cuda: Version of CUDA; None for the build without.
        installed: Whether it is there.
    """

    version: str
    cuda: str | None
    installed: bool = True


@dataclass(frozen=True)
class Decision:
    """What is built: ``cpu``, or ``cuda-`` and the architectures; and why."""

    target: str
    why: str

    @property
    def architectures(self) -> tuple[str, ...]:
        """Compute capabilities, the last ones perhaps with +PTX; none for the CPU."""
        return tuple(self.target.split('-')[1:])


def by_number(capability: str) -> tuple[int, ...]:
    """Order 8.6 before 10.0."""
    return tuple(int(part) for part in re.findall(r'\d+', capability))


def ask_nvidia_smi() -> Gpus:
    """Return the machine's GPUs, also those that CUDA_VISIBLE_DEVICES hides."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return Gpus(message='there is no nvidia-smi')

    def ask(*arguments: str) -> list[str]:
        try:
            done = subprocess.run(
                [program, *arguments], capture_output=True, text=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            return ['nvidia-smi does not answer within a minute']
        return [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]

    listed = ask('-L')
    names = [m[1] for line in listed if (m := re.match(r'GPU \d+: (.+?)(?: \(UUID|$)', line))]
    if not names:
        return Gpus(message=listed[0] if listed else 'nvidia-smi lists no GPU')
    drivers, capabilities = set(), set()
    for line in ask('--query-gpu=driver_version,compute_cap', '--format=csv,noheader'):
        if found := re.fullmatch(r'([\d.]+), *(\d+\.\d)', line):
            drivers.add(found[1])
            capabilities.add(found[2])
    if not drivers:  # drivers before 510 do not know compute_cap
        for line in ask('--query-gpu=driver_version', '--format=csv,noheader'):
            drivers.update(re.findall(r'^\d+\.[\d.]+$', line))
    return Gpus(
        tuple(dict.fromkeys(names)),
        tuple(sorted(capabilities, key=by_number)),
        min(drivers, default=''),
    )


def find_torch(version: str = '') -> Torch | None:
    """Return the installed PyTorch without importing it, else what PyPI has for ``version``."""
    spec = importlib.util.find_spec('torch')
    if spec is not None and spec.origin:
        text = (Path(spec.origin).parent / 'version.py').read_text()
        release = re.search(r"^__version__ = '(.+)'", text, re.M)
        cuda = re.search(r"^cuda\b.*= '(.+)'", text, re.M)
        if release:
            return Torch(release[1], cuda[1] if cuda else None)
    if version in DEFAULT_WHEELS:
        return Torch(version, DEFAULT_WHEELS[version][0], installed=False)
    return None


def ask_torch() -> tuple[tuple[str, ...], str]:
    """Return the compute capabilities that PyTorch sees, and else why it sees none."""
    code = """
import json, torch
message, seen = '', []
try:
    torch.cuda.init()
    seen = [list(torch.cuda.get_device_capability(i)) for i in range(torch.cuda.device_count())]
except Exception as error:
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
print(json.dumps([seen, message]))
"""
    env = {k: v for k, v in os.environ.items() if k != 'CUDA_VISIBLE_DEVICES'}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], env=env, capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f'status {done.returncode}']
        raise SetUpError(f'PyTorch does not start: {lines[-1]}')
    seen, message = json.loads(done.stdout.splitlines()[-1])
    capabilities = sorted({f'{major}.{minor}' for major, minor in seen}, key=by_number)
    return tuple(capabilities), message


def remedy(gpus: Gpus, cuda: str) -> str:
    """Say how the GPU can be used, by its driver and its capability."""
    need = LOWEST_DRIVER.get(int(cuda.split('.')[0]), 580)
    ways = 'way C'
    if gpus.capabilities and set(gpus.capabilities) <= IN_MAINTAINERS_WHEELS:
        ways = 'way B or C'
    return (
        f'update the driver to {need} or newer, or install by {ways} of {PAGE}, '
        'or build for the CPU with --cpu'
    )


def decide(options: argparse.Namespace, gpus: Gpus, torch: Torch | None) -> Decision:
    """Choose the device and the architectures by what is wanted and what is there.

    Raises:
        SetUpError: A GPU is there that PyTorch can't use, or CUDA is wanted of a CPU build.
    """
    if options.cpu:
        return Decision('cpu', '--cpu was given')
    wanted = options.cuda or bool(options.arch)
    if not wanted and not gpus.names:
        return Decision(
            'cpu', f'{gpus.message}; --cuda builds for a GPU that is in another machine'
        )

    there = f'{", ".join(gpus.names)} with driver {gpus.driver or "unknown"}'
    if torch is not None and torch.cuda is None:
        raise SetUpError(
            f'PyTorch {torch.version} is the build without CUDA: remove .venv and set up again '
            'without an index of CPU wheels, or build for the CPU with --cpu.'
        )
    cuda = torch.cuda if torch is not None and torch.cuda else '13.0'
    major = int(cuda.split('.')[0])
    if gpus.names:
        if gpus.driver and by_number(gpus.driver)[0] < LOWEST_DRIVER.get(major, 0):
            raise SetUpError(
                f"PyTorch with CUDA {cuda} doesn't see this machine's {there}: "
                f'{remedy(gpus, cuda)}.'
            )
        old = [c for c in gpus.capabilities if float(c) < LOWEST_CAPABILITY.get(major, 0)]
        if old and not options.arch:
            raise SetUpError(
                f'PyTorch with CUDA {cuda} has no kernels for compute capability {old[0]} of '
                f"this machine's {there}: install by way C of {PAGE}, or build for the CPU "
                'with --cpu.'
            )
    if options.arch:
        architectures, why = options.arch, 'the architectures were given'
    elif gpus.capabilities:
        architectures, why = gpus.capabilities, f'nvidia-smi lists {there}'
    elif gpus.names:
        architectures, _ = ask_torch() if torch is not None and torch.installed else ((), '')
        why = f'nvidia-smi lists {there}'
        if not architectures:
            raise SetUpError(
                f'the compute capability of {there} is unknown: name it, as in --arch 8.0.'
            )
    else:
        architectures, why = DEFAULT_ARCHITECTURES, '--cuda was given; no GPU is at hand'
    return Decision('-'.join(('cuda', *architectures)), why)


def decide_with_torch(options: argparse.Namespace) -> Decision:
    """Decide as ``decide``, and ask the installed PyTorch whether it sees the GPUs, too."""
    gpus, torch = ask_nvidia_smi(), find_torch()
    decision = decide(options, gpus, torch)
    if options.cpu or torch is None or torch.cuda is None:
        return decision
    if not gpus.names and (options.cuda or options.arch):
        return decision
    seen, message = ask_torch()
    if gpus.names and not seen:
        raise SetUpError(
            f"PyTorch {torch.version} doesn't see this machine's {', '.join(gpus.names)} "
            f'({message}): {remedy(gpus, torch.cuda)}.'
        )
    if seen and not gpus.names:  # containers without nvidia-smi
        return Decision('-'.join(('cuda', *seen)), 'PyTorch sees a GPU')
    return decision


def serves(target: str, wanted: str) -> bool:
    """Whether a build for ``target`` runs where ``wanted`` is asked for.

    Code for 8.0 runs on 8.0 to 8.9; PTX of 8.0 on 8.0 and all that is newer; a CUDA build on CPUs.
    """
    if wanted == 'cpu' or target == wanted:
        return True

    def covers(built: str, gpu: str) -> bool:
        have, need = by_number(built), by_number(gpu)
        if built.endswith('+PTX') and have <= need:
            return True
        if '+PTX' in gpu or re.search('[a-z]', built + gpu):
            return built == gpu
        return have[0] == need[0] and have <= need

    built = target.split('-')[1:]
    return all(any(covers(one, gpu) for one in built) for gpu in wanted.split('-')[1:])


def cache() -> Path:
    """The folder of compiled wheels."""
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get('MMSPANET_WHEELS') or Path(home) / 'mmspanet')


def folder_of(requirement: str, torch: str, target: str) -> Path:
    """The folder of the cache for one mmcv, one torch, this Python and one target."""
    python = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    return cache() / f'{requirement.replace("==", "-")}_torch-{torch}_{python}_{target}'


def find_wheel(requirement: str, torch: Torch, target: str) -> Path | None:
    """Return a kept wheel that serves the target: its own one first.

    What suffix the version of PyTorch will have is unknown before it is installed.
    """
    pattern = glob.escape(folder_of(requirement, torch.version, '').name)
    if not torch.installed:
        pattern = pattern.replace(torch.version, f'{torch.version}*', 1)
    folders = {folder.name.rpartition('_')[2]: folder for folder in cache().glob(f'{pattern}*')}
    if target == 'cpu':  # a CUDA build would serve, too, but libraries may look for its GPU
        folders = {kind: folder for kind, folder in folders.items() if kind == 'cpu'}
    for kind in sorted(folders, key=lambda kind: (kind != target, kind)):
        if serves(kind, target):
            for wheel in sorted(folders[kind].glob('*.whl')):
                return wheel
    return None


def free_memory() -> int:
    """Bytes that are free, of the machine or of this container."""
    meminfo = Path('/proc/meminfo').read_text()
    free = int(re.search(r'MemAvailable:\s+(\d+)', meminfo)[1]) * 1024  # type: ignore[index]
    try:
        limit = Path('/sys/fs/cgroup/memory.max').read_text().strip()
        used = int(Path('/sys/fs/cgroup/memory.current').read_text())
    except (OSError, ValueError):
        return free
    return free if limit == 'max' else min(free, int(limit) - used)


def jobs(target: str) -> int:
    """MAX_JOBS, else as many as the cores and the memory allow: a file of CUDA takes 1.3 GB."""
    if os.environ.get('MAX_JOBS'):
        return int(os.environ['MAX_JOBS'])
    of_one = 1.0e9 if target == 'cpu' else 1.5e9
    return max(1, min(len(os.sched_getaffinity(0)), int(free_memory() / of_one)))


def headers_of(home: Path) -> Path | None:
    """Return the folder of a toolkit's headers; conda puts them below targets/."""
    for include in (home / 'include', *home.glob('targets/*/include')):
        if (include / 'cublas_v2.h').exists():
            return include
    return None


def find_nvcc(cuda: str) -> tuple[Path | None, str]:
    """Return the home of a toolkit that fits CUDA ``cuda``, and else what is wrong with those here.

    torch takes an nvcc of the same major version; its headers include those of cuBLAS and others.
    As for torch, CUDA_HOME comes before the nvcc of PATH, and this before /usr/local/cuda.
    """
    if named := os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH'):
        homes = [Path(named)]
    else:
        program = shutil.which('nvcc')
        homes = [*([Path(program).parents[1]] if program else []), Path('/usr/local/cuda')]
    wrong = []
    for home in dict.fromkeys(homes):
        nvcc = home / 'bin/nvcc'
        if not os.access(nvcc, os.X_OK):
            continue
        said = subprocess.run([nvcc, '--version'], capture_output=True, text=True, check=False)
        release = re.search(r'release (\d+)\.(\d+)', said.stdout)
        version = f'{release[1]}.{release[2]}' if release else 'of no version'
        if not release or release[1] != cuda.split('.')[0]:
            wrong.append(f"nvcc {version} of {home} doesn't fit")
        elif not headers_of(home):
            wrong.append(f'the toolkit {version} of {home} has no headers of cuBLAS')
        else:
            return home, f'nvcc {version} of {home}'
    return None, '; '.join(wrong) or 'no nvcc is here'


def toolkit_requirement(torch: Torch) -> str:
    """Return what pip installs for an nvcc of the very CUDA runtime that torch brings."""
    try:
        version = metadata.version('cuda-toolkit') if torch.installed else ''
    except metadata.PackageNotFoundError:
        version = ''
    version = version or DEFAULT_WHEELS.get(torch.version.split('+')[0], ('', ''))[1]
    if not version:
        raise SetUpError(
            f'which compiler fits PyTorch {torch.version} is unknown: install the toolkit of CUDA '
            f'{torch.cuda} and name it with CUDA_HOME.'
        )
    return f'{COMPILER}=={version}'


def compiler(torch: Torch) -> tuple[Path | None, str]:
    """Return the home of a fitting toolkit (None: it comes from PyPI), and a line about it.

    Raises:
        SetUpError: There is none, and PyPI has none for this CUDA.
    """
    assert torch.cuda is not None
    home, found = find_nvcc(torch.cuda)
    if home is not None:
        return home, found
    major, minor = torch.cuda.split('.')[:2]
    if int(major) < 13:
        raise SetUpError(
            f'{found}, and PyPI has no compiler for CUDA {torch.cuda}: get one with conda install '
            f'-c nvidia cuda-nvcc={major}.{minor} cuda-toolkit={major}.{minor}, and name it with '
            f'CUDA_HOME=$CONDA_PREFIX (way C of {PAGE}).'
        )
    return None, f'from PyPI ({found})'


def install_compiler(requirement: str) -> Path:
    """Install nvcc beside the CUDA runtime of torch's wheels, with the links that linking needs.

    Returns:
        The folder for CUDA_HOME.
    """
    subprocess.run(
        [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'install', requirement],
        check=True,
        stdout=sys.stderr,
    )
    major = requirement.rpartition('==')[2].split('.')[0]
    homes = glob.glob(f'{sysconfig.get_paths()["purelib"]}/nvidia/cu{major}/bin/nvcc')
    if not homes:
        raise SetUpError(f'{requirement} is installed, but has no bin/nvcc.')
    home = Path(homes[0]).parents[1]
    (home / 'bin/nvcc').chmod(0o755)
    if not (home / 'lib64').exists():
        (home / 'lib64').symlink_to('lib')
    runtime = home / 'lib/libcudart.so'
    if not runtime.exists():
        runtime.symlink_to(f'libcudart.so.{major}')
    return home


def pip(*arguments: str | Path) -> list[str]:
    """A command line of this Python's pip."""
    return [sys.executable, '-m', 'pip', '--disable-pip-version-check', *map(str, arguments)]


def get_sources(requirement: str, folder: Path) -> Path:
    """Return the unpacked source distribution, with what an interrupted run has compiled of it."""
    sources = folder / 'sources'
    if not sources.is_dir():
        shutil.rmtree(folder / 'download', ignore_errors=True)
        name = requirement.split('==')[0]
        command = pip('download', '--no-deps', '--no-build-isolation', '--no-cache-dir')
        command += ['--no-binary', name, '--dest', str(folder / 'download'), requirement]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (archive,) = (folder / 'download').glob('*.tar.gz')
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, 'data_filter', None)
            tar.extractall(folder / 'download')
        (unpacked,) = (path for path in (folder / 'download').iterdir() if path.is_dir())
        unpacked.rename(sources)
    return sources


def follow(command: Sequence[str], env: dict[str, str], log: Path, done_before: int) -> int:
    """Run a build, say how many files are done whenever another twentieth is, and keep its output.

    Returns:
        The command's exit status.
    """
    said, start = 0, time.monotonic()
    # A session of its own: pip, ninja and the compilers can be ended together.
    with (
        log.open('w') as out,
        subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            for line in process.stdout:  # type: ignore[union-attr]
                out.write(line)
                out.flush()
                if step := re.match(r'\s*\[(\d+)/(\d+)\] ', line):
                    done, all_files = (int(number) + done_before for number in step.groups())
                    if done * 20 // all_files > said or done == done_before + 1:
                        said = done * 20 // all_files
                        minutes = (time.monotonic() - start) / 60
                        print(f'{done} of {all_files} files, {minutes:.0f} min', file=sys.stderr)
        except BaseException:  # Ctrl-C, too: ninja drops the half-written files
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return process.returncode


def build(requirement: str, torch: Torch, decision: Decision) -> Path:
    """Compile mmcv in a folder of the cache, where an interrupted run goes on, and keep the wheel.

    Raises:
        SetUpError: A compiler or Python's headers are missing, or compiling failed.
    """
    if not any(shutil.which(name) for name in ('c++', 'g++', 'clang++')):
        raise SetUpError(
            f'a C++ compiler is needed to build {requirement}: install one (Debian: apt install '
            'g++).'
        )
    if not Path(sysconfig.get_paths()['include'], 'Python.h').exists():
        raise SetUpError(
            f'the Python headers are needed to build {requirement}: install them (Debian: apt '
            'install python3-dev).'
        )
    kept = folder_of(requirement, torch.version, decision.target)
    folder = cache() / 'building' / kept.name
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | dict(MMCV_WITH_OPS='1', MAX_JOBS=str(jobs(decision.target)))
    if decision.target == 'cpu':
        env.pop('FORCE_CUDA', None)
        env['CUDA_VISIBLE_DEVICES'] = ''  # mmcv's setup.py asks whether PyTorch sees a GPU
    else:
        home, _ = compiler(torch)
        home = home or install_compiler(toolkit_requirement(torch))
        env |= dict(FORCE_CUDA='1', CUDA_HOME=str(home))
        env |= dict(TORCH_CUDA_ARCH_LIST=';'.join(decision.architectures))
        include = headers_of(home)
        if include is not None and include.parent != home:
            env |= dict(CPATH=str(include), LIBRARY_PATH=str(include.parent / 'lib'))

    with (folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another set-up may compile the same
        if wheel := find_wheel(requirement, torch, decision.target):
            return wheel
        sources = get_sources(requirement, folder)
        print(
            f'compiling {requirement} for {describe(decision)} with {env["MAX_JOBS"]} jobs; if it '
            'is interrupted, the next run goes on',
            file=sys.stderr,
        )
        command = pip('wheel', '-v', '--no-build-isolation', '--no-cache-dir', '--no-deps')
        command += ['--wheel-dir', str(folder / 'wheel'), str(sources)]
        done = len(list(sources.glob('build/temp*/**/*.o')))
        status = follow(command, env, folder / 'log', done)
        wheels = sorted((folder / 'wheel').glob('*.whl'))
        if status or not wheels:
            lines = (folder / 'log').read_text(errors='replace').splitlines()
            wrong = [
                line for line in lines if re.search(r'(\berror|Error|fatal): ', line)
            ] or lines[-1:]
            raise SetUpError(
                f'compiling failed: {wrong[0].strip()[:300]} (everything: {folder / "log"}).'
            )
        kept.mkdir(parents=True, exist_ok=True)
        wheel = Path(shutil.move(wheels[0], kept))
        shutil.rmtree(folder)
    return wheel


def describe(decision: Decision) -> str:
    """The target in words."""
    if decision.target == 'cpu':
        return 'CPUs'
    return f'CUDA, compute capability {", ".join(decision.architectures)}'


def plan(requirement: str, torch_requirement: str, options: argparse.Namespace) -> str:
    """Return decision, versions and commands of the set-up, without doing any of it."""
    pinned = torch_requirement.split('==')[1]
    gpus, torch = ask_nvidia_smi(), find_torch(pinned)
    torch_there = torch is not None and torch.installed
    decision = decide_with_torch(options) if torch_there else decide(options, gpus, torch)
    torch = torch or Torch(pinned, None, installed=False)
    release = torch.version if torch.cuda is None else f'{torch.version} with CUDA {torch.cuda}'
    wheel = find_wheel(requirement, torch, decision.target)
    lines = [
        f'decision  {requirement} for {describe(decision)}',
        f'why       {decision.why}',
        f'versions  Python {sys.version.split()[0]}, torch {release}'
        + ('' if torch.installed else ' (to be installed)'),
    ]
    commands = [f'pip install {torch_requirement} and the tools that compile mmcv']
    if wheel is not None:
        lines.append(f'wheel     {wheel}')
    else:
        lines.append(f'wheel     none is kept: compiling with {jobs(decision.target)} jobs')
        settings = 'MMCV_WITH_OPS=1'
        if decision.target != 'cpu':
            home, line = compiler(torch)
            lines.append(f'compiler  {line}')
            if home is None:
                commands.append(f"pip install '{toolkit_requirement(torch)}'")
            home_text = home or '.venv/lib/python*/site-packages/nvidia/cu13'
            archs = ';'.join(decision.architectures)
            settings += f" CUDA_HOME={home_text} FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST='{archs}'"
        name = requirement.split('==')[0]
        build = f'pip wheel --no-build-isolation --no-cache-dir --no-deps --no-binary {name}'
        commands.append(f'{settings} MAX_JOBS={jobs(decision.target)} {build} {requirement}')
    commands += ['pip install the rest of requirements.txt', 'pip install --no-deps -e .']
    return '\n'.join([*lines, 'commands', *(f'  {command}' for command in commands)])


def architectures(text: str) -> tuple[str, ...]:
    """Read 8.0,9.0+PTX, also with semicolons or blanks as in TORCH_CUDA_ARCH_LIST."""
    found = tuple(re.split(r'[,; ]+', text.strip(',; ')))
    if not all(re.fullmatch(r'\d+\.\d[af]?(\+PTX)?', one) for one in found):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no list of compute capabilities such as 8.0,9.0+PTX'
        )
    return found


def parse_options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the options of the set-up and those variables that torch's and mmcv's builds know."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('command', choices=('plan', 'serves', 'wheel'))
    parser.add_argument('arguments', nargs='*')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--cpu', action='store_true', help='build for the CPU, whatever is here')
    kind.add_argument('--cuda', action='store_true', help='build for CUDA, also without a GPU')
    parser.add_argument('--arch', type=architectures, help='compute capabilities, as in 8.0,9.0')
    options = parser.parse_args(arguments)
    if options.cpu and options.arch:
        parser.error('--cpu and --arch exclude each other')
    if not options.cpu:
        options.cuda |= os.environ.get('FORCE_CUDA') == '1'
        if options.arch is None and os.environ.get('TORCH_CUDA_ARCH_LIST') and options.cuda:
            try:
                options.arch = architectures(os.environ['TORCH_CUDA_ARCH_LIST'])
            except argparse.ArgumentTypeError as error:
                parser.error(f'TORCH_CUDA_ARCH_LIST: {error}')
    return options, options.arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status.
    """
    options, names = parse_options(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        if options.command == 'serves':
            wanted = decide(options, ask_nvidia_smi(), find_torch())
            return int(not serves(names[0], wanted.target))
        if options.command == 'plan':
            print(plan(names[0], names[1], options))
            return 0
        decision, torch = decide_with_torch(options), find_torch()
        if torch is None:
            raise SetUpError('PyTorch is missing: install it first.')
        print(f'building for {describe(decision)}: {decision.why}', file=sys.stderr)
        wheel = find_wheel(names[0], torch, decision.target)
        print(wheel or build(names[0], torch, decision))
    except SetUpError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('\ninterrupted; the next run goes on from here', file=sys.stderr)
        return 130
    except subprocess.CalledProcessError as error:
        command = ' '.join(map(str, error.cmd))
        print(f'error: {command} ended with {error.returncode}.', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
