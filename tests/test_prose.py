"""The pages hold together: links lead somewhere, paths and commands exist, sentences stay short."""

import re
from pathlib import Path
from statistics import mean

import pytest

from textspot.cli.main import VERBS

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *[ROOT / "datasets" / "README.md", ROOT / "textspot" / "weights" / "spotter-s.md"],
    *sorted((ROOT / "tools" / "experiments").glob("*/README.md")),
]
LONGEST_MEAN = 18  # words a sentence
REPORTS = ("tools/experiments", "textspot/weights")  # whose sentences list figures
ROOMS = "textspot|tools|tests|docs|configs|datasets"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def drop_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", drop_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def sentences(text: str) -> list[str]:
    """Those of running text and lists; tables, headings and code are none."""
    text = re.sub(r"`[^`]*`", "code", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", drop_code(text)))
    text = re.sub(r"^ *([-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    blocks = re.split(r"\n\s*\n|^[#|!].*$", text, flags=re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"(?<=[.!?:;])[*)]*\s+", block.strip())]
    return [part for part in parts if len(part.split()) > 1]


@pages
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", drop_code(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), f"{page}: {target} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{page}: {there} has no heading #{anchor}"


@pages
def test_paths_in_backticks_exist(page):
    text = drop_code(page.read_text(encoding="utf-8"))
    for path in re.findall(rf"`((?:{ROOMS})/[\w./-]*|[A-Z]+\.md)`", text):
        assert (ROOT / path).exists(), f"{page}: there is no {path}"


@pages
def test_commands_name_verbs(page):
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert {verb for block in blocks for verb in re.findall(r"^textspot ([a-z-]+)", block, re.MULTILINE)} <= set(VERBS)


@pytest.mark.parametrize("page", [page for page in PAGES if not page.relative_to(ROOT).as_posix().startswith(REPORTS)])
def test_sentences_are_short(page):
    lengths = [len(sentence.split()) for sentence in sentences(page.read_text(encoding="utf-8"))]
    assert mean(lengths) <= LONGEST_MEAN
