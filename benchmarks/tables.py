"""Markdown tables of the benchmarks' records; needs neither torch nor a model."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

Record = Mapping[str, Any]


def markdown(rows: Sequence[Record]) -> str:
    """A table of rows with the same keys, which head the columns."""
    return tabulate(rows, headers='keys', tablefmt='github', disable_numparse=True) + '\n'


def timings(tables: Sequence[Record]) -> str:
    """Median, quartiles and ratio of every timed model.

    Args:
        tables: Each with a title, the input's shape, and the rows of ``timing.summary``.
    """
    rows = []
    for table in tables:
        for row in table['rows']:
            low, high = (1e3 * value for value in row['quartiles'])
            rows.append(
                {
                    'input': table['title'],
                    'model': row['model'],
                    'median ms': f'{1e3 * row["median"]:.1f}',
                    'quartiles ms': f'{low:.1f}-{high:.1f}',
                    'ratio': f'{row["ratio"]:.2f}',
                }
            )
    return markdown(rows)


def training_iteration(record: Record) -> str:
    """Median seconds of the parts of an iteration, and their shares."""
    whole = math.fsum(record['medians'].values())
    rows = [
        {'part': part, 'median s': f'{seconds:.3f}', 'share': f'{seconds / whole:.1%}'}
        for part, seconds in record['medians'].items()
    ]
    return markdown(rows)


def roofline(record: Record) -> str:
    """The time of each version beside the machine's floors."""
    rows = []
    for table in record['tables']:
        operations = 1e3 * table['operations'] / record['flops']
        traffic = 1e3 * table['layer_bytes'] / record['bandwidth']
        for name, values in table['seconds'].items():
            milliseconds = 1e3 * statistics.median(values)
            rows.append(
                {
                    'input': f'{table["shape"][2]}x{table["shape"][3]}',
                    'G operations': f'{table["operations"] / 1e9:.2f}',
                    'MB, whole model': f'{table["whole_bytes"] / 1e6:.0f}',
                    'MB, layer by layer': f'{table["layer_bytes"] / 1e6:.0f}',
                    'version': name,
                    'median ms': f'{milliseconds:.1f}',
                    'floor of operations ms': f'{operations:.1f}',
                    "floor of layers' bytes ms": f'{traffic:.1f}',
                    'of the larger': f'{milliseconds / max(operations, traffic):.2f}',
                }
            )
    return (
        f'Limits of the machine: {record["flops"] / 1e9:.0f} GFLOP/s, '
        f'{record["bandwidth"] / 1e9:.1f} GB/s.\n\n{markdown(rows)}'
    )


def size_sweep(record: Record) -> str:
    """Time per pixel by the side of a square image."""
    per_pixel = {int(side): values for side, values in record['ns_per_pixel'].items()}
    base = statistics.median(per_pixel[224])
    rows = []
    for side, values in per_pixel.items():
        low, middle, high = statistics.quantiles(values, n=4)
        rows.append(
            {
                'side': side,
                'ns per pixel, median': f'{middle:.0f}',
                'quartiles': f'{low:.0f}-{high:.0f}',
                'of 224': f'{middle / base:.2f}',
            }
        )
    return markdown(rows)


def operator_variants(record: Record) -> str:
    """Medians in ms, a row per implementation and a column per map; the best of a step in bold.

    A cell is empty where an implementation was not timed at a map.
    """
    medians: dict[str, dict[str, float]] = {}
    for table in record['tables']:
        for row in table['rows']:
            medians.setdefault(row['model'], {})[table['title']] = row['median']
    rows = []
    for name, by_map in medians.items():
        step = name.split(': ')[0]
        alike = [other for key, other in medians.items() if key.split(': ')[0] == step]
        row = {'ms': name} | {table['title']: '' for table in record['tables']}
        for title, value in by_map.items():
            is_best = value == min(other[title] for other in alike if title in other)
            row[title] = f'**{1e3 * value:.1f}**' if is_best else f'{1e3 * value:.1f}'
        rows.append(row)
    return markdown(rows)


