"""Count a config's parameters and MACs, by module and kind, without data or weights.

A test image passes through the model on PyTorch's meta device, so nothing is computed. The
size is 800x1280 (detection), 512x2048 (segmentation; 512x512 with an FPNHead) or the
backbone's input_size (classification). A two-stage detector is counted with 1000 proposals in
each box head and 100 in each mask head, the rule of the field's tables.
"""

import argparse
import json
from typing import TYPE_CHECKING

from mmspanet import cli

if TYPE_CHECKING:  # it loads PyTorch
    from mmspanet.analysis.costs import ModuleCost

# What is added to the total with each kind.
SUMS = (
    'linear layers and convolutions',
    'with attention products',
    'with LayerNorm',
    'with FFTs',
    'everything',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument(
        '--shape', nargs=2, type=cli.image_side, metavar=('HEIGHT', 'WIDTH'), help='in pixels'
    )
    parser.add_argument(
        '--depth', type=cli.positive_int, default=2, help='depth of the modules in the table'
    )
    parser.add_argument(
        '--deploy', action='store_true', help='of the backbone in its deployed form'
    )
    parser.add_argument('--json', type=cli.output_file, help='write every module to this file')
    return parser.parse_args()


def show(costs: 'list[ModuleCost]', depth: int) -> None:
    from rich.console import Console
    from rich.table import Table

    kinds = list(costs[0].macs)
    table = Table('module', 'params M', *(f'{kind} G' for kind in kinds))
    for cost in costs:
        if cost.name.count('.') < depth:
            macs = (f'{cost.macs[kind] / 1e9:.2f}' for kind in kinds)
            table.add_row(cost.name or 'whole model', f'{cost.params / 1e6:.2f}', *macs)
    console = Console(width=120)
    console.print(table)
    total = 0.0
    for kind, name in zip(kinds, SUMS, strict=True):
        total += costs[0].macs[kind] / 1e9
        console.print(f'{name:<48}{total:10.2f} G MACs')


def main() -> None:
    args = parse_args()
    from mmspanet.analysis.costs import count_config, default_shape
    from mmspanet.files import write_text

    cfg = cli.load_model_config(args.config)
    shape = tuple(args.shape) if args.shape else default_shape(cfg)
    costs = count_config(cfg, shape, args.deploy)
    print(f'{args.config}: one image of {shape[0]} x {shape[1]} pixels')
    show(costs, args.depth)
    if args.json:
        record = dict(
            config=args.config,
            shape=shape,
            modules=[dict(name=c.name, params=c.params, macs=c.macs) for c in costs],
        )
        write_text(args.json, json.dumps(record, indent=1))


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
