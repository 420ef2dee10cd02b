"""The commands of docs/your_own_data.md, one after the other, on an export of forty photographs."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from textspot.cli.main import main
from textspot.data.synthetic.renderer import Renderer, RendererConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your_own_data.md").read_text(encoding="utf-8")
TINY = """
data: {image_size: [64, 96], num_workers: 0}
model:
  backbone: {slim_resnet: {widths: [8, 16, 24, 32], blocks: [1, 1, 1, 1]}}
  neck: {channels: 16}
  roi: {stretched: {width: 32}}
  recognizer: {fcr: {widths: [16, 16, 24, 32], context_layers: 1, blocks: [0, 0, 0], context_blocks: 0}}
train: {steps: 3, batch_size: 2, warmup_steps: 1, evaluate_every: 3}
"""
FEWER_STEPS = """
data: {image_size: [64, 96], num_workers: 0}
train: {steps: 2, batch_size: 2, warmup_steps: 1}
"""
FEWER_DRAWN = {"num_images: 3000": "num_images: 4", "height: 512": "height: 64", "width: 512": "width: 96"}

pytestmark = pytest.mark.slow


def write_export(folder: Path, count: int) -> None:
    """Drawn photographs with a `Label.txt`, as PPOCRLabel writes it."""
    folder.mkdir()
    renderer, lines = Renderer(RendererConfig(96, 128, words_per_image=(2, 4), empty_share=0.0)), []
    for number in range(count):
        sample = renderer.render(0, number)
        name = f"photo_{number}.jpg"
        Image.fromarray(sample.image).save(folder / name)
        words = [
            {"transcription": text, "points": polygon[[0, len(polygon) // 2 - 1, len(polygon) // 2, -1]].tolist()}
            for polygon, text in zip(sample.polygons, sample.transcripts, strict=True)
        ]
        lines.append(f"photos/{name}\t{json.dumps([word | {'difficult': False} for word in words])}\n")
    (folder / "Label.txt").write_text("".join(lines))


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line.strip()]


def shrink(command: list[str], folder: Path) -> list[str]:
    """The command, with a tiny network and few steps where it trains."""
    verb = command[0]
    if verb in ("train", "doctor"):
        return [*command, "--config", str(folder / ("fewer.yaml" if "finetune.yaml" in command else "tiny.yaml"))]
    return command


def test_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textspot.engine.overfit.STEPS", 2)
    write_export(tmp_path / "photos", 40)
    recipe, _ = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    for old, new in FEWER_DRAWN.items():
        recipe = recipe.replace(old, new)
    Path("mine.yaml").write_text(recipe)
    Path("tiny.yaml").write_text(TINY)
    Path("fewer.yaml").write_text(FEWER_STEPS)
    tuned = (ROOT / "configs" / "finetune.yaml").read_text().replace("data/icdar2015", "data/mine")
    Path("finetune.yaml").write_text(tuned)
    shutil.copy(next((ROOT / "datasets" / "own_data" / "sample" / "photos").glob("*.jpg")), "photo.jpg")
    for program, *command in commands():
        if program == "cp":
            shutil.copy(ROOT / command[0], command[1])
            continue
        assert program == "textspot"
        if command[1] == "import-crops":  # of a data set that the reader has
            assert main(["prepare", "export-crops", "data/mine/train", "MJSynth/train"]) == 0
        expected = (0, 1) if command[0] == "doctor" else (0,)  # two steps teach nothing
        assert main(shrink(command, tmp_path)) in expected, capsys.readouterr().err
    assert "widen its `share` in the card" in capsys.readouterr().err
