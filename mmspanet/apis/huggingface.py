"""The classifier with Hugging Face's way to save, share and load a model.

Needs ``pip install -e '.[hub]'``::

    from mmspanet.apis.huggingface import SPANetV2ForImageClassification

    model = SPANetV2ForImageClassification('s18-pure', num_classes=10)
    model.save_pretrained('my-model')
    model = SPANetV2ForImageClassification.from_pretrained('my-model')
"""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin

from mmspanet import checkpoints
from mmspanet.checkpoints.publish import write_checkpoint
from mmspanet.errors import InputError
from mmspanet.models.classifier import SPANetV2Classifier

MIXERS = ('SPAM', 'SPAMRevision', 'MixAttention', 'Attention')
MIXER_OPTIONS = ('kernel_sizes', 'head_dim')
MOST_BLOCKS = 200
MOST_PARAMETERS = 10**9  # the largest published model has 110 million

CARD = """\
---
{{ card_data }}
---

# SPANetV2 for image classification

```python
from mmspanet.apis.huggingface import SPANetV2ForImageClassification

model = SPANetV2ForImageClassification.from_pretrained('PATH OR NAME')
```

Paper: {{ paper_url }}

License of the weights: unknown, unless whoever trained them names one. The authors of SPANetV2 give
none for theirs.
"""


class SPANetV2ForImageClassification(
    SPANetV2Classifier,
    PyTorchModelHubMixin,
    library_name='mmspanet',
    license='unknown',
    pipeline_tag='image-classification',
    tags=['spanetv2'],
    paper_url='https://doi.org/10.1109/TPAMI.2026.3690455',
    model_card_template=CARD,
):
    """A classifier that is saved as ``config.json`` and ``model.safetensors``, and loaded so.

    See :class:`~mmspanet.models.classifier.SPANetV2Classifier` for the arguments. A ``config.json``
    builds no other class than a SPANetV2 with its own mixers, and none that is larger than a
    billion parameters. Weights are read by our reader and have to fill the model whole.
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        state_dict = self.state_dict()
        write_checkpoint(dict(state_dict=state_dict), save_directory / 'model.safetensors')

    @classmethod
    def _from_pretrained(cls, **options: Any) -> 'SPANetV2ForImageClassification':
        config = {k: options[k] for k in cls._hub_mixin_init_parameters if k in options}
        _check_config(config, options['model_id'])
        with torch.device('meta'):
            count = sum(parameter.numel() for parameter in cls(**config).parameters())
        if count > MOST_PARAMETERS:
            raise InputError(
                f'The config.json of {options["model_id"]} is of a model of {count:,} parameters, '
                f'more than {MOST_PARAMETERS:,}: it is not built.'
            )
        return super()._from_pretrained(**options)

    @classmethod
    def _load_as_safetensor(
        cls, model: Any, model_file: str, map_location: str, strict: bool
    ) -> Any:
        checkpoints.load(model, model_file)
        return model.to(map_location).eval()

    @classmethod
    def _load_as_pickle(cls, model: Any, model_file: str, map_location: str, strict: bool) -> Any:
        return cls._load_as_safetensor(model, model_file, map_location, strict)


def _check_config(config: dict[str, Any], source: str) -> None:
    """Refuse what a stranger's config may not say; the model itself checks the rest.

    MMEngine would import and call whatever a ``type`` of a mixer names.
    """
    arch = config.get('arch', 's18-pure')
    if isinstance(arch, dict):
        depths, mixers = arch.get('depths'), arch.get('mixers', MIXERS[:1])
        if not _are_counts(depths) or sum(depths or ()) > MOST_BLOCKS:
            raise _refusal(source, f'depths={depths!r}')
        if not isinstance(mixers, list | tuple) or not all(map(_is_mixer, mixers)):
            raise _refusal(source, f'mixers={mixers!r}')
        if not _are_counts(arch.get('channels')):
            raise _refusal(source, f'channels={arch.get("channels")!r}')
    elif not isinstance(arch, str):
        raise _refusal(source, f'arch={arch!r}')
    for key in ('num_classes', 'in_channels', 'input_size'):
        value = config.get(key, 1)
        if not _are_counts(value if isinstance(value, list | tuple) else [value]):
            raise _refusal(source, f'{key}={value!r}')
    for key in ('dropout', 'drop_path_rate'):
        if type(config.get(key, 0.0)) not in (int, float):
            raise _refusal(source, f'{key}={config[key]!r}')


def _is_mixer(value: Any) -> bool:
    if not isinstance(value, dict):
        return value in MIXERS
    options = {key: option for key, option in value.items() if key != 'type'}
    return value.get('type') in MIXERS and all(
        key in MIXER_OPTIONS and _are_counts(option if isinstance(option, list) else [option])
        for key, option in options.items()
    )


def _are_counts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(type(v) is int and v > 0 for v in values)


def _refusal(source: str, what: str) -> InputError:
    return InputError(f'The config.json of {source} says {what[:100]}, which no SPANetV2 has.')
