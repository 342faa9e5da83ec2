"""A plain, literal transcription of SPANetV2's formulas, the tests' oracle.

One FFT pair and one resize per head and call, attention written out, channels
last throughout; it takes a state dict with the authors' names and shares no
code with the package.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

DEPTHS = {'s18': (3, 3, 9, 3), 's36': (3, 12, 18, 3), 'm36': (3, 12, 18, 3), 'b36': (3, 12, 18, 3)}


class Oracle:
    """The released SPANetV2 of one state dict (authors' names), in eval mode."""

    def __init__(self, state_dict: dict[str, Tensor], interleave: bool = True) -> None:
        self.w = state_dict
        self.interleave = interleave

    def stages(self, image: Tensor) -> list[Tensor]:
        """The raw maps of the four stages, (B, H, W, C), for an image (B, 3, H, W)."""
        w, maps = self.w, []
        for i in range(4):
            p = f'downsample_layers.{i}.'
            if i == 0:
                x = F.conv2d(image, w[p + 'conv.weight'], w[p + 'conv.bias'], stride=4, padding=2)
                x = layer_norm(x.permute(0, 2, 3, 1), w[p + 'post_norm.weight'])
            else:
                x = layer_norm(x, w[p + 'pre_norm.weight']).permute(0, 3, 1, 2)
                x = F.conv2d(x, w[p + 'conv.weight'], w[p + 'conv.bias'], stride=2, padding=1)
                x = x.permute(0, 2, 3, 1)
            j = 0
            while f'stages.{i}.{j}.norm1.weight' in w:
                x = self.block(x, f'stages.{i}.{j}.')
                j += 1
            maps.append(x)
        return maps

    def features(self, image: Tensor) -> list[Tensor]:
        """The four dense maps, normed, (B, C, H, W)."""
        return [
            layer_norm(x, self.w[f'norm{i}.weight']).permute(0, 3, 1, 2)
            for i, x in enumerate(self.stages(image))
        ]

    def logits(self, image: Tensor) -> Tensor:
        w = self.w
        x = self.stages(image)[-1].mean(dim=(1, 2))
        x = F.layer_norm(x, x.shape[-1:], w['norm.weight'], w['norm.bias'], eps=1e-6)
        x = F.relu(F.linear(x, w['head.fc1.weight'], w['head.fc1.bias'])) ** 2
        x = F.layer_norm(x, x.shape[-1:], w['head.norm.weight'], w['head.norm.bias'], eps=1e-5)
        return F.linear(x, w['head.fc2.weight'], w['head.fc2.bias'])

    def block(self, x: Tensor, p: str) -> Tensor:
        w = self.w
        r1 = w.get(p + 'res_scale1.scale', 1.0)
        r2 = w.get(p + 'res_scale2.scale', 1.0)
        y = layer_norm(x, w[p + 'norm1.weight'])
        is_attention = p + 'token_mixer.qkv.weight' in w
        y = (
            self.attention(y, p + 'token_mixer.')
            if is_attention
            else self.spam(y, p + 'token_mixer.')
        )
        x = r1 * x + y
        z = F.linear(layer_norm(x, w[p + 'norm2.weight']), w[p + 'mlp.fc1.weight'])
        z = w[p + 'mlp.act.scale'] * F.relu(z) ** 2 + w[p + 'mlp.act.bias']
        return r2 * x + F.linear(z, w[p + 'mlp.fc2.weight'])

    def spam(self, x: Tensor, p: str) -> Tensor:
        w = self.w
        _, H, W, C = x.shape
        g = C // 4
        q = F.gelu(F.linear(x, w[p + 'query.0.weight']))
        ctx = F.linear(x, w[p + 'ctx.weight']).permute(0, 3, 1, 2)
        heads = []
        for i in range(4):
            if p + 'filter' in w:
                kernel, bias = w[p + f'local_convs.{i}.weight'], w[p + f'local_convs.{i}.bias']
                f = w[p + 'filter'][i * g : (i + 1) * g]
            else:
                kernel, bias = (
                    w[p + f'local_conv_{i + 1}.weight'],
                    w[p + f'local_conv_{i + 1}.bias'],
                )
                f = w[p + f'filter_{i + 1}']
            k = kernel.shape[-1]
            u = F.conv2d(ctx[:, i * g : (i + 1) * g], kernel, bias, padding=k // 2, groups=g)
            if f.shape[1:] != (H, W // 2 + 1):
                f = F.interpolate(f[None], (H, W // 2 + 1), mode='bicubic', align_corners=True)[0]
            gain = torch.sigmoid(w.get(p + 'scale.alpha', 1.0) * f)
            heads.append(
                torch.fft.irfft2(gain * torch.fft.rfft2(u, norm='ortho'), s=(H, W), norm='ortho')
            )
        if self.interleave:
            s = torch.stack([heads[c % 4][:, c // 4] for c in range(C)], dim=1)
        else:
            s = torch.cat(heads, dim=1)
        m = F.conv2d(s, w[p + 'proj.0.weight'], groups=g)
        m = F.group_norm(m, 1, w[p + 'proj.1.weight'], w[p + 'proj.1.bias'], eps=1e-5)
        m = F.conv2d(F.gelu(m), w[p + 'proj.3.weight']).permute(0, 2, 3, 1)
        return F.linear(q * m, w[p + 'proj_out.weight'])

    def attention(self, x: Tensor, p: str) -> Tensor:
        w = self.w
        B, H, W, C = x.shape
        heads = C // 32
        q, k, v = F.linear(x, w[p + 'qkv.weight']).reshape(B, H * W, 3 * C).chunk(3, dim=-1)
        split = [t.reshape(B, H * W, heads, 32).transpose(1, 2) for t in (q, k, v)]
        scores = torch.softmax(split[0] @ split[1].transpose(-2, -1) * 32**-0.5, dim=-1)
        out = (scores @ split[2]).transpose(1, 2).reshape(B, H, W, C)
        if p + 'local_conv.weight' in w:
            values = v.reshape(B, H, W, C).permute(0, 3, 1, 2)
            local = F.conv2d(values, w[p + 'local_conv.weight'], padding=3, groups=C)
            out = out + local.permute(0, 2, 3, 1)
        return F.linear(out, w[p + 'proj.weight'])


def layer_norm(x: Tensor, weight: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight, None, eps=1e-6)
