"""How the images of a run are read, and what tells this from other ways."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt

import textspot
from textspot.file_checksum import hash_file
from textspot.inference.settings import ReadingSettings
from textspot.inference.spotter import Spotter, choose_file
from textspot.runtime.build import RuntimeConfig
from textspot.text.lexicon import load_lexicon


@dataclass(frozen=True, kw_only=True)
class BulkSettings(ReadingSettings):
    """What decides which rows come out.

    Args:
        weights: name of bundled weights, a model.safetensors, a run's folder, or an .onnx file; every machine of the
            cluster needs it at the same path.
        device: device of the network: cpu, or cuda with --num_gpus.
        num_threads: number of CPU threads of each actor; 1 gives the highest throughput.
        max_regions: maximum number of words to read per image or tile; the column `limited` says where it is reached.
        lexicon: file of words, one per line; a text becomes one of them where the image makes that more probable.
        tiling: read an image in tiles if it would be shrunk to less than half.
        batch_size: images of one padded size that share a pass of the network; more than 1 pays on a GPU.
        private_urls: allow URLs of addresses that are not public, such as localhost.
    """

    device: str = "cpu"
    num_threads: PositiveInt = 1
    lexicon: str | None = None
    tiling: bool = True
    batch_size: PositiveInt = 1
    private_urls: bool = False

    def with_absolute_paths(self) -> "BulkSettings":
        """The same with files that every process of this machine finds."""
        names = ("weights", "language", "lexicon")
        files = {name: path for name in names if (path := getattr(self, name)) and os.path.exists(path)}
        return replace(self, **{name: os.path.abspath(path) for name, path in files.items()})

    def load(self, compile: bool = False) -> Spotter:
        """The spotter of these settings."""
        spotter = super().load(compile)
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
