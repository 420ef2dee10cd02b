"""The recipe of a run: every module's own Config, composed, and the functions that build from it."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Literal, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from textspot.data.dataset import DataConfig, TrainingStream
from textspot.data.mixture import TrainingSource
from textspot.given_settings import find_all_useless, refuse_changed, refuse_given, without
from textspot.losses import RECOGNIZER_TERM
from textspot.models.spotting_network import DETECTORS, PARTS, ModelConfig, SpottingNetwork, build_network
from textspot.older_recipes import modernize
from textspot.postprocess import PostprocessConfig
from textspot.preprocess import PreprocessConfig
from textspot.ranges import NonNegative, NonNegativeInt, PositiveInt, Share, check_ranges
from textspot.recipe_parser import DESCRIPTION, build_parser, instantiate, parser_of
from textspot.shipped_files import find_recipe
from textspot.text.charset import Charset, TextConfig

AnyRecipe = TypeVar("AnyRecipe", "Recipe", "NetworkRecipe")


@dataclass(frozen=True)
class TrainConfig:
    """The training loop. A step is one update of the weights.

    Args:
        steps: number of steps.
        batch_size: images per forward pass and process.
        accumulation: forward passes per step, whose losses are averaged.
        learning_rate: peak learning rate of AdamW. It is not scaled by the number of processes or by `accumulation`.
        weight_decay: weight decay of AdamW, except for biases and normalisation layers.
        warmup_steps: number of steps over which the learning rate rises linearly; after them it falls as a cosine.
        final_learning_rate: share of the peak to which the learning rate falls.
        clip_norm: maximum norm of the gradient; a larger gradient is scaled down to it.
        ema_decay: decay of the moving average of the weights; the averaged weights are evaluated and kept. In a run
            from random weights the decay rises gradually; with `init_from` it is constant.
        precision: `bf16` computes the convolutions in bfloat16; losses and coordinates stay in float32.
        compile: compile the network with torch.compile.
        device: `auto` takes a GPU if there is one.
        init_from: weights that a new run starts from: a model.safetensors, a run's folder, or the name of bundled
            weights. The classes of characters in both charsets are taken over; any other mismatch is an error. A run
            that has a checkpoint resumes from that instead.
        reinitialize: parts of the network that start from random weights in spite of `init_from`; `reading_trunk` is
            the recogniser's own backbone and neck, if `model.shared` is false.
        freeze_statistics: keep the statistics of `init_from` in the backbone's BatchNorm.
        sync_batchnorm: take BatchNorm's statistics over the images of all processes instead of each process alone; on
            GPUs only. Choose it for few images per process.
        backbone_learning_rate: the learning rate of the backbone, as a share of that of the rest.
        predicted_regions: share of the training words that are read in the region that the network detects instead of
            the annotated one, if the two differ by less than a third of the word's height.
        unrefined_regions: share of the training words that are read without the refinement.
        predicted_regions_from: first step at which predicted regions are read.
        num_threads: CPU threads of the training process; 0 leaves it to torch. Exact resume needs the same number.
        log_every: steps between two lines of the log.
        evaluate_every: steps between two evaluations on the validation images.
        save_every: steps between two checkpoints.
        picture_every: steps between two pictures of the regions that the recogniser gets.
        doctor_every: steps between two checks, which compare the gradients of the heads, follow the progress of reading
            and warn if something is wrong; each takes about as long as a step. 0 for none.
        trackers: experiment trackers that get the figures of the log too: mlflow, trackio, wandb.
    """

    ONLY_WITH: ClassVar = {
        "predicted_regions_from": ("predicted_regions",),
        **dict.fromkeys(("reinitialize", "freeze_statistics"), ("init_from",)),
    }

    steps: PositiveInt = 1000
    batch_size: PositiveInt = 8
    accumulation: PositiveInt = 1
    learning_rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01
    warmup_steps: NonNegativeInt = 100
    final_learning_rate: Share = 0.02
    clip_norm: NonNegative = 5.0
    ema_decay: Share = 0.998
    precision: Literal["float32", "bf16"] = "bf16"
    compile: bool = False
    device: str = "auto"
    init_from: str | None = None
    reinitialize: tuple[Literal["backbone", "neck", "detector", "recognizer", "reading_trunk"], ...] = ()
    freeze_statistics: bool = False
    sync_batchnorm: bool = False
    backbone_learning_rate: NonNegative = 1.0
    predicted_regions: Share = 0.0
    predicted_regions_from: NonNegativeInt = 0
    unrefined_regions: Share = 0.25
    num_threads: NonNegativeInt = 0
    log_every: PositiveInt = 10
    evaluate_every: PositiveInt = 500
    save_every: PositiveInt = 250
    picture_every: PositiveInt = 500
    doctor_every: NonNegativeInt = 100
    trackers: tuple[Literal["mlflow", "trackio", "wandb"], ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self, "train.")
        refuse_changed(self, "train.")


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    Args:
        data: training and validation images.
        run: folder of the run: checkpoints, logs, pictures.
        seed: seed of everything random.
        text: charset and normalisation.
        model: the network.
        loss: weight of each loss term, by its name in the log. Weight 0 switches the term off.
        preprocess: way from an image to the network's input.
        postprocess: way from the network's output to text instances.
        train: the loop.
    """

    ONLY_WITH: ClassVar = {"train.unrefined_regions": ("model.refinement.kind!=none",)}

    data: DataConfig
    run: str = "runs/spotter"
    seed: NonNegativeInt = 0
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: dict[str, float] = field(default_factory=dict)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if self.model.shared and "reading_trunk" in self.train.reinitialize:
            raise ValueError("train.reinitialize names reading_trunk, which a network with model.shared: true has not")
        detector, refinement = self.model.detector.kind, self.model.refinement.kind
        refuse_changed(self, "")
        weights = {**self.model.loss_weights, RECOGNIZER_TERM: 1.0}
        unknown = [f"loss.{term}" for term in self.loss if term not in weights]
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)} weighs a term that there is not with model.detector.kind: {detector} and "
                f"model.refinement.kind: {refinement}, expected one of {', '.join(weights)}"
            )
        object.__setattr__(self, "loss", weights | self.loss)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists, numbers and strings, for a YAML file or a checkpoint, without what has no effect."""
        values = dataclasses.asdict(self)
        values["model"] |= {part: getattr(self.model, part).to_dict() for part in PARTS}
        return without(json.loads(json.dumps(values)), [place for place, _ in find_all_useless(self)])


@dataclass(frozen=True)
class NetworkRecipe:
    """The part of a recipe that its network is built from.

    Args:
        text: charset and normalisation.
        model: the network.
        preprocess: way from an image to the network's input.
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
        mean=recipe.preprocess.mean,
        std=recipe.preprocess.std,
        pretrained=pretrained,
    )


