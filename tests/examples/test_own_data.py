"""The notebook runs as it is, on fewer images."""

import re
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / 'examples' / 'own_data.ipynb'


@pytest.fixture(scope='module')
def executed(tmp_path_factory):
    nbformat = pytest.importorskip('nbformat')
    client = pytest.importorskip('nbclient')
    manager = pytest.importorskip('jupyter_client.manager')
    pytest.importorskip('ipykernel')
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', []))
    parameters.source = 'IMAGES, EPOCHS = 24, 1'
    kernel = manager.KernelManager()
    kernel.kernel_spec.argv = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    folder = str(tmp_path_factory.mktemp('notebook'))
    client.NotebookClient(notebook, km=kernel, timeout=500, resources=dict(metadata=dict(path=folder))).execute()
    return [
        ''.join(output.get('text', '') for output in cell.outputs if output.get('name') == 'stdout')
        for cell in notebook.cells
        if cell.cell_type == 'code'
    ]


def test_it_goes_from_data_to_a_file_that_needs_no_torch(executed):
    assert '24 images' in executed[1]
    assert re.search(r'AP 0\.\d+ with .*best_coco_bbox_mAP_epoch_1\.pth', executed[2])
    assert re.search(r'^[\d.]+ MB', executed[5])
    assert executed[6].rstrip().endswith('False')  # torch was not imported
