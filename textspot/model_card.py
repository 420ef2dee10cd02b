"""What it takes to use a network besides its weights: the same in every file that holds one. Needs no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from textspot.file_checksum import BLANK
from textspot.postprocess import PostprocessConfig
from textspot.preprocess import PreprocessConfig
from textspot.text.charset import Charset, TextConfig, names_file

Part = TypeVar("Part")

MODEL_FILE = "model.safetensors"
FORMAT = "textspot-1"
ANOTHER_VERSION = "was it written by another version of this program?"
KEYS = ("recipe", "threshold", "step", "metrics", "threshold_protocol")  # of the metadata, each value as JSON
LATER_KEYS = ("thresholds",)  # which older files lack


class CheckpointError(ValueError):
    """A model's file that cannot be read or written; the message names the file and the remedy."""


@dataclass(frozen=True)
class ModelCard:
    """The recipe of a network, the score threshold, and where figures come from.

    `recipe` is that of the training run as plain values. Of these only `text`, `preprocess` and `postprocess` are read
    here, and `model` by whoever builds the network: keys of the training may come and go between versions. `metrics`
    holds figures by protocol; `threshold` was chosen on the same validation images, as the best one by
    `threshold_protocol`, which is empty before any evaluation; `step` says when. `thresholds` holds those of other ways
    to read, by the names of `threshold_for`.
    """

    recipe: dict[str, Any]
    threshold: float = 0.5
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    threshold_protocol: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for threshold in (self.threshold, *self.thresholds.values()):
            if not 0 <= threshold <= 1:
                raise ValueError(f"the score threshold is {threshold}, expected a value in [0, 1]")
        _ = self.charset, self.preprocess, self.postprocess  # so that what is wrong is said now

    def threshold_for(self, *ways: str) -> float:
        """The score threshold of a way to read, such as `best`, or `default` with a `complete lexicon`: that of the
        longest beginning of its names for which one was chosen."""
        for length in range(len(ways), 0, -1):
            if (name := ", ".join(ways[:length])) in self.thresholds:
                return self.thresholds[name]
        return self.threshold

    @cached_property
    def charset(self) -> Charset:
        """The characters that the network reads; never those of a file, which a card cannot hold."""
        if names_file(self.recipe["text"]["characters"]):
            raise ValueError("text.characters is the name of a file, expected characters")
        return Charset(self._part("text", TextConfig).characters)

    @cached_property
    def preprocess(self) -> PreprocessConfig:
        """From an image to the network's input."""
        return self._part("preprocess", PreprocessConfig)

    @cached_property
    def postprocess(self) -> PostprocessConfig:
        """From the network's output to text instances."""
        return self._part("postprocess", PostprocessConfig)

    def _part(self, key: str, config: type[Part]) -> Part:
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in self.recipe[key].items()}
        return config(**values)

    def to_metadata(self) -> dict[str, str]:
        """As the strings by name that file formats keep beside weights, with room for a checksum, which `seal` of
        `file_checksum` fills in."""
        return {"format": FORMAT, "checksum": BLANK} | {
            key: json.dumps(getattr(self, key)) for key in (*KEYS, *LATER_KEYS)
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> "ModelCard":
        """The card of a file's metadata; a `CheckpointError` that begins with `source` when it is none of ours."""
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{source}: not a model of this program: its metadata says format {metadata.get('format')!r}, "
                f"expected {FORMAT!r}"
            )
        try:
            later = {key: json.loads(metadata[key]) for key in LATER_KEYS if key in metadata}
            return cls(*(json.loads(metadata[key]) for key in KEYS), **later)
        except KeyError as error:
            raise CheckpointError(f"{source}: its metadata lacks {error}: {ANOTHER_VERSION}") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{source}: its metadata cannot be used ({error}): {ANOTHER_VERSION}") from error

    def for_use(self) -> "ModelCard":
        """The card without what was needed for training only, which names folders of the machine that trained."""
        kept = ("text", "model", "preprocess", "postprocess")
        return replace(self, recipe={key: self.recipe[key] for key in kept})
