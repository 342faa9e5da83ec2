"""The leaderboard's one source: metafiles, peers and reproduced results, read into rows.

``configs/*/metafile.yml`` hold our configs with the authors' claims and our own,
``leaderboard/peers.yml`` the peers, ``leaderboard/reproduced.yml`` what
``tools/reproduce.py`` measured. ``leaderboard/render.py`` renders the rows.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from mmspanet.apis.config_files import metrics_of, read_models

# Key of a table: its title, and the input size that its MACs are counted at.
TABLES = {
    'mask-rcnn': ('Mask R-CNN, COCO val2017', '800x1280'),
    'cascade-mask-rcnn': ('Cascade Mask R-CNN 3x, COCO val2017', '800x1280'),
    'retinanet': ('RetinaNet 1x, COCO val2017', '800x1280'),
    'upernet': ('UperNet 160k, ADE20K val', '512x2048'),
    'fpn': ('Semantic FPN 40k, ADE20K val', '512x512'),
    'imagenet': ('ImageNet-1K, 224 x 224', '224x224'),
    'shapes': ('Shapes, the embedded data set', '128x128, the classifier 64x64'),
}


# The authors' rule, found by recounting their figures: weights and norms, and attention's
# products in these tables only.
WITH_ATTENTION = ('imagenet', 'fpn')


@dataclass
class Row:
    """One row of the leaderboard.

    Attributes:
        table: Key of :data:`TABLES`.
        name: Model, with what tells it from its neighbors.
        status: ``paper``, ``ours``, ``peer``, ``reproduced`` or ``not reproduced``.
        metrics: Values in percent by the metric's name; empty where none is claimed.
        schedule: Epochs or iterations.
        params: Millions of parameters: printed by peers, counted for our configs.
        printed: MACs in G as the source prints them; None where it does not.
        recounted: What ``printed`` should be by the source's own rule; None for peers.
        counted: MACs in G with attention products, FFTs and all else; None for peers.
        scales: Test scales of a segmentor, as far as the source states them.
        source: Where the metrics are from, a URL; empty for our own.
        config: Our config, as a path in the checkout; empty for peers.
        notes: What else a reader has to know.
    """

    table: str
    name: str
    status: str
    metrics: dict[str, float]
    schedule: str
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
    for table, entries in peers['tables'].items():
        rows += [_row_of_peer(table, entry, peers['sources']) for entry in entries]
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
        status=model['Status'],
        metrics=metrics_of(model),
        schedule=iterations or f'{meta["Epochs"]} epochs',
        params=round(meta['Parameters'] / 1e6, 2),
        printed=meta.get('Printed MACs (G)'),
        recounted=recounted if 'Printed MACs (G)' in meta else None,
        counted=round(sum(meta['MACs'].values()) / 1e9, 2),
        scales=model.get('Scales', ''),
        source=model.get('Source', ''),
        config=model['Config'],
        notes=model.get('Note', ''),
    )


def _row_of_peer(table: str, entry: dict[str, Any], sources: dict[str, str]) -> Row:
    rest = {'name', 'source', 'schedule', 'params', 'macs'}
    known = {
        'mask-rcnn': '36 epochs',
        'cascade-mask-rcnn': '36 epochs',
        'upernet': '160000 iterations',
        'imagenet': '300 epochs',
    }
    schedule = '12 epochs' if entry.get('schedule') == '1x' else known[table]
    return Row(
        table=table,
        name=entry['name'],
        status='peer',
        metrics={key: value for key, value in entry.items() if key not in rest},
        schedule=schedule,
        params=entry['params'],
        printed=entry['macs'],
        recounted=None,
        counted=None,
        scales='single where told apart' if table == 'upernet' else '',
        source=sources[entry['source']],
    )


def _row_of_result(entry: dict[str, Any], by_config: dict[str, Row]) -> Row:
    row = by_config[entry['config']]
    measured = {name: result['measured'] for name, result in entry['metrics'].items()}
    return replace(
        row,
        status='reproduced' if entry['reproduced'] else 'not reproduced',
        metrics=measured,
        notes=f'{entry["date"]}, {entry["machine"]}, checkpoint {entry["checkpoint"]}',
    )


# --- Markdown -----------------------------------------------------------------------------------


def markdown_table(rows: list[Row], root: str) -> str:
    """Write the rows of one table in Markdown, with their notes below.

    Args:
        rows: Of one table.
        root: Leads from the page to the checkout's root, such as ``../``.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    cells = [
        {
            'model': row.name,
            **{name: _metric(row.metrics.get(name)) for name in metrics},
            'params M': _number(row.params),
            'MACs G printed': _number(row.printed),
            'recounted': _number(row.recounted),
            'counted': _number(row.counted),
            'schedule': row.schedule,
            'status': row.status,
            'source': _links(row, root),
        }
        for row in rows
    ]
    table = tabulate(cells, headers='keys', tablefmt='github', disable_numparse=True)
    notes = [f'- {row.name}: {row.notes}' for row in rows if row.notes]
    return '\n'.join([table, *([''] if notes else []), *notes]) + '\n'


def markdown(rows: list[Row]) -> str:
    """All tables in Markdown, each under its title, for leaderboard."""
    parts = []
    for key, (title, size) in TABLES.items():
        of_table = [row for row in rows if row.table == key]
        if of_table:
            parts.append(f'### {title} (MACs at {size})\n\n{markdown_table(of_table, "../")}')
    return '\n'.join(parts)


def _metric(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:g}'


def _links(row: Row, root: str) -> str:
    links = []
    if row.source:
        links.append(f'[{row.source.split("/")[-1]}]({row.source})')
    if row.config:
        links.append(f'[config]({root}{row.config})')
    return ' '.join(links)