def layer_times(record: Record) -> str:
    """Milliseconds by kind of layer, a table per input and a column per graph.

    Kinds that take under a hundredth of every graph are one row.
    """
    texts = []
    for table in record['tables']:
        graphs = table['layers']
        totals = {name: math.fsum(kinds.values()) for name, kinds in graphs.items()}
        sums: dict[str, dict[str, float]] = {}
        for kind in {kind: None for kinds in graphs.values() for kind in kinds}:
            of_graphs = {name: kinds.get(kind, 0.0) for name, kinds in graphs.items()}
            large = any(value > totals[name] / 100 for name, value in of_graphs.items())
            row = sums.setdefault(kind if large else 'others', dict.fromkeys(graphs, 0.0))
            for name, value in of_graphs.items():
                row[name] += value
        sums['all'] = totals
        rows = [
            {table['title']: kind} | {name: f'{1e3 * value:.1f}' for name, value in row.items()}
            for kind, row in sums.items()
        ]
        texts.append(markdown(rows))
    return '\n'.join(texts)


def graph_variants(record: Record) -> str:
    """The table of :func:`operator_variants` for each precision."""
    return '\n'.join(
        f'{precision}:\n\n{operator_variants(dict(tables=tables))}'
        for precision, tables in record['precisions'].items()
    )


def activation_memory(record: Record) -> str:
    """GiB of saved tensors at the recipes' sizes, and of parameters, gradients and moments."""
    sizes = {
        '2 x 800x1280': 2 * 800 * 1280,
        '4 x 512x512': 4 * 512**2,
        '128 x 224x224': 128 * 224**2,
    }
    rows = []
    for name, counted in record['models'].items():
        rows.append(
            {
                'backbone': name,
                'bytes per pixel': f'{counted["float32"]:.0f}',
                'bfloat16': f'{counted["bfloat16"]:.0f}',
                'float16 on a GPU': f'{counted["on_gpu"]:.0f}' if 'on_gpu' in counted else '',
                **{
                    f'{size}, GiB': f'{counted["float32"] * pixels / 2**30:.1f}'
                    for size, pixels in sizes.items()
                },
                'parameters and AdamW, GiB': f'{16 * counted["parameters"] / 2**30:.1f}',
            }
        )
    return markdown(rows)


def model_memory(record: Record) -> str:
    """MiB of saved tensors of an image, by part, and GiB of a batch with the optimizer's."""
    rows = []
    for name, counted in record['models'].items():
        height, width = counted['size']
        row = {'model': name, 'input': f'{counted["images"]}x3x{height}x{width}'}
        for kind in ('float32', 'bfloat16'):
            parts = counted[kind]
            whole = counted['images'] * sum(parts.values()) + 16 * counted['parameters']
            row |= {f'{kind}: {part}, MiB': f'{kept / 2**20:.0f}' for part, kept in parts.items()}
            row[f'{kind}: batch, GiB'] = f'{whole / 2**30:.1f}'
        rows.append(row)
    return markdown(rows)


def memory_of_a_block(record: Record) -> str:
    """Maps of the block's width that each part of it keeps, a column per mixer."""
    parts = [row['part'] for block in record['blocks'].values() for row in block]
    rows = []
    for part in dict.fromkeys(parts):
        kept = {
            mixer: next((row['maps'] for row in block if row['part'] == part), None)
            for mixer, block in record['blocks'].items()
        }
        cells = {mixer: '' if maps is None else f'{maps:.2f}' for mixer, maps in kept.items()}
        rows.append({'kept by': f'`{part}`'} | cells)
    total = {
        mixer: f'{math.fsum(row["maps"] for row in block):.2f}'
        for mixer, block in record['blocks'].items()
    }
    return markdown([*rows, {'kept by': 'whole block'} | total])


def machine(record: Record) -> str:
    """The sentence about where a record was measured."""
    versions = record.get('versions', record)  # older records have them at the top
    return (
        f'Measured on {record["machine"]}, Python {versions["python"]}, torch {versions["torch"]}, '
        f'{record["date"]}.'
    )
