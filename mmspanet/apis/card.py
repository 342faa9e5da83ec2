"""A model card: the README.md that Hugging Face shows beside published weights."""

from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCardData

from mmspanet.checkpoints.publish import file_hash
from mmspanet.checkpoints.published import PUBLISHED
from mmspanet.errors import InputError

from .config_files import metrics_of, read_models

UNKNOWN = 'unknown'  # as Hugging Face has it, too
TASKS = dict(cls='image-classification', det='object-detection', seg='image-segmentation')
LICENSES = {
    UNKNOWN: 'unknown. The authors of SPANetV2 give none for their weights, and we can give none '
    'in their place.'
}


def model_card(
    file: Path, config: str, configs: Path, measured: dict[str, float], license: str = UNKNOWN
) -> str:
    """Write what a stranger needs to know of a file: model, figures, license, how to load it.

    Published figures stand beside those measured with these weights, each called what it is.

    Args:
        file: The published file; its name goes into the card.
        config: Name of one of our configs, the model's.
        configs: The folder of configs, whose metafiles have the published figures.
        measured: Figures measured with these weights, by their names in the metafile; see
            :func:`measured_with`.
        license: Hugging Face's name of the license of the weights.

    Returns:
        Markdown with a YAML front matter.

    Raises:
        InputError: If no metafile has the config.
    """
    model = next((model for model in read_models(configs) if model['Name'] == config), None)
    if model is None:
        raise InputError(f'{config} is in no metafile.yml under {configs}: name one of ours.')
    paper = model['Status'] == 'paper'
    figures = [
        (name, value, 'published', "the authors' README" if paper else 'this project')
        for name, value in metrics_of(model).items()
    ]
    figures += [(n, v, 'measured', 'tools/reproduce.py') for n, v in measured.items()]
    task = TASKS[Path(model['Config']).parent.name]
    results = model.get('Results') or [dict(Dataset=model['Metadata']['Training Data'])]
    data = ModelCardData(
        license=license,
        library_name='mmspanet',
        pipeline_tag=task,
        tags=['spanetv2', *(model['Metadata']['Architecture'])],
        model_name=config,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type=results[0]['Dataset'].lower().replace(' ', '-'),
                dataset_name=results[0]['Dataset'],
                metric_type=name,
                metric_name=f'{name} ({kind})',
                metric_value=value,
                source_name=source,
                source_url=model.get('Source', 'https://arxiv.org/abs/2503.23947'),
            )
            for name, value, kind, source in figures
        ]
        or None,
    )
    rows = [f'| {name} | {value} | {kind}, {source} |\n' for name, value, kind, source in figures]
    table = '| metric | value | how it is known |\n|---|---|---|\n' + ''.join(rows)
    return TEXT.format(
        front=data.to_yaml(),
        config=config,
        file=file.name,
        data=results[0]['Dataset'],
        figures=table if figures else 'None is published for this config, and none was measured.\n',
        license=LICENSES.get(license, f'{license}, named by whoever publishes this file.'),
        timm=_timm(config, file.name),
    )


def measured_with(checkpoints: list[Path], config: str, record: Path) -> dict[str, float]:
    """The figures that tools/reproduce.py measured with a file, from its record.

    Args:
        checkpoints: The same weights in their forms, such as before and after publishing.
        config: Name of the config.
        record: ``reproduced.yml``; no file is an empty record.

    Returns:
        Values by metric, of the last entry.
    """
    entries = yaml.safe_load(record.read_text()) if record.is_file() else []
    hashes = {file_hash(path) for path in checkpoints}
    return {
        name: result['measured']
        for entry in entries or []
        if Path(entry['config']).stem == config and entry['checkpoint'] in hashes
        for name, result in entry['metrics'].items()
    }


def _timm(config: str, file: str) -> str:
    arch = next((name for name, entry in PUBLISHED.items() if config in entry.configs), '')
    name = f'spanetv2_{arch.replace("-", "_")}'
    if len(arch.split('-')) != 2 or '_' in arch:  # a detector, or with a scaled sigmoid
        return ''
    return f"""
The same in timm:

```python
import mmspanet.timm
import timm

model = timm.create_model('{name}', checkpoint_path='{file}')
```
"""


TEXT = """\
---
{front}
---

# {config}

Weights of [SPANetV2](https://doi.org/10.1109/TPAMI.2026.3690455) for this config of mmspanet.

## Figures

On {data}. *Published*: of the publisher's own file. *Measured*: of these weights.

{figures}
## Load

```python
from mmengine.config import Config

from mmspanet import checkpoints
from mmspanet.apis.build import build_model
from mmspanet.apis.config_files import find_config

model = build_model(Config.fromfile(find_config('{config}')))
checkpoints.load(model, '{file}')
```
{timm}
## License

License of the weights: {license}
"""
