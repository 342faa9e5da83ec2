"""Learning rates that fall with a parameter's depth in the backbone."""

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmspanet.models import SPANetV2, find_spanetv2
from mmspanet.models.layer_ids import layer_wise_id, num_layer_wise_ids, stage_wise_id
from mmspanet.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Scale the learning rate of each parameter by ``decay_rate ** (num_layers + 1 - id)``.

    The id is that of :mod:`mmspanet.models.layer_ids` for parameters of the
    SPANetV2 in the model and num_layers + 1, hence a scale of 1, for all others.
    One-dimensional parameters and biases get no weight decay; the spectral
    filters, which are three-dimensional, do.

    ``paramwise_cfg`` takes what MMDetection's and MMSegmentation's layer decay
    takes:

    - ``decay_rate`` (float);
    - ``decay_type``: ``'layer_wise'`` (the default) or ``'stage_wise'``;
    - ``num_layers`` (int). For ``'layer_wise'`` it defaults to what the depth
      of stage 3 needs. Less than that, or than 4 for ``'stage_wise'``, is
      refused: the deepest blocks would train faster than the head.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        cfg = self.paramwise_cfg
        if set(cfg) - {'decay_rate', 'decay_type', 'num_layers'} or 'decay_rate' not in cfg:
            raise ValueError(
                f'paramwise_cfg of layer decay has the keys {sorted(cfg)}; it needs decay_rate '
                'and may have decay_type and num_layers.'
            )
        decay_type = cfg.get('decay_type', 'layer_wise')
        if decay_type not in ('layer_wise', 'stage_wise'):
            raise ValueError(f"decay_type={decay_type!r} must be 'layer_wise' or 'stage_wise'.")
        if decay_type == 'stage_wise' and 'num_layers' not in cfg:
            raise ValueError("paramwise_cfg needs num_layers for decay_type='stage_wise'.")

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: object) -> None:
        """Append one group per id and weight decay to ``params``.

        Args:
            params: Parameter groups of the optimizer, extended in place.
            module: The whole model.
            kwargs: What MMEngine passes to nested modules; unused here.
        """
        place, backbone = next(iter(find_spanetv2(module).items()))
        prefix = f'{place}.' if place else ''
        decay_rate = self.paramwise_cfg['decay_rate']
        decay_type = self.paramwise_cfg.get('decay_type', 'layer_wise')
        num_layers = self._num_layers(backbone, decay_type)
        id_of = layer_wise_id if decay_type == 'layer_wise' else stage_wise_id
        groups: dict[tuple[int, bool], dict] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            decays = param.ndim > 1 and not name.endswith('.bias')
            depth = num_layers + 1
            if name.startswith(prefix):
                depth = id_of(name.removeprefix(prefix), num_layers)
            if (depth, decays) not in groups:
                scale = decay_rate ** (num_layers + 1 - depth)
                groups[depth, decays] = dict(
                    params=[],
                    param_names=[],
                    lr=scale * self.base_lr,
                )
                if not decays:
                    groups[depth, decays]['weight_decay'] = 0.0
                elif self.base_wd is not None:
                    groups[depth, decays]['weight_decay'] = self.base_wd
            group = groups[depth, decays]
            group['params'].append(param)
            group['param_names'].append(name)
        params.extend(groups.values())
        for (depth, decays), group in sorted(groups.items()):
            print_log(
                f'{decay_type} decay, id {depth}: lr {group["lr"]:.3g}, '
                f'{len(group["params"])} parameters {"with" if decays else "without"} weight decay',
                logger='current',
            )

    def _num_layers(self, backbone: SPANetV2, decay_type: str) -> int:
        needed = 4 if decay_type == 'stage_wise' else num_layer_wise_ids(backbone.depths)
        given = self.paramwise_cfg.get('num_layers', needed)
        if given < needed:
            raise ValueError(
                f'num_layers={given} is too small for {decay_type} decay over stages of '
                f'{backbone.depths} blocks, of which some would train faster than the head: give '
                f'{needed} or more.'
            )
        return given
