"""Write a model repository for Triton Inference Server from an exported file.

The server takes the graph's own inputs and gives its own outputs: what mmspanet.runtime does
before and after, resizing and pasting, stays with the client.
"""

import argparse
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError
from mmspanet.files import make_folder, write_errors, write_text

# Names of NumPy's types: https://docs.nvidia.com/deeplearning/triton-inference-server (datatypes).
TYPES = dict(
    uint8='TYPE_UINT8', int32='TYPE_INT32', int64='TYPE_INT64',
    float16='TYPE_FP16', float32='TYPE_FP32', bool='TYPE_BOOL',
)  # fmt: skip


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='python -m mmspanet.runtime.triton', description=__doc__)
    parser.add_argument('model', type=Path, help='.onnx or .xml file of export.py --end2end')
    parser.add_argument('out_dir', type=cli.output_folder, help='the model repository')
    parser.add_argument('--name', help="of the model in the server (default: the file's)")
    parser.add_argument(
        '--max-batch-size',
        type=cli.positive_int,
        default=8,
        help='of a graph with a free batch (default 8)',
    )
    return parser.parse_args()


def write_repository(model: Path, out_dir: Path, name: str, max_batch_size: int) -> Path:
    """Write ``OUT_DIR/NAME``: the graph as version 1, ``config.pbtxt`` and the classes' names.

    Args:
        model: An ``.onnx`` or ``.xml`` file.
        out_dir: The model repository, made if it is not there.
        name: Of the model in the server.
        max_batch_size: Of a graph with a free batch.

    Returns:
        The model's folder.

    Raises:
        InputError: If the file can't be used, or the name is none.
        WriteError: If the disk does not take it.
    """
    from mmspanet.runtime.notes import Notes
    from mmspanet.runtime.session import open_session

    if not re.fullmatch(r'\w[\w.-]*', name):
        raise InputError(f'{name!r} is no name of a model: use letters, digits, - and _.')
    session = open_session(model)
    notes = Notes.of(session.metadata, model)
    folder = out_dir / name
    make_folder(folder / '1')
    is_onnx = model.suffix.lower() == '.onnx'
    copies = {'model.onnx': model}
    if not is_onnx:
        copies = {'model.xml': model, 'model.bin': model.with_suffix('.bin')}
    for file, source in copies.items():
        with write_errors(folder / '1' / file):
            shutil.copyfile(source, folder / '1' / file)
    batch = max_batch_size if notes.batch is None else 0  # 0: the shapes have the batch in them
    labels = 'labels.txt' if notes.classes else None
    if labels:
        write_text(folder / labels, ''.join(f'{one}\n' for one in notes.classes))
    lines = [
        f'name: "{name}"',
        f'backend: "{"onnxruntime" if is_onnx else "openvino"}"',
        f'max_batch_size: {batch}',
        *_ports('input', session.inputs, batch, None),
        *_ports('output', session.outputs, batch, labels),
    ]
    if batch and notes.size is not None:  # else the images of a batch differ in size
        lines.append('dynamic_batching { }')
    write_text(folder / 'config.pbtxt', '\n'.join(lines) + '\n')
    return folder


def _ports(kind: str, ports: Mapping, batch: int, labels: str | None) -> Iterator[str]:
    """The inputs or outputs in protobuf's text format."""
    for name, port in ports.items():
        sides = port.shape[1:] if batch else port.shape
        dims = ', '.join(str(-1 if side is None else side) for side in sides)
        has_labels = labels and kind == 'output' and name == 'probabilities' and len(sides) == 1
        label_file = f' label_filename: "{labels}"' if has_labels else ''
        yield (
            f'{kind} [ {{ name: "{name}" data_type: {TYPES[port.dtype]} '
            f'dims: [ {dims} ]{label_file} }} ]'
        )


def main() -> None:
    """Run the command."""
    args = parse_args()
    name = args.name or args.model.stem
    folder = write_repository(args.model, args.out_dir, name, args.max_batch_size)
    print(f'{folder}: tritonserver --model-repository {args.out_dir}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
