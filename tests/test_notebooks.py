"""The notebook runs to its last cell, with a checkpoint of the quickstart and without."""

import base64
import io
from pathlib import Path

import nbformat
import pytest
import torch
from mmengine.config import Config
from nbclient import NotebookClient
from PIL import Image

from mmspanet.apis.build import build_model
from tests.helpers import ROOT

NOTEBOOK = ROOT / 'notebooks/spanetv2.ipynb'


def test_no_outputs_are_kept():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            assert (cell.outputs, cell.execution_count) == ([], None)


def save_checkpoint(folder: Path) -> None:
    """What the quickstart leaves, with weights that are random."""
    folder.mkdir(parents=True)
    cfg = Config.fromfile(ROOT / 'configs/det/maskrcnn_spanetv2_shapes.py')
    model = build_model(cfg)
    model.init_weights()
    file = folder / 'epoch_4.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), file)
    (folder / 'last_checkpoint').write_text(str(file))


@pytest.mark.slow
@pytest.mark.parametrize('trained', [True, False])
def test_it_runs_to_its_end(trained, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    folder = tmp_path / 'notebooks'
    folder.mkdir()
    if trained:
        save_checkpoint(tmp_path / 'work_dirs/quickstart')
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        iopub_timeout=300,  # what comes later is left out
        resources=dict(metadata=dict(path=str(folder))),
    )
    client.execute()  # raises at the first cell that fails
    outputs = [out for cell in notebook.cells for out in cell.get('outputs', [])]
    pictures = [out.data['image/png'] for out in outputs if 'image/png' in out.get('data', {})]
    sizes = [Image.open(io.BytesIO(base64.b64decode(png))).size for png in pictures]
    assert len(sizes) == 4  # the scene, what was found, filters, modulators
    assert min(min(size) for size in sizes) > 100
    printed = ''.join(out.text for out in outputs if out.output_type == 'stream')
    assert ('epoch_4.pth' in printed) == trained
