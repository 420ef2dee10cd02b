"""The command line and the files of a recipe: a kind for each part of the network, a section for each kind.

Which kinds there are is looked up when the parser is built, so kinds may come from outside the package.
"""

import dataclasses
import textwrap
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import docstring_parser
from jsonargparse import ArgumentParser, Namespace

from textspot.data.dataset import OF_TRAINING, SourceConfig
from textspot.data.mosaic import MosaicConfig
from textspot.data.shards import CacheConfig
from textspot.data.synthetic.draw import DrawConfig, StreamConfig
from textspot.data.synthetic.renderer import RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.losses import RECOGNIZER_TERM
from textspot.models.choice import Choice
from textspot.models.spotting_network import DETECTORS, PARTS, REFINEMENTS, ModelConfig
from textspot.option_help import ConfigFile, OptionHelp, hide_group_files, hide_options
from textspot.shipped_files import shipped_recipes

DESCRIPTION = "The recipe of a joint text spotter: a YAML file, and any key of it as an option."
LOSS_TERMS = {
    RECOGNIZER_TERM: "the recogniser's CTC loss",
    "det/score": "the detector's loss of text or no text",
    "det/geometry": "the detector's loss of outlines",
    "rpn/score": "the same as det/score, of the proposals of `rfcn`",
    "rpn/geometry": "the same as det/geometry, of the proposals of `rfcn`",
    "det/refinement": "the loss of corrected regions, with the refinement `patch`",
}


class RecipeFile(ConfigFile):
    """The option that names a recipe. One that chooses a kind takes the place of what files before it say of the other
    kinds of that part."""

    def __call__(self, parser, cfg, values, option_string=None) -> None:
        alone = Namespace({self.dest: []})
        super().__call__(parser, alone, values, option_string)
        for part, kinds in PARTS.items():
            if kind := alone.get(f"model.{part}.kind"):
                for other in kinds.keys() - {kind}:
                    cfg.pop(f"model.{part}.{other}", None)
        super().__call__(parser, cfg, values, option_string)


def build_parser(config: type, prog: str | None = None, description: str = DESCRIPTION) -> ArgumentParser:
    """The parser of a dataclass that has a field `model` and may have a field `loss`; it raises, and never exits.
    `prog` and `description` are what the help says of the program."""
    parser = ArgumentParser(
        prog=prog,
        description=description,
        usage="%(prog)s --config FILE [--KEY VALUE ...]",  # of some hundred keys; --help lists them below
        epilog=_explain_lists(),
        formatter_class=OptionHelp,
        exit_on_error=False,
    )
    names = ", ".join(shipped_recipes())
    order = "A later --config overrides keys of the earlier ones; options override all files"
    what = f"recipe: a YAML file, or one of {names}. {order}"
    parser.add_argument("--config", action=RecipeFile, help=what)
    parser.add_class_arguments(config, as_group=True, skip={"model", "loss"})
    add_model(parser)
    if "loss" in {key.name for key in dataclasses.fields(config)}:
        group = parser.add_argument_group(_explain(config)["loss"].rstrip("."))
        for term, weight in {RECOGNIZER_TERM: 1.0, **_all_network_terms()}.items():
            group.add_argument(f"--loss.{term}", type=float, default=weight, help=LOSS_TERMS.get(term, ""))
    hide_group_files(parser)
    hide_options(parser, [f"data.validation.{key}" for key in (*OF_TRAINING, "stream")])  # they are refused there
    return parser


def parser_of(config: type, prog: str | None = None, description: str = DESCRIPTION) -> ArgumentParser:
    """As `build_parser` builds it, once for the kinds that there are now: it takes longer than to parse."""
    return _build_once(config, prog, description, tuple((part, *kinds.items()) for part, kinds in PARTS.items()))


@lru_cache(maxsize=8)
def _build_once(config: type, prog: str | None, description: str, _: Hashable) -> ArgumentParser:
    return build_parser(config, prog, description)


def instantiate(parser: ArgumentParser, values: Namespace, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the dataclass from the parsed `values`. `stated` are plain values that were given: a setting of
    another kind than the chosen one is a ValueError that names both."""
    built = parser.instantiate(values).as_dict()
    built.pop("config", None)
    built["model"] = choose_kinds(built["model"], stated.get("model") or {})
    if "loss" in built:
        built["loss"] = {term: built["loss"][term] for term in stated.get("loss") or {}}
    return built


def choose_kinds(built: Mapping[str, Any], stated: Mapping[str, Any]) -> ModelConfig:
    """The network of what `add_model` gives: `built` with all settings of all kinds, `stated` with those that were
    given."""
    complaints = [
        f"model.{part}.{section}.{setting} is a setting of {section}, and model.{part}.kind is {built[part]['kind']}: "
        "choose that kind, or leave the setting out"
        for part in PARTS
        for section, settings in (stated.get(part) or {}).items()
        if section not in ("kind", built[part]["kind"])
        for setting in settings or ()
    ]
    if complaints:
        raise ValueError("; ".join(complaints))
    return ModelConfig(**{**built, **{part: _choose(part, built[part]) for part in PARTS}})


def add_model(parser: ArgumentParser) -> None:
    """Add the keys of a `ModelConfig` below `model`."""
    defaults, meanings = ModelConfig(), _explain(ModelConfig)
    for key in dataclasses.fields(ModelConfig):
        default, place = getattr(defaults, key.name), f"model.{key.name}"
        if key.name in PARTS:
            kinds = PARTS[key.name]
            parser.add_argument(f"--{place}.kind", choices=list(kinds), default=default.kind, help=meanings[key.name])
            for kind, module in kinds.items():
                if dataclasses.fields(module.Config):
                    parser.add_class_arguments(module.Config, f"{place}.{kind}")
        elif dataclasses.is_dataclass(default):
            parser.add_class_arguments(type(default), place)
        else:
            parser.add_argument(f"--{place}", type=type(default), default=default, help=meanings[key.name])


def _all_network_terms() -> dict[str, float]:
    """Of every kind: which of them the chosen one has is for the recipe to say."""
    weights = [kind.loss_weights for kind in DETECTORS.values()] + [kind.loss_weights for kind in REFINEMENTS.values()]
    return {term: weight for one in weights for term, weight in one.items()}


def _choose(part: str, sections: Mapping[str, Any]) -> Choice:
    kind = sections["kind"]
    return Choice(kind, sections[kind]) if kind in sections else Choice(kind, PARTS[part][kind].Config())


def _explain(config: type) -> dict[str, str]:
    return {p.arg_name: p.description or "" for p in docstring_parser.parse(config.__doc__ or "").params}


def _explain_lists() -> str:
    """The keys that stand below others in a YAML file and are no options: those of a source and of what it renders."""
    lines = []
    for config, place in (
        (SourceConfig, "data.train[]; data.validation has path, draw and cache"),
        (DrawConfig, "draw"),
        (StreamConfig, "stream"),
        (MosaicConfig, "mosaic"),
        (CacheConfig, "cache"),
        (RendererConfig, "draw.renderer, stream.renderer"),
        (WordConfig, "draw.renderer.words, stream.renderer.words"),
    ):
        lines.append(f"keys of {place}:")
        meanings = _explain(config)
        for key in dataclasses.fields(config):
            lines += textwrap.wrap(
                f"{key.name}: {meanings[key.name]}", 78, initial_indent="  ", subsequent_indent="    "
            )
    return "\n".join(lines)
