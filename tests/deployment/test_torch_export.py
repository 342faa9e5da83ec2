"""PyTorch's own ways out of Python: torch.export and TorchScript tracing of the backbone."""

import pytest
import torch
from mmengine.utils import digit_version
from torch.export import Dim

from mmspanet.models import deploy
from tests.helpers import assert_close, random_model

pytestmark = pytest.mark.usefixtures('device')

with_torch_export = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.9'), reason='torch.export was young'
)
SMALL = dict(
    depths=(1, 1, 1, 1),
    channels=(32, 32, 64, 64),
    mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
)


def model_and_images(deployed: bool):
    model = random_model(SMALL, input_size=64)
    if deployed:
        model.switch_to_deploy()
    return model, torch.randn(2, 3, 75, 101)


@pytest.mark.slow
@with_torch_export
@pytest.mark.parametrize('deployed', [False, True])
def test_torch_export_with_any_batch_size(deployed, monkeypatch):
    monkeypatch.setattr(deploy, 'takes_shortcuts', lambda x: False)  # no graph has them
    model, images = model_and_images(deployed)
    with torch.no_grad():
        program = torch.export.export(model, (images,), dynamic_shapes=({0: Dim('batch')},))
        other = torch.randn(5, 3, 75, 101)
        assert_close(program.module()(other), model(other), 1e-6)
        with pytest.raises(AssertionError, match='75'):
            program.module()(torch.randn(2, 3, 64, 64))  # exported for one size


@pytest.mark.slow
@with_torch_export
def test_torch_export_with_any_size_is_refused():
    """The filters are resized by sizes that differ; PyTorch says that they can't be symbols."""
    model, images = model_and_images(deployed=False)
    sides = {2: Dim('height', min=32, max=512), 3: Dim('width', min=32, max=512)}
    with pytest.raises(torch._dynamo.exc.UserError, match='Constraints violated'):
        torch.export.export(model, (images,), dynamic_shapes=(sides,))


@pytest.mark.parametrize('deployed', [False, True])
def test_torchscript_tracing(deployed, monkeypatch):
    monkeypatch.setattr(deploy, 'takes_shortcuts', lambda x: False)  # no graph has them
    model, images = model_and_images(deployed)
    with torch.no_grad():
        traced = torch.jit.trace(model, images)
        for other in (torch.randn(3, 3, 75, 101), torch.randn(1, 3, 96, 64)):
            assert_close(traced(other), model(other), 1e-6)


def test_a_trace_at_the_filters_own_size_refuses_other_sizes():
    """There no filter is resized, so the trace has no such step: an error, not other numbers."""
    model = random_model(SMALL, input_size=64)
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(1, 3, 64, 64))
        with pytest.raises(RuntimeError, match='must match'):
            traced(torch.randn(1, 3, 96, 64))
