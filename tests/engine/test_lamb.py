"""LAMB with a ratio per head's filter against timm's LAMB on four parameters."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmspanet.models import SPAM

pytest.importorskip('mmpretrain')
timm_lamb = pytest.importorskip('timm.optim.lamb')

CONFIGS = Path(__file__).parents[2] / 'configs/cls'
HEADS = 4


class Mixer(nn.Module):
    """A SPAM of eight channels, whose four filters differ in norm by some orders of magnitude."""

    def __init__(self):
        super().__init__()
        self.token_mixer = SPAM(8, (6, 6))
        with torch.no_grad():
            for i, head in enumerate(self.token_mixer.srf.filter.chunk(HEADS)):
                head.mul_(10.0**i)

    def forward(self, x):
        return self.token_mixer(x)


def wrapper_of(model, file='spanetv2-s18-hybrid_4xb64-amp-310e_in1k.py'):
    cfg = Config.fromfile(CONFIGS / file)
    init_default_scope('mmpretrain')
    options = cfg.optim_wrapper | dict(type='OptimWrapper', accumulative_counts=1)
    return build_optim_wrapper(model, options)


def timm_twin(model, lr, weight_decay):
    """timm's LAMB on copies of the parameters, each filter as four; and how to read it."""
    copies = {}
    for name, param in model.named_parameters():
        parts = param.detach().clone().chunk(HEADS if name.endswith('srf.filter') else 1)
        copies[name] = [nn.Parameter(part.clone()) for part in parts]
    decayed = [p for ps in copies.values() for p in ps if p.ndim > 1]
    flat = [p for ps in copies.values() for p in ps if p.ndim == 1]
    groups = [dict(params=decayed, weight_decay=weight_decay), dict(params=flat, weight_decay=0.0)]
    return timm_lamb.Lamb(groups, lr=lr), copies


def gradients(model, step):
    generator = torch.Generator().manual_seed(step)
    for name, param in model.named_parameters():
        scale = 10.0 ** (sum(name.encode()) % 5 - 2)
        yield name, param, scale * torch.randn(param.shape, generator=generator)


def test_each_head_has_a_trust_ratio_of_its_own():
    torch.manual_seed(0)
    model = Mixer()
    optimizer = wrapper_of(model).optimizer
    theirs, copies = timm_twin(model, lr=8e-3, weight_decay=0.05)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    for step in range(5):
        for name, param, grad in gradients(model, step):
            param.grad = grad.clone()
            for copy, part in zip(copies[name], grad.chunk(len(copies[name])), strict=True):
                copy.grad = part.clone()
        optimizer.step()
        theirs.step()
        if step == 2:  # through a checkpoint
            optimizer.load_state_dict(optimizer.state_dict())
    for name, param in model.named_parameters():
        assert not torch.equal(param, before[name]), name
        torch.testing.assert_close(param.detach(), torch.cat(copies[name]).detach(), msg=name)


def test_the_state_is_that_of_whole_parameters():
    """What a checkpoint holds does not depend on the heads, and nothing piles up over the steps."""
    model = Mixer()
    optimizer = wrapper_of(model).optimizer
    for step in range(2):
        for _, param, grad in gradients(model, step):
            param.grad = grad
        optimizer.step()
    params = list(model.parameters())
    assert set(map(id, optimizer.state)) == set(map(id, params))
    assert all(optimizer.state[p]['exp_avg'].shape == p.shape for p in params)


def test_a_mixer_without_a_gradient_stays():
    model = Mixer()
    optimizer = wrapper_of(model).optimizer
    for name, param, grad in gradients(model, 0):
        param.grad = None if 'srf' in name else grad
    before = model.token_mixer.srf.filter.detach().clone()
    optimizer.step()
    assert torch.equal(model.token_mixer.srf.filter, before)


def test_a_closure_is_called_once_before_the_step():
    model = Mixer()
    optimizer = wrapper_of(model).optimizer
    calls = []

    def closure():
        calls.append(0)
        optimizer.zero_grad()
        loss = model(torch.ones(1, 8, 6, 6)).square().sum()
        loss.backward()
        return loss

    before = model.token_mixer.srf.filter.detach().clone()
    assert optimizer.step(closure) > 0
    assert len(calls) == 1
    assert not torch.equal(model.token_mixer.srf.filter, before)


@pytest.mark.parametrize('file', sorted(p.name for p in CONFIGS.glob('*-hybrid*_in1k.py')))
def test_filters_of_the_hybrids_are_stepped_by_head(file):
    """The revision of the mixer has one filter, hence one ratio: there it is one in the release."""
    model = Mixer()
    groups = wrapper_of(model, file).optimizer.param_groups
    heads = {id(p): group.get('heads', 1) for group in groups for p in group['params']}
    decays = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    for name, param in model.named_parameters():
        joined = name.endswith('srf.filter') and 'scaled-sigmoid' not in file
        assert heads[id(param)] == (HEADS if joined else 1), name
        assert decays[id(param)] == (0.05 if param.ndim > 1 else 0.0), name
