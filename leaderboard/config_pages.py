"""The README of each folder of configs: its recipes with their results, from the metafile."""

import ast
from pathlib import Path
from typing import Any

import yaml

from mmspanet.apis.config_files import metrics_of

TITLES = dict(
    det='Object detection and instance segmentation', seg='Semantic segmentation',
    cls='Image classification',
)  # fmt: skip
INTRO = """# {title}

Written by `python -m leaderboard.render` from `metafile.yml`. Do not edit.

```text
bash tools/dist_train.sh configs/{folder}/CONFIG GPUS   # as in the column training
python tools/train.py configs/{folder}/CONFIG           # on one device, with its part of the batch
python tools/test.py configs/{folder}/CONFIG CHECKPOINT
python tools/reproduce.py configs/{folder}/CONFIG
```

Status *paper*: published by the authors of SPANetV2 and not measured here. *ours*: a config of this
project; results stand only where we measured them. MACs count all operations of one image.

"""
NOTES = dict(
    seg="""The authors print one mIoU of UperNet per backbone; with which head width (h320 or h512)
it was reached is not known.

"""
)


def page(folder: Path) -> str:
    """The README of ``configs/det``, ``seg`` or ``cls``."""
    models = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
    names = list(dict.fromkeys(name for model in models for name in metrics_of(model)))
    heads = ['config', *names, 'params M', 'MACs G', 'at', 'schedule', 'training', 'status']
    lines = ['| ' + ' | '.join(heads) + ' |', '|---' * len(heads) + '|']
    lines += ['| ' + ' | '.join(_cells(model, names)) + ' |' for model in models]
    text = INTRO.format(title=TITLES[folder.name], folder=folder.name)
    text += NOTES.get(folder.name, '') + '\n'.join(lines) + '\n'
    aliases = _aliases(folder, {Path(model['Config']).name for model in models})
    if aliases:
        text += '\nAliases of a default recipe:\n\n'
        text += ''.join(f'- [{a}]({a}) is `{base}`.\n' for a, base in aliases.items())
    return text


def _cells(model: dict[str, Any], names: list[str]) -> list[str]:
    meta, metrics = model['Metadata'], metrics_of(model)
    file = Path(model['Config'])
    length = f'{meta["Iterations"]} iterations' if 'Iterations' in meta else ''
    return [
        f'[{file.stem}]({file.name})',
        *(f'{metrics[name]:.1f}' if name in metrics else '-' for name in names),
        f'{meta["Parameters"] / 1e6:.2f}',
        f'{sum(meta["MACs"].values()) / 1e9:.2f}',
        meta['Input Size'],
        length or f'{meta["Epochs"]} epochs',
        meta.get('Training Resources', '-'),
        model['Status'],
    ]


def _aliases(folder: Path, listed: set[str]) -> dict[str, str]:
    """Configs without a row, each with the recipe that its ``_base_`` names."""
    bases = {}
    for path in sorted(folder.glob('*.py')):
        if path.name not in listed:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
                    bases[path.name] = Path(ast.literal_eval(node.value)).name
    return bases
