"""Write the tables of three pages of docs/ anew from dev/records/ and benchmarks/results/."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.pages import fill
from benchmarks.tables import markdown
from mmspanet.deployment.benchmark import markdown as forms

ROOT = Path(__file__).parents[1]
RECORDS = Path(__file__).parent / 'records'
Record = dict[str, Any]


def read(name: str) -> Record:
    """A record by the name of its file."""
    return json.loads((RECORDS / f'{name}.json').read_text())


def measured(record: Record) -> str:
    """The sentence about where a record was measured."""
    return (
        f'Measured on {record["machine"]}, torch {record["versions"]["torch"]}, {record["date"]}.\n'
    )


def fault_injection(text: str) -> str:
    """The page on kills and faults."""
    records = {
        'one process': read('fault_injection_one_process'),
        'two processes': read('fault_injection_two_processes'),
    }
    events = dict.fromkeys(event for record in records.values() for event in record['seen'])
    rows = [
        {'event': event}
        | {name: str(record['seen'].get(event, '-')) for name, record in records.items()}
        for event in events
    ]
    text = fill(text, 'kills', f'{markdown(rows)}\n{measured(records["one process"])}')

    kills = read('kill_main')
    rows = [{'event': event, 'count': str(count)} for event, count in kills['seen'].items()]
    wait = dict(event='longest wait for the end of the workers', count=f'{kills["longest_wait"]} s')
    text = fill(text, 'kill_main', f'{markdown([*rows, wait])}\n{measured(kills)}')

    long = read('long_run')
    rows = [{'run': kind} | stringified(figures) for kind, figures in long['runs'].items()]
    text = fill(text, 'long_run', f'{markdown(rows)}\n{measured(long)}')

    fuzz = read('fuzz')
    rows = [{'outcome': kind, 'files': str(count)} for kind, count in fuzz['outcomes'].items()]
    return fill(text, 'fuzz', f'{markdown(rows)}\n{measured(fuzz)}')


def stringified(figures: Record) -> dict[str, str]:
    """Numbers as they are printed."""
    return {name: f'{value:g}' for name, value in figures.items()}


def bad_input(text: str) -> str:
    """The page of all answers."""
    record = read('bad_input')
    answers = record['answers']
    by_section: dict[str, list[Record]] = {}
    for cell in answers:
        by_section.setdefault(cell['section'], []).append(cell)
    sections = [section_of(name, cells) for name, cells in by_section.items()]
    text = fill(text, 'answers', '\n'.join(sections))
    content = (
        f'{len(answers)} runs, {sum(cell["fault"] is not None for cell in answers)} with a fault.'
    )
    hostile = [cell for cell in answers if cell['section'] == 'Checkpoints from strangers']
    if hostile:
        most = max(hostile, key=lambda cell: cell['mib'])
        slowest = max(hostile, key=lambda cell: cell['seconds'])
        content += (
            f' On files from strangers the most memory was {most["mib"]} MiB ({most["tool"]} on '
            f'"{most["input"]}"), of which the libraries take {baseline(answers)} MiB, and the '
            f'most processor time {slowest["seconds"]:.1f} s ({slowest["tool"]} on '
            f'"{slowest["input"]}").'
        )
    return fill(text, 'count', f'{content}\n\n{measured(record)}')


def section_of(name: str, cells: list[Record]) -> str:
    """The part of the page with the answers to one kind of input."""
    tools = ', '.join(dict.fromkeys(cell['tool'] for cell in cells))
    return f'## {name}\n\nGiven to: {tools}.\n\n{markdown(list(rows(cells)))}'


def baseline(answers: list[Record]) -> int:
    """What a run takes that ends at once, MiB."""
    return min(cell['mib'] for cell in answers)


def rows(cells: list[Record]) -> Iterator[dict[str, str]]:
    """A row for each input and answer; tools and inputs with the same answer are together."""
    everyone = dict.fromkeys(cell['tool'] for cell in cells)
    for name, given in groupby(cells, key=lambda cell: cell['input']):
        asked = list(given)
        by_answer: dict[tuple[int, str], list[str]] = {}
        for cell in asked:
            by_answer.setdefault((cell['status'], shown(cell)), []).append(cell['tool'])
        for (status, answer), tools in by_answer.items():
            is_all = len(tools) == len(asked) and {*tools} == {*everyone}
            yield {
                'input': name,
                'tools': 'all' if is_all else ', '.join(dict.fromkeys(tools)),
                'status': str(status),
                'answer': answer,
            }
            name = ''


def shown(cell: Record) -> str:
    """An answer as a cell of a table holds it."""
    if cell['status'] == 0:
        return 'done'
    text = cell['answer'].strip().replace('|', '\\|').replace('<', '&lt;')
    return text if len(text) <= 300 else f'{text[:297]}...'


def deployment(text: str) -> str:
    """The page on models in every form that they can be deployed in."""
    for task in ('det', 'seg', 'cls'):
        path = ROOT / f'benchmarks/results/deployment_{task}.json'
        if path.is_file():
            record = json.loads(path.read_text())
            text = fill(text, task, f'{forms(record)}\n{measured(record)}')
    return text


PAGES = {
    'docs/fault_injection.md': fault_injection,
    'docs/bad_input.md': bad_input,
    'docs/deployment_benchmark.md': deployment,
}


def pages() -> dict[Path, str]:
    """The text of each page with the tables of the present records."""
    return {ROOT / path: make((ROOT / path).read_text()) for path, make in PAGES.items()}


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)


if __name__ == '__main__':
    main()
