"""Compare every variant, trained and deployed form, between the CPU and a GPU in float32."""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.gpu_speed import ODD_SIZES, parity
from mmspanet.models import SPANetV2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--archs', nargs='+', default=sorted(SPANetV2.arch_settings))
    parser.add_argument('--out', type=Path, required=True, help='JSON file of the differences')
    args = parser.parse_args()
    with torch.no_grad():
        worst = parity(args.device, args.archs, ODD_SIZES)
    args.out.write_text(json.dumps({name: f'{value:.1e}' for name, value in worst.items()}))


if __name__ == '__main__':
    main()
