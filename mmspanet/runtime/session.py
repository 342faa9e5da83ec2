"""A graph opened in its runtime: arrays in, arrays out, and what is written in the file."""

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from mmspanet.errors import InputError

SECTION = 'mmspanet'  # of OpenVINO's rt_info


class Port(NamedTuple):
    """An input or an output of a graph: NumPy's name of the type, and its sides, None if free."""

    dtype: str
    shape: tuple[int | None, ...]


class Session(ABC):
    """An open graph.

    Attributes:
        metadata: The file's notes by name, as text.
        inputs: What goes in, by name.
        outputs: What comes out, by name.
    """

    metadata: Mapping[str, str]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute all outputs, by name, from arrays by the names of the inputs."""


class OnnxSession(Session):
    """A graph in onnxruntime; several threads may call it at once.

    Args:
        path: The ``.onnx`` file.
        device: ``cpu``, ``cuda`` or ``cuda:1``, a GPU by its number.
        threads: That one operator may use; None leaves it to onnxruntime.
    """

    def __init__(self, path: Path, device: str, threads: int | None):
        onnxruntime = _imported('onnxruntime')
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        if threads is not None:
            options.intra_op_num_threads = threads
        name, _, number = device.lower().partition(':')
        if name == 'cuda' and hasattr(onnxruntime, 'preload_dlls'):
            onnxruntime.preload_dlls()  # CUDA's libraries of pip, which PyTorch loads otherwise
        provider = dict(cpu='CPUExecutionProvider', cuda='CUDAExecutionProvider').get(name)
        is_known = provider in onnxruntime.get_available_providers()
        if not is_known or (number and not number.isdecimal()):
            raise InputError(
                f'{device} is no device of this onnxruntime: give cpu, or install onnxruntime-gpu.'
            )
        # TensorFloat-32 is less exact than what the export's check has compared.
        settings = dict(device_id=number or '0', use_tf32='0') if name == 'cuda' else {}
        self._session = onnxruntime.InferenceSession(str(path), options, [(provider, settings)])
        if provider not in self._session.get_providers():  # onnxruntime takes the CPU without one
            raise InputError(
                f'onnxruntime can not use {device}: onnxruntime-gpu needs a driver, CUDA and cuDNN '
                'of the versions that it was built for; give cpu otherwise.'
            )
        self.metadata = self._session.get_modelmeta().custom_metadata_map
        self.inputs = {port.name: self._port(port) for port in self._session.get_inputs()}
        self.outputs = {port.name: self._port(port) for port in self._session.get_outputs()}

    @staticmethod
    def _port(port: Any) -> Port:
        name = port.type.removeprefix('tensor(').removesuffix(')')
        dtype = dict(float='float32', float16='float16', double='float64').get(name, name)
        return Port(dtype, tuple(n if isinstance(n, int) else None for n in port.shape))

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :meth:`Session.run`."""
        return dict(zip(self.outputs, self._session.run(None, dict(feeds)), strict=True))


class OpenVinoSession(Session):
    """A graph in OpenVINO; of several threads that call it, one waits for the other.

    A file in fp32 or int8 computes its float layers in float32. OpenVINO's own choice on a CPU that
    has bfloat16 is bfloat16, which loses accuracy that the check of the export has not seen.

    Args:
        path: The ``.xml`` file; its weights are beside it in the ``.bin`` file.
        device: One of OpenVINO's, such as ``CPU`` or ``GPU``.
        threads: That it may use; None leaves it to OpenVINO.
    """

    def __init__(self, path: Path, device: str, threads: int | None):
        core = openvino_core()
        if device.upper() not in core.available_devices:
            names = ', '.join(core.available_devices)
            raise InputError(f'{device} is no device of this OpenVINO, which has {names}.')
        model = core.read_model(path)
        found = model.get_rt_info(SECTION).value if model.has_rt_info(SECTION) else {}
        self.metadata = {name: str(note) for name, note in found.items()}
        config: dict[str, Any] = {}
        if threads is not None:
            config['INFERENCE_NUM_THREADS'] = threads
        if self.metadata.get('precision') != 'fp16':
            config['INFERENCE_PRECISION_HINT'] = 'f32'
        self._compiled = core.compile_model(model, device.upper(), config)
        self._lock = threading.Lock()
        self.inputs = {port.any_name: self._port(port) for port in model.inputs}
        self.outputs = {port.any_name: self._port(port) for port in model.outputs}

    @staticmethod
    def _port(port: Any) -> Port:
        sides = tuple(n.get_length() if n.is_static else None for n in port.partial_shape)
        return Port(np.dtype(port.element_type.to_dtype()).name, sides)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :meth:`Session.run`."""
        with self._lock:
            found = self._compiled(dict(feeds))
            return {name: np.array(found[name]) for name in self.outputs}


@functools.cache
def openvino_core() -> Any:
    """OpenVINO's Core, one for the process.

    A second one may be a segmentation fault: the first one unloads the plugins, and the loader
    fails at opening them again (openvino issue 35338).

    Raises:
        InputError: If OpenVINO is not installed.
    """
    return _imported('openvino').Core()


RUNTIMES: dict[str, type[OnnxSession] | type[OpenVinoSession]] = {
    '.onnx': OnnxSession,
    '.xml': OpenVinoSession,
}


def open_session(path: str | Path, device: str = 'cpu', threads: int | None = None) -> Session:
    """Open a graph in the runtime that its file is for.

    Args:
        path: An ``.onnx`` file for onnxruntime, an ``.xml`` file for OpenVINO.
        device: ``cpu``, or another that the runtime has.
        threads: That the runtime may use; None leaves it to the runtime.

    Raises:
        InputError: If the file or the device is not there, can't be read, or needs a runtime that
            is not installed.
    """
    path = Path(path)
    runtime = RUNTIMES.get(path.suffix.lower())
    if runtime is None:
        raise InputError(f'{path} is neither .onnx nor .xml: give a file of export.py --end2end.')
    needed = [path] if runtime is OnnxSession else [path, path.with_suffix('.bin')]
    for file in needed:
        if not file.is_file():
            raise InputError(f'{file} does not exist: export it with export.py --end2end.')
    try:
        return runtime(path, device, threads)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each runtime has its own
        reason = ' '.join(str(error).split())[:200]
        raise InputError(f'{path} can not be opened: export it anew ({reason}).') from error


def _imported(name: str) -> ModuleType:
    """A runtime's package.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f'{name} can not be imported ({error}): pip install {name}.') from error
