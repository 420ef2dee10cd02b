"""The notebook runs, and draws the words that it shows."""

from pathlib import Path

import pytest

TOUR = Path(__file__).parents[1] / "docs" / "tour.ipynb"
DRAWN = 3  # the cell that shows the words of the drawn image; what is read may differ between runtimes


@pytest.mark.slow
def test_the_tour_runs(monkeypatch, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="the notebook wants the dev extra")
    nbclient = pytest.importorskip("nbclient", reason="the notebook wants the dev extra")
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1]))
    notebook = nbformat.read(TOUR, as_version=4)
    (shown,) = notebook.cells[DRAWN].outputs
    nbclient.NotebookClient(notebook, timeout=300).execute(cwd=tmp_path)
    (drawn,) = notebook.cells[DRAWN].outputs
    assert drawn.data == shown.data
