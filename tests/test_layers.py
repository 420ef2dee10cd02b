"""Who may import whom: the table that says which room a line of code lives in, and what it may touch.

A module may import those of lower levels and its own package. The neighbours of a level do not know each other.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "textspot"

LEVELS = {
    0: (
        *(
            "__version__",
            "structures",
            "layout",
            "drawing",
            "geometry",
            "text",
            "progress",
            "extras",
            "shipped_files",
            "option_help",
        ),
        *(
            "bounded_process",
            "image_decoding",
            "image_process",
            "pdf_process",
            "video_process",
            "image_files",
            "image_folders",
            "image_pages",
            "downloads",
        ),
        *("atomic_file", "file_checksum", "schedule", "ranges", "given_settings", "older_recipes", "telemetry"),
        "regular_file",
    ),
    1: ("batch", "device", "outputs", "stores", "trackers"),
    2: ("data", "models", "losses", "preprocess", "postprocess", "metrics", "visualize", "quant", "prelabel"),
    3: ("recipe", "recipe_parser", "model_card", "checkpoint"),
    4: ("runtime", "hub"),
    5: ("inference",),
    6: ("engine", "benchmark", "bulk", "service", "demo"),
    7: ("compression",),
    8: ("cli",),
    9: ("__main__",),
}
NEIGHBOURS = {  # a checkpoint holds the other two
    ("checkpoint", "recipe"),
    ("checkpoint", "model_card"),
    ("recipe", "recipe_parser"),
}
# Each knows those before it.
IMAGES = ("extras", "bounded_process", "image_decoding", "image_process", "pdf_process", "video_process")
IMAGES += ("image_files", "image_pages", "image_folders")
NEIGHBOURS |= {(room, other) for number, room in enumerate(IMAGES) for other in IMAGES[:number]}
NEIGHBOURS |= {(room, "regular_file") for room in ("text", "option_help")}
# What a prediction says about itself: its lines, and how it looks.
NEIGHBOURS |= {("layout", "geometry")}
NEIGHBOURS |= {("structures", other) for other in ("layout", "drawing", "geometry", "extras", "image_files")}
LEVEL = {module: level for level, modules in LEVELS.items() for module in modules}

# Scoring somebody's result files needs no GPU stack, nor does running an exported network.
WITHOUT_TORCH = (
    *("structures", "geometry", "text", "image_files", "image_folders", "image_pages", "downloads", "progress"),
    *("metrics", "preprocess", "postprocess", "model_card", "visualize", "inference"),
    *("layout", "drawing", "outputs"),
)

FILES = [
    file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"
]  # the front door opens lazily


def read_imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports, inside functions too; relative imports keep their dots."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "textspot" else [module]
            yield from ((node.lineno, name) for name in names)


def find_room(file: Path) -> str:
    """The module or package of `textspot` that a file belongs to."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def complaints_about(file: Path) -> list[str]:
    room = find_room(file)
    found = []
    for line, name in read_imports(file):
        where = f"{file.relative_to(ROOT)}:{line}: imports {name}"
        if name.startswith("."):
            found.append(f"{where}: write the absolute name")
        elif name.split(".")[0] in ("tools", "datasets", "tests"):
            found.append(f"{where}: nobody imports these")
        elif name.startswith("textspot."):
            other = name.split(".")[1]
            allowed = other == room or (room, other) in NEIGHBOURS or LEVEL.get(other, 10) < LEVEL[room]
            if not allowed:
                found.append(f"{where}: {room} is at level {LEVEL[room]}, {other} at {LEVEL.get(other)}")
    return found


def test_every_module_has_a_level():
    rooms = {find_room(file) for file in FILES}
    assert rooms - LEVEL.keys() == set(), "put them into LEVELS, where they belong"


@pytest.mark.parametrize("room", sorted({find_room(file) for file in FILES} & LEVEL.keys()))
def test_imports_go_down(room):
    assert [text for file in FILES if find_room(file) == room for text in complaints_about(file)] == []


def test_scoring_and_drawing_import_no_torch():
    rooms = [room for room in WITHOUT_TORCH if (PACKAGE / room).exists() or (PACKAGE / f"{room}.py").exists()]
    assert len(rooms) == len(WITHOUT_TORCH)
    files = [file for room in rooms for file in (*PACKAGE.glob(f"{room}.py"), *(PACKAGE / room).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    program = (
        f"import sys, {', '.join(['textspot', *names])}; print(*sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_the_walker_sees_what_it_should_refuse(tmp_path, monkeypatch):
    """The tests above could not fail otherwise."""
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path / "textspot")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    file = tmp_path / "textspot" / "metrics" / "matching.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "from . import x\n"
        "def f():\n"
        "    import textspot.models.fcr\n"
        "from textspot import geometry, data, __version__\n"
        "import tools.a\n"
    )
    assert complaints_about(file) == [
        "textspot/metrics/matching.py:1: imports .: write the absolute name",
        "textspot/metrics/matching.py:4: imports textspot.data: metrics is at level 2, data at 2",
        "textspot/metrics/matching.py:5: imports tools.a: nobody imports these",
        "textspot/metrics/matching.py:3: imports textspot.models.fcr: metrics is at level 2, models at 2",
    ]
