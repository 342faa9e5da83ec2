"""Steps of a block with a backward pass of their own, for training in eager mode.

Autograd keeps the inputs of every operation until the backward pass. Each step here joins a few
operations, keeps the inputs of the first alone, and computes the others again from them, which
costs a pass over memory that was spent on keeping them before. The forward pass is the formula of
the step's docstring; the modules have it written out, for every other use (:func:`applies`).

Maps are (B, C, H, W) tensors in channels_last memory. Under autocast a step has the type of its
first map, which a product has made, and its weights are cast to that. Gradients of second
order are an error.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .layers import PointwiseLinear, StarReLU, pointwise

aten = torch.ops.aten


def applies(module: nn.Module, *others: nn.Module) -> bool:
    """Whether modules take the steps of this file: when they are trained in eager mode.

    Compilers, exporters and tracers see the plain formula, from which they make their own choice
    of what to keep. So do modules with hooks, of an analysis or of pruning, and a layer that was
    put in the place of ours.
    """
    return (
        module.training
        and torch.is_grad_enabled()
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and not any(_has_hooks(part) for part in (module, *others))
    )


def _has_hooks(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _is_ours(linear: nn.Module) -> bool:
    return type(linear) is PointwiseLinear and linear.bias is None


def star_relu_linear(x: Tensor, act: StarReLU, linear: PointwiseLinear) -> Tensor:
    """Y = W StarReLU(x), of (B, 4C, H, W) to (B, C, H, W)."""
    if _is_ours(linear) and type(act) is StarReLU:
        if applies(linear, act):
            return StarReLULinear.apply(x, act.scale, act.bias, linear.weight)
        if x.dtype == torch.float16 and not _has_hooks(linear):
            return _scaled_down(x, act, linear.weight)
    return linear(act(x))


def _scaled_down(x: Tensor, act: StarReLU, weight: Tensor) -> Tensor:
    """W StarReLU(x) in float16, whose range the square leaves from 256 on; see StarReLULinear."""
    squares = (F.relu(x) / 16).square()
    scaled, shift = 256 * act.scale * weight, act.bias * weight.sum(1)
    return pointwise(squares.to(x.dtype), scaled.to(x.dtype), shift.to(x.dtype))


def gated_linear(q: Tensor, m: Tensor, linear: PointwiseLinear) -> Tensor:
    """Y = W (GELU(q) m), of maps (B, C, H, W)."""
    if _is_ours(linear) and applies(linear):
        return GatedLinear.apply(q, m, linear.weight)
    return linear(F.gelu(q) * m)


def norm_gelu_linear(x: Tensor, norm: nn.GroupNorm, linear: PointwiseLinear) -> Tensor:
    """M = W GELU(GN(x)), of (B, 2C, H, W) to (B, C, H, W)."""
    over_all = type(norm) is nn.GroupNorm and norm.num_groups == 1 and norm.affine
    if _is_ours(linear) and over_all and applies(linear, norm):
        return NormGELULinear.apply(x, norm.weight, norm.bias, norm.eps, linear.weight)
    return linear(F.gelu(norm(x)))


class _Step(torch.autograd.Function):
    """Keeps the tensors that it is given, and nothing else."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)