def build_training_stream(recipe: Recipe, sources: Sequence[TrainingSource]) -> TrainingStream:
    """The examples of the recipe, made of the samples of its training sources."""
    return TrainingStream(
        sources,
        recipe.data,
        recipe.text,
        recipe.seed,
        recipe.preprocess.max_side,
        recipe.model.count_time_steps,
        DETECTORS[recipe.model.detector.kind].build_labeler(recipe.model.detector.settings),
    )


def read_command_line(
    arguments: Sequence[str] | None = None, prog: str | None = None, description: str = DESCRIPTION
) -> Recipe:
    """The recipe of a command line: `--config FILE`, or the name of a recipe that ships (several merge in order), and
    one dotted option per key.

    An unknown key, a wrong type or a value outside its choices ends the program with a message that names it, and the
    file it stands in. `prog` and `description` are what the help says of the program.
    """
    arguments = find_recipes(sys.argv[1:] if arguments is None else arguments)
    parser = parser_of(Recipe, prog, description)
    try:
        return _parse(parser, arguments)
    except (ArgumentError, ValueError) as error:
        message = _name_file(parser, arguments, str(error))
    parser = build_parser(Recipe, prog, description)  # the other one is shared
    parser.exit_on_error = True
    parser.error(message)


def find_recipes(arguments: Sequence[str]) -> list[str]:
    """The arguments with the file behind each `--config` in place of the name of a recipe that ships."""
    found = []
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if before == "--config":
            argument = find_recipe(argument)
        elif option == "--config" and equals:
            argument = f"--config={find_recipe(value)}"
        found.append(argument)
    return found


def _parse(parser: ArgumentParser, arguments: list[str]) -> Recipe:
    given = parser.parse_args(arguments, defaults=False)
    recipe = Recipe(**instantiate(parser, parser.parse_args(arguments), given.as_dict()))
    refuse_given(recipe, given)
    return recipe


_BASE_MISSING = "; a file that changes another recipe comes behind it, and its first line says behind which"


def _name_file(parser: ArgumentParser, arguments: list[str], message: str) -> str:
    """The message, behind the name of the configuration file that gives the very same one by itself."""
    joined = " ".join(arguments).replace("--config=", "--config ").split()
    for option, file in pairwise(joined):
        if option == "--config":
            try:
                _parse(parser, ["--config", file])
            except (ArgumentError, ValueError) as error:
                if str(error) == message and file not in message:
                    return f"{file}: {message}{_BASE_MISSING if 'required' in message else ''}"
    return message


def recipe_from_dict(values: dict[str, Any], source: str) -> Recipe:
    """The recipe of plain values, of an earlier version too; an unknown key, a wrong type or a value outside its
    choices is named with its source."""
    return _from_dict(Recipe, values, source)


def network_recipe_from_dict(values: dict[str, Any], source: str) -> NetworkRecipe:
    """The part of a recipe's plain values that the network is built from, checked likewise; the rest is not looked
    at."""
    parts = {key.name for key in dataclasses.fields(NetworkRecipe)}
    return _from_dict(NetworkRecipe, {key: value for key, value in values.items() if key in parts}, source)


def _from_dict(config: type[AnyRecipe], values: dict[str, Any], source: str) -> AnyRecipe:
    parser, values = parser_of(config), modernize(values)
    try:
        return config(**instantiate(parser, parser.parse_object(values), values))
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from error
