"""How the images of a run are read, and what tells this from other ways."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import textspot
from textspot.file_checksum import hash_file
from textspot.inference.spotter import Spotter, choose_file
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.protocol import Precision
from textspot.text.lexicon import load_lexicon


@dataclass(frozen=True)
class ReadingSettings:
    """What decides which rows come out; the fields mean what those of `textspot infer` mean."""

    weights: str = "spotter-s"
    threshold: float | None = None
    language: str | None = None
    lexicon: str | None = None
    runtime: RuntimeName = "auto"
    device: str = "cpu"
    precision: Precision = "float32"
    num_threads: int = 1
    tiling: bool = True
    max_regions: int = 1000
    batch_size: int = 1
    private_urls: bool = False

    def with_absolute_paths(self) -> "ReadingSettings":
        """The same with files that every process of this machine finds."""
        names = ("weights", "language", "lexicon")
        files = {name: path for name in names if (path := getattr(self, name)) and os.path.exists(path)}
        return replace(self, **{name: os.path.abspath(path) for name, path in files.items()})

    def load(self) -> Spotter:
        """The spotter of these settings."""
        spotter = textspot.load(
            self.weights,
            self.device,
            runtime=self.runtime,
            precision=self.precision,
            num_threads=self.num_threads,
            max_regions=self.max_regions,
            threshold=self.threshold,
            language=self.language,
        )
        spotter.tiling = self.tiling
        if self.lexicon is not None:
            spotter.lexicon = load_lexicon(Path(self.lexicon), Path(self.lexicon).stem)
        return spotter

    def identify(self) -> dict[str, Any]:
        """The settings as plain values, files by their content: equal where the rows are equal. Weights that are
        missing are a `CheckpointError`."""
        config = RuntimeConfig(self.runtime, self.device, self.precision)
        file, chosen = choose_file(Path(self.weights), config)
        files = {"weights": file, "language": self.language, "lexicon": self.lexicon}
        contents = {name: _describe(Path(path)) for name, path in files.items() if path and Path(path).is_file()}
        return asdict(self) | {"runtime": chosen.runtime, "version": textspot.__version__} | contents


def _describe(file: Path) -> str:
    return f"{file.name}, SHA-256 {hash_file(file)}"
