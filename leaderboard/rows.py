"""The leaderboard's one source: metafiles, peers and reproduced results, read into rows.

``configs/*/metafile.yml`` hold our configs with the authors' claims and our own,
``leaderboard/peers.yml`` the peers, ``leaderboard/peer_costs.json`` what
``leaderboard/count_peers.py`` counted of them, ``leaderboard/reproduced.yml`` what
``tools/reproduce.py`` measured. ``leaderboard/render.py`` renders the rows.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mmspanet.apis.config_files import metrics_of, read_models
from mmspanet.apis.reproduction import MEASURED
from mmspanet.errors import InputError

# Key of a table: its title, and the input size that its MACs are counted at.
TABLES = {
    'mask-rcnn': ('Mask R-CNN, COCO val2017', '800x1280'),
    'cascade-mask-rcnn': ('Cascade Mask R-CNN, COCO val2017', '800x1280'),
    'retinanet': ('RetinaNet, COCO val2017', '800x1280'),
    'upernet': ('UperNet, ADE20K val', '512x2048'),
    'fpn': ('Semantic FPN, ADE20K val', '512x512'),
    'imagenet': ('ImageNet-1K, 224 x 224', '224x224'),
    'shapes': ('Shapes, the synthetic data set', '128x128, the classifier 64x64'),
}


# The authors' rule, found by recounting their figures: weights and norms, and attention's
# products in these tables only.
WITH_ATTENTION = ('imagenet', 'fpn')


SPECTRAL = 'spectral'  # the family of those that mix tokens by frequency

# A peer's schedule where its entry names none, and what the field's short names stand for.
SCHEDULES = {
    'mask-rcnn': '36 epochs',
    'cascade-mask-rcnn': '36 epochs',
    'upernet': '160000 iterations',
    'imagenet': '300 epochs',
}
SHORT = {'1x': '12 epochs', '80k': '80000 iterations', 'not printed': 'not printed'}


@dataclass
class Row:
    """One row of the leaderboard.

    Attributes:
        table: Key of :data:`TABLES`.
        name: Model, with what tells it from its neighbors.
        family: :data:`SPECTRAL`, or empty.
        status: ``paper``, ``ours``, ``peer``, ``reproduced`` or ``not reproduced``.
        metrics: Values in percent by the metric's name; empty where none is claimed.
        schedule: Epochs or iterations.
        recipe: What else differs in the training from the table's other rows.
        picked: How the reported checkpoint was picked, as far as it is known.
        params: Millions of parameters: printed by peers, counted for our configs.
        printed: MACs in G as the source prints them; None where it does not.
        recounted: What ``printed`` should be by the source's own rule; None for peers.
        counted: MACs in G with attention products, FFTs and all else; None for peers that
            neither MMPretrain nor timm can build.
        scales: Test scales of a segmentor, as far as the source states them.
        source: Where the metrics are from, a URL; empty for our own.
        config: Our config, as a path in the checkout; empty for peers.
        notes: What else a reader has to know.
    """

    table: str
    name: str
    family: str
    status: str
    metrics: dict[str, float]
    schedule: str
    recipe: str
    picked: str
    params: float | None
    printed: float | None
    recounted: float | None
    counted: float | None
    scales: str
    source: str
    config: str = ''
    notes: str = ''


def read_rows(root: Path) -> list[Row]:
    """All rows of the checkout at ``root``, by table, the best of each table first."""
    rows = [_row_of_model(model) for model in read_models(root / 'configs')]
    peers = yaml.safe_load((root / 'leaderboard/peers.yml').read_text())
    costs = json.loads((root / 'leaderboard/peer_costs.json').read_text())['costs']
    for table, entries in peers['tables'].items():
        of_table = costs.get(table, {})
        rows += [row_of_peer(table, entry, peers['sources'], of_table) for entry in entries]
    path = root / 'leaderboard/reproduced.yml'
    if path.is_file():
        by_config = {row.config: row for row in rows if row.config}
        results = yaml.safe_load(path.read_text()) or []
        rows += [_row_of_result(entry, by_config) for entry in results]
    order = list(TABLES)
    return sorted(
        rows, key=lambda row: (order.index(row.table), -next(iter(row.metrics.values()), 0))
    )


def _row_of_model(model: dict[str, Any]) -> Row:
    name, meta = model['Name'], model['Metadata']
    if 'Shapes' in meta['Training Data']:
        table = 'shapes'
    else:
        table = name.split('_')[0] if '_coco' in name or '_ade20k' in name else 'imagenet'
    variant = meta['Architecture'][0]
    if 'scaled-sigmoid' in name:
        variant += ', scaled sigmoid'
    if 'Head Width' in meta and table == 'upernet':
        variant += f', head width {meta["Head Width"]}'
    if table == 'shapes':
        variant = name
    kinds = ['linear and convolution', 'LayerNorm']
    if table in WITH_ATTENTION:
        kinds.append('attention products')
    recounted = round(sum(meta['MACs'].get(kind, 0) for kind in kinds) / 1e9, 2)
    iterations = f'{meta["Iterations"]} iterations' if 'Iterations' in meta else ''
    return Row(
        table=table,
        name=variant,
        family=SPECTRAL,
        status=model['Status'],
        metrics=metrics_of(model),
        schedule=iterations or f'{meta["Epochs"]} epochs',
        recipe='',
        picked='best' if model['Status'] == 'paper' else '',
        params=round(meta['Parameters'] / 1e6, 2),
        printed=meta.get('Printed MACs (G)'),
        recounted=recounted if 'Printed MACs (G)' in meta else None,
        counted=round(sum(meta['MACs'].values()) / 1e9, 2),
        scales=model.get('Scales', ''),
        source=model.get('Source', ''),
        config=model['Config'],
        notes=model.get('Note', ''),
    )


def row_of_peer(
    table: str, entry: dict[str, Any], sources: dict[str, str], costs: dict[str, Any]
) -> Row:
    """The row of a peer's entry in ``peers.yml``.

    Raises:
        InputError: If a field is unknown, or if neither entry nor table says the schedule.
    """
    known = {'name', 'source', 'family', 'schedule', 'recipe', 'note', 'params', 'macs'}
    metrics = {key: value for key, value in entry.items() if key not in known}
    unknown = metrics.keys() - MEASURED.keys()
    if unknown:
        raise InputError(f'{entry["name"]} of {table} in peers.yml has unknown {sorted(unknown)}.')
    if 'schedule' not in entry and table not in SCHEDULES:
        raise InputError(f'{entry["name"]} of {table} in peers.yml needs a schedule.')
    cost = costs.get(entry['name'])
    return Row(
        table=table,
        name=entry['name'],
        family=entry.get('family', ''),
        status='peer',
        metrics=metrics,
        schedule=SHORT[entry['schedule']] if 'schedule' in entry else SCHEDULES[table],
        recipe=entry.get('recipe', ''),
        picked='',
        params=entry['params'],
        printed=entry['macs'],
        recounted=None,
        counted=round(sum(cost['macs'].values()) / 1e9, 2) if cost else None,
        scales='single where told apart' if table == 'upernet' else '',
        source=sources[entry['source']],
        notes=entry.get('note', ''),
    )


def _row_of_result(entry: dict[str, Any], by_config: dict[str, Row]) -> Row:
    row = by_config[entry['config']]
    measured = {name: result['measured'] for name, result in entry['metrics'].items()}
    return replace(
        row,
        status='reproduced' if entry['reproduced'] else 'not reproduced',
        metrics=measured,
        picked=entry.get('picked', ''),
        notes=f'{entry["date"]}, {entry["machine"]}, checkpoint {entry["checkpoint"]}',
    )


def unsourced(rows: Iterable[Row]) -> list[str]:
    """Every figure that no source is named of, in words.

    A result is a source's, or ours with the record of a reproduction beside it. Printed costs are
    a source's. Counted ones need what they were counted of: our config, or the peer's own build,
    which ``leaderboard/count_peers.py`` names.
    """
    rows = list(rows)
    recorded = {row.config for row in rows if row.status in ('reproduced', 'not reproduced')}
    missing = []
    for row in rows:
        has_source = row.source.startswith('https://')
        results = has_source or row.config in recorded
        figures = {name: results for name in row.metrics}
        figures['params'] = row.params is None or has_source or bool(row.config)
        figures['MACs printed'] = row.printed is None or has_source
        figures['MACs counted'] = row.counted is None or has_source or bool(row.config)
        missing += [f'{row.table}, {row.name}: {n}' for n, known in figures.items() if not known]
    return missing
