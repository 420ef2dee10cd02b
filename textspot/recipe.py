"""The recipe of a run: every module's own Config, composed, and the functions that build from it."""

import argparse
import dataclasses
import json
import math
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypeVar

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter

from textspot.data.dataset import DataConfig, SourceConfig, TrainingStream
from textspot.data.mixture import SampleSource
from textspot.data.synthetic.draw import DrawConfig, DrawnStream, StreamConfig
from textspot.data.synthetic.renderer import RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.data.targets import LABELERS, OFFSET_UNIT, STRIDE
from textspot.losses import LossConfig
from textspot.models.spotting_network import ModelConfig, SpottingNetwork, build_network
from textspot.postprocess import PostprocessConfig
from textspot.preprocess import PreprocessConfig
from textspot.text.charset import Charset, TextConfig

AnyRecipe = TypeVar("AnyRecipe", "Recipe", "NetworkRecipe")


@dataclass(frozen=True)
class TrainConfig:
    """The training loop. A step is one update of the weights.

    Args:
        steps: how many.
        batch_size: images per forward pass and process.
        accumulation: forward passes per step; each is divided by its own denominators, then they are averaged.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW; not on biases and normalisation.
        warmup_steps: the learning rate rises linearly over these, then falls as a cosine.
        final_learning_rate: what it falls to, as a share of the peak.
        clip_norm: the gradient is scaled down to this norm.
        ema_decay: of the moving average of the weights, which is what is evaluated and kept. It starts lower, so that
            random weights are soon forgotten; with `init_from` it does not, so that given ones are not.
        precision: `bf16` computes the convolutions in bfloat16; losses and coordinates stay in float32.
        compile: compile the network with torch.compile.
        device: `auto` takes a GPU if there is one.
        init_from: a new run starts from these weights: a model.safetensors or a run's folder. Classes of characters
            that both charsets hold are taken over; anything else that does not fit is an error. A run that has a
            checkpoint goes on from that instead.
        reinitialize: parts of the network that begin anew instead; `reading_trunk` is what a recogniser that shares
            nothing has.
        freeze_statistics: the backbone's BatchNorm keeps the statistics of `init_from`.
        backbone_learning_rate: the learning rate of the backbone, as a share of that of the rest.
        predicted_regions: share of the words that are read in training where the network detects them, if it does, and
            not where they are annotated.
        predicted_regions_from: the step at which that begins.
        num_threads: CPU threads of the training process; 0 leaves it to torch. Exact resume needs the same number.
        log_every: steps between two lines of the log.
        evaluate_every: steps between two evaluations on the validation images.
        save_every: steps between two checkpoints.
        picture_every: steps between two galleries of what the recogniser is fed.
        doctor_every: steps between two looks at both heads' gradients and at how reading goes, which warn in words;
            each takes about as long as a step. 0 for none.
    """

    steps: int = 1000
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    final_learning_rate: float = 0.02
    clip_norm: float = 5.0
    ema_decay: float = 0.998
    precision: Literal["float32", "bf16"] = "bf16"
    compile: bool = False
    device: str = "auto"
    init_from: str | None = None
    reinitialize: tuple[Literal["backbone", "neck", "detector", "recognizer", "reading_trunk"], ...] = ()
    freeze_statistics: bool = False
    backbone_learning_rate: float = 1.0
    predicted_regions: float = 0.0
    predicted_regions_from: int = 0
    num_threads: int = 0
    log_every: int = 10
    evaluate_every: int = 500
    save_every: int = 250
    picture_every: int = 500
    doctor_every: int = 100

    def __post_init__(self) -> None:
        for key in dataclasses.fields(self):
            value = getattr(self, key.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"train.{key.name} is {value}, expected a finite number")
        for name in ("num_threads", "doctor_every", "backbone_learning_rate", "predicted_regions_from"):
            if getattr(self, name) < 0:
                raise ValueError(f"train.{name} is {getattr(self, name)}, expected at least 0")
        if not 0 <= self.predicted_regions <= 1:
            raise ValueError(f"train.predicted_regions is {self.predicted_regions}, expected a share in [0, 1]")
        for name in ("reinitialize", "freeze_statistics"):
            if getattr(self, name) and self.init_from is None:
                raise ValueError(f"train.{name} says what becomes of given weights: set train.init_from too")
        for name in (
            "steps",
            "batch_size",
            "accumulation",
            "log_every",
            "evaluate_every",
            "save_every",
            "picture_every",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} is {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True)
