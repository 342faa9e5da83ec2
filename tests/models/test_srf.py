"""The filter's cache: never recomputed for a size it has seen, never stale."""

import copy

import pytest
import torch

from mmspanet.models import SpectralRescalingFilter


@pytest.fixture
def srf():
    torch.manual_seed(0)
    module = SpectralRescalingFilter(8, (14, 14), scaled_sigmoid=True).eval()
    with torch.no_grad():
        module.filter.normal_()
    return module


@pytest.fixture
def resizes(monkeypatch):
    """Counts the calls of the resize."""
    calls = []
    resize = torch.nn.functional.interpolate

    def counted(*args, **kwargs):
        calls.append(args)
        return resize(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, 'interpolate', counted)
    return calls


def fresh(srf, u):
    """What a filter that has never cached anything gives."""
    module = SpectralRescalingFilter(8, (14, 14), scaled_sigmoid=True)
    module = module.to(srf.filter.device, srf.filter.dtype)
    module.load_state_dict(srf.state_dict())
    with torch.no_grad():
        return module.train()(u)


def run(srf, u):
    with torch.no_grad():
        return srf(u)


def test_a_seen_size_is_not_resized_again(srf, resizes):
    for size in [(20, 31), (9, 9), (20, 31), (9, 9), (20, 31)]:
        run(srf, torch.randn(1, 8, *size))
    assert len(resizes) == 2


def test_the_cache_is_bounded(srf):
    for side in range(5, 40):
        run(srf, torch.randn(1, 8, side, side))
    assert len(srf.cache) == srf.cache.max_sizes


def test_the_stored_size_needs_no_resize(srf, resizes):
    run(srf, torch.randn(1, 8, 14, 14))
    assert not resizes


def optimizer_step(srf):
    for param in srf.parameters():
        param.grad = torch.ones_like(param)
    torch.optim.SGD(srf.parameters(), lr=1.0).step()


def load(srf):
    srf.load_state_dict({k: v * 2 + 1 for k, v in srf.state_dict().items()})


def swap_like_ema(srf):
    srf.train()
    srf.filter.data.mul_(3)
    srf.eval()


def new_data(srf):
    srf.filter.data = srf.filter.data * 2


def change_alpha(srf):
    with torch.no_grad():
        srf.alpha.mul_(3)


@pytest.mark.parametrize(
    'change',
    [optimizer_step, load, swap_like_ema, new_data, change_alpha],
    ids=lambda f: f.__name__,
)
def test_changed_weights_are_seen(srf, change):
    u = torch.randn(2, 8, 11, 12)
    before = run(srf, u)
    change(srf)
    after = run(srf, u)
    assert not torch.equal(before, after)
    assert torch.equal(after, fresh(srf, u))


def test_another_type(srf):
    u = torch.randn(2, 8, 11, 12)
    run(srf, u)
    srf.double()
    out = run(srf, u.double())
    assert out.dtype == torch.float64
    assert torch.equal(out, fresh(srf, u.double()))


def test_a_copy_has_a_cache_of_its_own(srf):
    u = torch.randn(2, 8, 11, 12)
    before = run(srf, u)
    twin = copy.deepcopy(srf)
    assert len(twin.cache) == 0
    change_alpha(twin)
    assert not torch.equal(run(twin, u), before)
    assert torch.equal(run(srf, u), before)


def test_inference_mode_then_a_gradient_through_the_input(srf):
    u = torch.randn(2, 8, 11, 12)
    with torch.inference_mode():
        srf(u)
    srf.requires_grad_(False)
    u.requires_grad_()
    srf(u).sum().backward()
    assert u.grad is not None


def test_training_and_gradients_do_not_use_the_cache(srf):
    u = torch.randn(2, 8, 11, 12)
    run(srf, u)
    srf(u).sum().backward()
    assert srf.filter.grad is not None
    assert srf.alpha.grad is not None


def test_float16_input_is_filtered_in_float32(srf):
    u = torch.randn(2, 8, 11, 12).half()  # cuFFT's half precision would refuse 11 and 12
    out = run(srf, u)
    assert out.dtype == torch.float16
    assert torch.equal(out, run(srf, u.float()).half())


def test_a_filter_of_gain_one_is_the_identity(srf):
    with torch.no_grad():
        srf.filter.fill_(100)
    u = torch.randn(2, 8, 11, 13)
    assert torch.allclose(run(srf, u), u, atol=1e-5)
