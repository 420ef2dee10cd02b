"""Pages of the site that lie outside docs/: the README is its home, and each link between pages is that of the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # file of the repository: page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "datasets/README.md": "data_sets.md",
    "textspot/weights/spotter-s.md": "spotter-s.md",
    "tools/experiments/sui2018/README.md": "sui2018.md",
    "tools/experiments/vit_data_free/README.md": "vit_data_free.md",
    "tools/experiments/aser_language_model/README.md": "aser_language_model.md",
}
PICTURES = ("tools/experiments/sui2018/systems.png", "tools/experiments/vit_data_free/accuracy.png")
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def on_files(files, config):
    for source, page in OUTSIDE.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for source in PICTURES:
        files.append(File.generated(config, Path(source).name, content=(ROOT / source).read_bytes()))
    return files


def on_page_markdown(markdown, page, **_):
    source = {site: source for source, site in OUTSIDE.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return LINK.sub(lambda link: link[1] + site_path(link[2], source) + link[3], markdown)


def site_path(target: str, source: str) -> str:
    """Where a link of the file `source` of the repository leads on the site."""
    if re.match(r"\w+:", target):
        return target
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in OUTSIDE:
        return OUTSIDE[path]
    return Path(path).name if path in PICTURES else path.removeprefix("docs/")
