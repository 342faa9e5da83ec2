"""Write the tables of benchmarks/README.md anew from the records in benchmarks/results."""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import tables
from dev.pages import fill

FOLDER = Path(__file__).parent
# Name of a record and of its place in the README: what makes the table of it.
TABLES: dict[str, Callable[[tables.Record], str]] = {
    'inference': lambda record: tables.timings(record['tables']),
    'inference_compiled': lambda record: tables.timings(record['tables']),
    'training': lambda record: tables.timings(record['tables']),
    'activation_memory': tables.activation_memory,
    'alternatives': tables.operator_variants,
}


def page(text: str) -> str:
    """The README's text with the tables of the present records."""
    for name, table in TABLES.items():
        record = json.loads((FOLDER / f'results/{name}.json').read_text())
        text = fill(text, name, f'{table(record)}\n{tables.machine(record)}\n')
    return text


def main() -> None:
    path = FOLDER / 'README.md'
    path.write_text(page(path.read_text()))


if __name__ == '__main__':
    main()
