"""Recipes that earlier versions kept in weights and checkpoints, in the words of today."""

from collections.abc import Mapping
from typing import Any

# The settings of every kind of a part, which stood beside `kind`, all of them; the first kind was the default.
BESIDE_KIND: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "backbone": {
        "slim_resnet": ("widths", "blocks"),
        "resnet18": ("pretrained",),
        "resnet34": ("pretrained",),
        "resnet50": ("pretrained",),
        "vgg16_bn": ("pretrained",),
        "vit": (),
    },
    "roi": {
        "stretched": ("height", "width", "margin", "taps"),
        "proportional": ("height", "width", "margin", "taps", "columns_per_height", "min_width"),
    },
    "recognizer": dict.fromkeys(
        ("fcr", "crnn"), ("widths", "context_layers", "context_kernel", "blocks", "context_blocks")
    ),
    "detector": {"ribbon": (), "rfcn": ("anchor_sizes", "anchor_ratios", "max_proposals")},
}
LOSS_TERMS = {
    "score": ("det/score",),
    "geometry": ("det/geometry",),
    "ctc": ("rec/ctc",),
    "proposals": ("rpn/score", "rpn/geometry"),
}


def modernize(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a recipe in today's words, as the one given if they are.

    Of a recipe from before kinds had sections of their own, what the chosen kinds never used is left out. Keys that no
    version knows stay, for whoever reads the recipe to complain about.
    """
    values = dict(recipe)
    if isinstance(values.get("loss"), Mapping):
        two_stages = _kind(values, "detector") == "rfcn"
        values["loss"] = _modernize_loss(values["loss"], two_stages)
    if isinstance(values.get("data"), Mapping):
        values["data"] = _modernize_data(values["data"])
    if isinstance(values.get("train"), Mapping) and not values["train"].get("predicted_regions"):
        values["train"] = {
            key: value for key, value in values["train"].items() if key != "predicted_regions_from" or _is_wrong(value)
        }
    if isinstance(values.get("model"), Mapping):
        values["model"] = {name: _modernize_part(name, part) for name, part in values["model"].items()}
    return values


def _is_wrong(step: Any) -> bool:
    """Whether it never was a step."""
    return not isinstance(step, int) or step < 0


def _kind(recipe: Mapping[str, Any], part: str) -> str:
    return recipe.get("model", {}).get(part, {}).get("kind", next(iter(BESIDE_KIND[part])))


def _modernize_part(name: str, part: Any) -> Any:
    kinds = BESIDE_KIND.get(name, {})
    known = {setting for settings in kinds.values() for setting in settings}
    if not isinstance(part, Mapping) or not known & part.keys():
        return part
    kind = part.get("kind", next(iter(kinds)))
    section = {setting: part[setting] for setting in kinds.get(kind, ()) if setting in part}
    others = {key: value for key, value in part.items() if key not in known and (key == kind or key not in kinds)}
    return others | ({kind: section} if section else {})


def _modernize_loss(weights: Mapping[str, Any], two_stages: bool) -> dict[str, Any]:
    modern: dict[str, Any] = {}
    for name, weight in weights.items():
        if name != "proposals" or two_stages:
            modern |= dict.fromkeys(LOSS_TERMS.get(name, (name,)), weight)
    return modern


def _modernize_data(data: Mapping[str, Any]) -> dict[str, Any]:
    modern = dict(data)
    if isinstance(data.get("train"), list | tuple):
        modern["train"] = [_modernize_source(source) for source in data["train"]]
    if "validation" in data:
        modern["validation"] = _modernize_source(data["validation"])
    return modern


def _modernize_source(source: Any) -> Any:
    if not isinstance(source, Mapping):
        return source
    modern = {key: _modernize_drawing(value) if key in ("draw", "stream") else value for key, value in source.items()}
    return modern | ({"trains": "recognizer"} if source.get("trains") == "reader" else {})


def _modernize_drawing(drawing: Any) -> Any:
    """Without the settings of the renderer that had no effect."""
    renderer = drawing.get("renderer") if isinstance(drawing, Mapping) else None
    if not isinstance(renderer, Mapping):
        return drawing
    words = renderer.get("words")
    if isinstance(words, Mapping) and not (words.get("file") or words.get("languages")):
        words = {key: value for key, value in words.items() if key != "invented_share"}
        renderer = {**renderer, "words": words}
    unused = {"words_per_image"} if renderer.get("layout") == "sheet" else set()
    unused |= set() if renderer.get("backgrounds") else {"drawn_share"}
    return {**drawing, "renderer": {key: value for key, value in renderer.items() if key not in unused}}
