"""A picture with known objects, and the graphs that find them in each runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import graphs


@pytest.fixture
def picture() -> np.ndarray:
    return graphs.picture()


@pytest.fixture(params=['.onnx', '.xml'], ids=['onnxruntime', 'openvino'])
def write(request, tmp_path) -> Callable[..., Path]:
    """``write(task, **notes)``: a file for one of the runtimes."""
    pytest.importorskip('onnxruntime' if request.param == '.onnx' else 'openvino')

    def make(task: str, **notes: object) -> Path:
        return graphs.MAKERS[task](tmp_path / f'{task}{request.param}', **notes)

    return make
