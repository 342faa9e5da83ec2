"""Count the peers that MMPretrain or timm can build by the rule that our own rows are counted by.

Each peer of ``built`` in leaderboard/peers.yml stands in our models in place of SPANetV2: the same
neck, head and input size, counted by mmspanet.analysis.costs. Writes leaderboard/peer_costs.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

from mmspanet import cli, surroundings
from mmspanet.analysis.costs import ModuleCost, count_config, count_costs, default_shape
from mmspanet.files import write_text

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent

# Our config that lends a table's neck and head.
FRAMES = {
    'mask-rcnn': 'det/mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco.py',
    'cascade-mask-rcnn': 'det/cascade-mask-rcnn_spanetv2-s18-pure_fpn_4xb1-amp-ms-crop-3x_coco.py',
    'retinanet': 'det/retinanet_spanetv2-s18-pure_fpn_4xb4-amp-1x_coco.py',
    'upernet': 'seg/upernet_spanetv2-s18-pure_h512_4xb4-amp-160k_ade20k-512x512.py',
    'fpn': 'seg/fpn_spanetv2-s18-pure_4xb8-amp-40k_ade20k-512x512.py',
}
STAGES = (0, 1, 2, 3)


def backbone(spec: str) -> dict[str, Any]:
    """The config of a backbone that gives the maps of its four stages.

    Args:
        spec: ``timm:NAME``, or ``mmpretrain:NAME`` of one of its configs.
    """
    library, name = spec.split(':')
    if library == 'timm':
        return dict(
            type='mmpretrain.TIMMBackbone', model_name=name, features_only=True, out_indices=STAGES
        )
    cfg = dict(get_config(f'mmpretrain::{name}.py').model.backbone)
    if 'hornet' in name:
        cfg['gap_before_final_norm'] = False  # maps, not their means
    return cfg | dict(type=f'mmpretrain.{cfg["type"]}', out_indices=STAGES)


def count_classifier(spec: str) -> ModuleCost:
    """What one image of 224 x 224 pixels costs in a whole classifier."""
    library, name = spec.split(':')
    if library == 'mmpretrain':
        return count_config(get_config(f'mmpretrain::{name}.py'), (224, 224))[0]
    model = timm.create_model(name).eval().to('meta')
    images = torch.empty(1, 3, 224, 224, device='meta')
    return count_costs(model, lambda: model(images))[0]


def framed(table: str, spec: str) -> Config:
    """The config of a table's model with a peer's backbone in place of ours."""
    cfg = Config.fromfile(ROOT / 'configs' / FRAMES[table])
    body = backbone(spec)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(body)
    model.eval()  # Swin's returns nothing
    model.to('meta')
    channels = [m.shape[1] for m in model(torch.empty(1, 3, 224, 224, device='meta'))]
    cfg.model.backbone = body
    if 'neck' in cfg.model:
        cfg.model.neck.in_channels = channels
    else:
        cfg.model.decode_head.in_channels = channels
    if 'auxiliary_head' in cfg.model:
        cfg.model.auxiliary_head.in_channels = channels[2]
    return cfg


def count(table: str, spec: str) -> ModuleCost:
    """What one image costs in a table's model with a peer's backbone."""
    if table == 'imagenet':
        return count_classifier(spec)
    cfg = framed(table, spec)
    return count_config(cfg, default_shape(cfg))[0]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    peers = yaml.safe_load((FOLDER / 'peers.yml').read_text())
    costs: dict[str, dict[str, Any]] = {}
    for table, entries in peers['tables'].items():
        for name in dict.fromkeys(entry['name'] for entry in entries):
            if name in peers['built']:
                whole = count(table, peers['built'][name])
                costs.setdefault(table, {})[name] = dict(params=whole.params, macs=whole.macs)
                total = sum(whole.macs.values()) / 1e9
                print(f'{table}, {name}: {whole.params / 1e6:.2f} M, {total:.2f} G', flush=True)
    record = dict(
        command='python -m leaderboard.count_peers',
        versions=surroundings.versions('timm'),
        commit=surroundings.commit(ROOT),
        costs=costs,
    )
    write_text(FOLDER / 'peer_costs.json', json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
