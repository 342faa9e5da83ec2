"""The leaderboard's tables in Markdown."""

from tabulate import tabulate

from leaderboard.rows import TABLES, Row


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
            'family': row.family,
            **{name: _metric(row.metrics.get(name)) for name in metrics},
            'params M': _number(row.params),
            'MACs G printed': _number(row.printed),
            'recounted': _number(row.recounted),
            'counted': _number(row.counted),
            'schedule': ', '.join(filter(None, (row.schedule, row.recipe))),
            'picked': row.picked or 'not stated',
            'status': row.status,
            'source': _links(row, root),
        }
        for row in rows
    ]
    table = tabulate(cells, headers='keys', tablefmt='github', disable_numparse=True)
    notes = [f'- {row.name}: {row.notes}' for row in rows if row.notes]
    return '\n'.join([table, *([''] if notes else []), *notes]) + '\n'


def markdown(rows: list[Row]) -> str:
    """All tables in Markdown, each under its title, for leaderboard/README.md."""
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
