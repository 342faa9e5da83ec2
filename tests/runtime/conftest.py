"""A picture with known objects, and the graphs that find them in each runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import graphs


@pytest.fixture
def picture() -> np.ndarray:
    """A green and a red box on a dark ground: (90, 130, 3)."""
    image = np.full((90, 130, 3), 20, np.uint8)
    image[20:50, 30:70, 1] = 200
    image[60:80, 10:100, 2] = 220
    return image


GREEN, RED = [30, 20, 70, 50], [10, 60, 100, 80]


@pytest.fixture(params=['.onnx', '.xml'], ids=['onnxruntime', 'openvino'])
def write(request, tmp_path) -> Callable[..., Path]:
    """``write(task, **notes)``: a file for one of the runtimes."""
    pytest.importorskip('onnxruntime' if request.param == '.onnx' else 'openvino')

    def make(task: str, **notes: object) -> Path:
        return graphs.MAKERS[task](tmp_path / f'{task}{request.param}', **notes)

    return make
