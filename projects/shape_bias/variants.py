"""The models that are compared."""

# Fields of SPANetV2's arch that make a variant; depths and channels are the config's. SPAM has
# four heads in all of them, so that it mixes the same channels.
VARIANTS: dict[str, dict] = {
    **{
        f'{k}x{k}': dict(mixers=(dict(type='SPAM', kernel_sizes=(k,) * 4),) * 4)
        for k in (3, 5, 7, 9)
    },
    'mixed': dict(mixers=('SPAM',) * 4),
    'attention': dict(mixers=(dict(type='Attention', head_dim=16),) * 4),
}