class StarReLULinear(_Step):
    """y = W (s relu(x)^2 + b), of x with 4C channels; keeps x, where the plain form keeps 3 maps.

    It is computed as y = (s W) relu(x)^2 + b W 1. With z = relu(x), g the gradient of y and
    G = g (z^2)^T, the gradients are

        dW = s G + b g 1^T      ds = <G, W>      db = <g, W 1>      dx = 2 z (s W)^T g

    In float16, whose range z^2 leaves from 256 on, z / 16 is squared and the weights are 256 times
    as large.
    """

    @staticmethod
    def forward(x: Tensor, scale: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
        z = F.relu(x)
        if x.dtype == torch.float16:
            z, scale = z.div_(16), 256 * scale
        scaled, shift = (scale * weight).to(x.dtype), (bias * weight.sum(1)).to(x.dtype)
        return pointwise(z.square_(), scaled, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, scale, bias, weight = ctx.saved_tensors
        z = F.relu(x)
        doubled = (2 * scale * weight).to(x.dtype)
        is_half = x.dtype == torch.float16
        squares = (z / 16).square_() if is_half else z.square()
        grad_x, of_squares = _pointwise_backward(grad, squares, doubled)
        of_squares = of_squares.to(weight.dtype)
        if is_half:
            of_squares.mul_(256)
        sums = grad.sum((0, 2, 3), dtype=weight.dtype)  # of scaled losses, beyond float16
        grad_scale = (of_squares * weight).sum().view_as(scale)
        grad_weight = of_squares.mul_(scale).add_(bias * sums[:, None])
        grad_bias = (sums * weight.sum(1)).sum().view_as(bias)
        return grad_x.mul_(z), grad_scale, grad_bias, grad_weight


class GatedLinear(_Step):
    """y = W (GELU(q) m): the query, the modulator and SPAM's projection; keeps q and m."""

    @staticmethod
    def forward(q: Tensor, m: Tensor, weight: Tensor) -> Tensor:
        return pointwise(F.gelu(q).mul_(m), weight.to(q.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        q, m, weight = ctx.saved_tensors
        gate = F.gelu(q)
        grad_product, grad_weight = _pointwise_backward(grad, gate * m, weight.to(q.dtype))
        grad_m = gate.mul_(grad_product)
        grad_q = aten.gelu_backward(grad_product.mul_(m), q)
        return grad_q, grad_m, grad_weight.to(weight.dtype)


class NormGELULinear(_Step):
    """m = W GELU(GN(x)), of x with 2C channels in one group; keeps x.

    It is normed in the type of its weights where PyTorch's autocast does that, on GPUs.
    """

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, eps: float, weight: Tensor) -> Tensor:
        normed, _, _ = _group_norm(_for_norm(x, scale), scale, shift, eps)
        return pointwise(F.gelu(normed).to(x.dtype), weight.to(x.dtype))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, scale, shift, ctx.eps, weight = inputs
        ctx.save_for_backward(x, scale, shift, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, shift, weight = ctx.saved_tensors
        given = _for_norm(x, scale)
        normed, mean, rstd = _group_norm(given, scale, shift, ctx.eps)
        grad_active, grad_weight = _pointwise_backward(
            grad, F.gelu(normed).to(x.dtype), weight.to(x.dtype)
        )
        grad_normed = aten.gelu_backward(grad_active.to(normed.dtype), normed)
        grad_x, grad_scale, grad_shift = aten.native_group_norm_backward(
            _for_norm(grad_normed, scale), given, mean, rstd, scale, *_group_sizes(x), 1, [True] * 3
        )
        return grad_x.to(x.dtype), grad_scale, grad_shift, None, grad_weight.to(weight.dtype)


class Rescale(_Step):
    """s = irfft2(g rfft2(u)) with a real, even gain g, ``norm='ortho'``; keeps u and g.

    As a map of u it equals its own transpose. With S the spectrum of the gradient of s, and U that
    of u, du = irfft2(g S) and dg = w Re(conj(S) U), where w is 2 for frequencies that stand
    for two of the whole spectrum, and 1 for the others.
    """

    @staticmethod
    def forward(u: Tensor, gain: Tensor) -> Tensor:
        return _filtered(_spectrum(u), gain, u)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, gain = ctx.saved_tensors
        of_grad = _spectrum(grad)
        products = torch.view_as_real(_spectrum(u)).mul_(torch.view_as_real(of_grad))
        # Re(conj(S) U) over the batch; one sum over both dimensions takes five times as long.
        grad_gain = products.sum(0).sum(-1)
        grad_gain[..., 1 : (u.shape[-1] + 1) // 2] *= 2
        return _filtered(of_grad, gain, u), grad_gain


def _spectrum(x: Tensor) -> Tensor:
    """The half spectrum of maps, (B, C, H, W // 2 + 1), complex; float32 for half types."""
    return torch.fft.rfft2(x if x.dtype == torch.float64 else x.float(), norm='ortho')


def _filtered(spectrum: Tensor, gain: Tensor, u: Tensor) -> Tensor:
    """The maps of ``gain * spectrum``, in the size and type of u; overwrites the spectrum."""
    torch.view_as_real(spectrum).mul_(gain[..., None])
    return torch.fft.irfft2(spectrum, s=u.shape[-2:], norm='ortho').to(u.dtype)


def _pointwise_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``pointwise(x, weight)`` with respect to both."""
    rows, grad_rows = (t.permute(0, 2, 3, 1).flatten(0, 2) for t in (x, grad))
    grad_x = (grad_rows @ weight).unflatten(0, (x.shape[0], *x.shape[2:])).permute(0, 3, 1, 2)
    return grad_x, grad_rows.T @ rows


def _for_norm(x: Tensor, scale: Tensor) -> Tensor:
    """A map as GroupNorm takes it: on GPUs in (B, C, H, W) memory and the weights' type."""
    return x if x.device.type == 'cpu' else x.to(scale.dtype).contiguous()


def _group_norm(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """GroupNorm of one group, and each sample's mean and reciprocal standard deviation."""
    return torch.native_group_norm(x, scale, shift, *_group_sizes(x), 1, eps)


def _group_sizes(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