class Recipe:
    """Everything a run is made of.

    Args:
        data: what is learned from.
        run: folder of the run: checkpoints, logs, pictures.
        seed: of everything random.
        text: charset and normalisation.
        model: the network.
        loss: weights of the loss terms.
        preprocess: from an image to the network's input.
        postprocess: from the network's output to text instances.
        train: the loop.
    """

    data: DataConfig
    run: str = "runs/spotter"
    seed: int = 0
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected at least 0")
        if self.model.shared and "reading_trunk" in self.train.reinitialize:
            raise ValueError("train.reinitialize names reading_trunk, which a network with model.shared: true has not")

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, numbers and strings, for a YAML file or a checkpoint."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@dataclass(frozen=True)
class NetworkRecipe:
    """The part of a recipe that its network is built from.

    Args:
        text: charset and normalisation.
        model: the network.
        preprocess: from an image to the network's input.
    """

    text: TextConfig
    model: ModelConfig
    preprocess: PreprocessConfig


def build_charset(recipe: Recipe | NetworkRecipe) -> Charset:
    """The characters the recipe's network reads."""
    return Charset(recipe.text.characters)


def build_spotting_network(recipe: Recipe | NetworkRecipe, pretrained: bool = False) -> SpottingNetwork:
    """The network of the recipe, randomly initialised from torch's current random state; if `pretrained`, with the
    ImageNet weights that the recipe may ask for."""
    return build_network(
        recipe.model,
        num_classes=build_charset(recipe).num_classes,
        stride=STRIDE,
        offset_unit=OFFSET_UNIT,
        mean=recipe.preprocess.mean,
        std=recipe.preprocess.std,
        pretrained=pretrained,
    )


def build_training_stream(recipe: Recipe, sources: Sequence[SampleSource | DrawnStream]) -> TrainingStream:
    """The examples of the recipe, made of the samples of its training sources."""
    return TrainingStream(
        sources,
        recipe.data,
        recipe.text,
        recipe.seed,
        recipe.preprocess.max_side,
        recipe.model.count_time_steps,
        LABELERS[recipe.model.detector.kind],
    )


def read_command_line(arguments: Sequence[str] | None = None) -> Recipe:
    """The recipe of a command line: `--config FILE` (several merge in order) and one dotted option per key.

    An unknown key, a wrong type or a value outside its choices ends the program with a message that names it, and the
    file it stands in.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _parse(arguments)
    except (ArgumentError, ValueError) as error:
        message = str(error)
    _recipe_parser().error(_name_file(arguments, message))


def _parse(arguments: list[str]) -> Recipe:
    parser = _recipe_parser(exit_on_error=False)
    values = parser.parse_args(arguments)
    values.pop("config", None)
    return Recipe(**parser.instantiate(values).as_dict())


def _recipe_parser(exit_on_error: bool = True) -> ArgumentParser:
    parser = ArgumentParser(
        description="The recipe of a joint text spotter: a YAML file, and any key of it as an option.",
        usage="%(prog)s --config FILE [--KEY VALUE ...]",  # of some eighty keys; --help lists them below
        epilog=_explain_lists(),
        formatter_class=_HelpFormatter,
        exit_on_error=exit_on_error,
    )
    parser.add_argument("--config", action="config", help="YAML file of a recipe; later files and options override it")
    parser.add_class_arguments(Recipe, as_group=True)
    return parser


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the epilog."""


def _explain_lists() -> str:
    """The keys that stand below others in a YAML file and are no options: those of a source and of what it draws."""
    lines = []
    for config, place in (
        (SourceConfig, "data.train[], data.validation"),
        (DrawConfig, "draw"),
        (StreamConfig, "stream"),
        (RendererConfig, "draw.renderer, stream.renderer"),
        (WordConfig, "draw.renderer.words, stream.renderer.words"),
    ):
        lines.append(f"keys of {place}:")
        meanings = {p.arg_name: p.description or "" for p in docstring_parser.parse(config.__doc__ or "").params}
        for key in dataclasses.fields(config):
            lines += textwrap.wrap(
                f"{key.name}: {meanings[key.name]}", 78, initial_indent="  ", subsequent_indent="    "
            )
    return "\n".join(lines)


def _name_file(arguments: list[str], message: str) -> str:
    """The message, behind the name of the configuration file that gives the very same one by itself."""
    joined = " ".join(arguments).replace("--config=", "--config ").split()
    for option, file in pairwise(joined):
        if option == "--config":
            try:
                _parse(["--config", file])
            except (ArgumentError, ValueError) as error:
                if str(error) == message and file not in message:
                    return f"{file}: {message}"
    return message


def recipe_from_dict(values: dict[str, Any], source: str) -> Recipe:
    """The recipe of plain values; an unknown key, a wrong type or a value outside its choices is named with its
    source."""
    return _from_dict(Recipe, values, source)


def network_recipe_from_dict(values: dict[str, Any], source: str) -> NetworkRecipe:
    """The part of a recipe's plain values that the network is built from, checked likewise; the rest is not looked
    at."""
    parts = {key.name for key in dataclasses.fields(NetworkRecipe)}
    return _from_dict(NetworkRecipe, {key: value for key, value in values.items() if key in parts}, source)


def _from_dict(config: type[AnyRecipe], values: dict[str, Any], source: str) -> AnyRecipe:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(config, "recipe")
    try:
        return parser.instantiate(parser.parse_object({"recipe": values})).recipe
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from error
