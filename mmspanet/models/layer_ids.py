"""Depth ids of SPANetV2's parameters, for layer-wise learning rates.

A parameter of id i is trained at ``decay_rate ** (num_layers + 1 - i)`` times
the base learning rate; everything outside the stages has id num_layers + 1.
"""


def num_layer_wise_ids(depths: tuple[int, ...]) -> int:
    """The num_layers that ``layer_wise_id`` needs: stage 3 counts one per three blocks begun."""
    return 4 + (depths[2] - 1) // 3


def layer_wise_id(name: str, num_layers: int) -> int:
    """Layer-wise id of the backbone parameter ``name`` (0 .. num_layers + 1)."""
    part, *rest = name.split('.')
    if part == 'downsample_layers':
        return (0, 2, 3, num_layers)[int(rest[0])]
    if part == 'stages':
        stage, block = int(rest[0]), int(rest[1])
        return (1, 2, 3 + block // 3, num_layers)[stage]
    return num_layers + 1


def stage_wise_id(name: str, num_layers: int) -> int:
    """Stage-wise id of the backbone parameter ``name``: 0, the stage (1 .. 4) or num_layers + 1."""
    part, *rest = name.split('.')
    if part == 'downsample_layers':
        return 0
    if part == 'stages':
        return int(rest[0]) + 1
    return num_layers + 1
