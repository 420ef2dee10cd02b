"""The commands of docs/new_language.md, one after the other, on a few Greek words."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from test_own_data_page import TINY

from textspot.cli.main import main
from textspot.data.lmdb_records import Reader
from textspot.data.synthetic.typefaces import SHIPPED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "new_language.md").read_text(encoding="utf-8")
WORDS = "λόγος άνθρωπος νερό δρόμος φως χρόνος ψωμί ξύλο γάλα ήλιος θάλασσα βουνό κήπος ταξίδι ζωή πόλη άστρο ουρανός"
SMALLER = {
    "num_images: 2000": "num_images: 4",
    "num_images: 100": "num_images: 3",
    "num_processes: 2": "num_processes: 1",
}
SMALLER |= {"height: 384": "height: 96", "width: 384": "width: 128", "max_text_height: 48": "max_text_height: 14"}

pytestmark = pytest.mark.slow


def test_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textspot.engine.overfit.STEPS", 2)
    Path("words.txt").write_text("\n".join(WORDS.split()), encoding="utf-8")
    Path("fonts").mkdir()
    for name in ("DroidSans", "OpenSans-Regular"):
        shutil.copy(SHIPPED / f"{name}.ttf", "fonts")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    for old, new in SMALLER.items():
        assert old in recipe
        recipe = recipe.replace(old, new)
    Path("greek.yaml").write_text(recipe.replace("init_from: spotter-s", "init_from: null"), encoding="utf-8")
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    shutil.copy(next((ROOT / "datasets" / "own_data" / "sample" / "photos").glob("*.jpg")), "photo.jpg")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in "".join(blocks).splitlines():
        program, *command = shlex.split(line, comments=True)
        if program != "textspot":
            subprocess.run(line, shell=True, check=True)
            continue
        more = ["--config", "tiny.yaml"] if command[0] in ("train", "doctor") else []
        expected = (0, 1) if command[0] == "doctor" else (0,)  # two steps teach nothing
        assert main([*command, *more]) in expected, capsys.readouterr().err
    assert len(Path("held_out.txt").read_text(encoding="utf-8").split()) == 1
    drawn = Reader("data/greek/sheets").meta.characters
    assert set(drawn) & set("αβγδεζηθικλμνξοπρςστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ")
