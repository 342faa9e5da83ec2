"""Write the tables of benchmarks/README.md anew from the records in benchmarks/results."""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import tables
from benchmarks.pages import fill

FOLDER = Path(__file__).parent
# Name of a place in the README: the record of its table, and what makes the table of it.
TABLES: dict[str, tuple[str, Callable[[tables.Record], str]]] = {
    'inference': ('inference', lambda record: tables.timings(record['tables'])),
    'inference_compiled': ('inference_compiled', lambda record: tables.timings(record['tables'])),
    'inference_half': ('inference_half', lambda record: tables.timings(record['tables'])),
    'training': ('training', lambda record: tables.timings(record['tables'])),
    'training_iteration': ('training_iteration', tables.training_iteration),
    'activation_memory': ('activation_memory', tables.activation_memory),
    'model_memory': ('model_memory', tables.model_memory),
    'memory_of_a_block': ('activation_memory', tables.memory_of_a_block),
    'size_sweep': ('size_sweep', tables.size_sweep),
    'roofline': ('roofline', tables.roofline),
    'graphs': ('graphs', lambda record: tables.timings(record['tables'])),
    'graph_layers': ('graphs', tables.layer_times),
    'graph_variants': ('graph_variants', tables.graph_variants),
    'operator_variants': ('operator_variants', tables.operator_variants),
}


def page(text: str) -> str:
    """The README's text with the tables of the present records."""
    for place, (name, table) in TABLES.items():
        file = FOLDER / f'results/{name}.json'
        if not file.exists():
            continue  # not measured yet
        record = json.loads(file.read_text())
        text = fill(text, place, f'{table(record)}\n{tables.machine(record)}\n')
    return text


def main() -> None:
    path = FOLDER / 'README.md'
    path.write_text(page(path.read_text()))


if __name__ == '__main__':
    main()
