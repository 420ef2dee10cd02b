"""`textspot COMMAND ...`: looks the verb up and hands the other arguments to its file. Imports no more than that."""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from textspot import __version__
from textspot.extras import explain_missing

VERBS = {
    "infer": "Read the text in photographs.",
    "train": "Train a text spotter as a recipe says.",
    "evaluate": "Score a model on a data set, or result files against ground truth.",
    "benchmark": "Measure speed and memory, stage by stage, beside other programs.",
    "export": "Write a trained network as one file: ONNX, torch.export or safetensors.",
    "quantize": "Make a trained network smaller and faster, and measure what that costs.",
    "prepare": "Build, inspect and convert data sets.",
    "prelabel": "Read images into annotations for a labelling tool.",
    "bulk": "Read millions of images into Parquet files, on one machine or a Ray cluster.",
    "serve": "Read images over HTTP.",
    "demo": "Try the weights on a page of your own browser.",
    "doctor": "Check before a long run whether its recipe can learn to read.",
    "benchmark-data": "Measure the path from record to training batch.",
    "benchmark-service": "Load a real service with many clients at once.",
}
# What a verb needs beyond reading with a graph, all together; others need what their options name.
VERB_EXTRAS = {"train": "train", "doctor": "train", "benchmark-data": "train", "quantize": "export", "prepare": "data"}
VERB_EXTRAS |= {"bulk": "ray"}
HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of these arguments, `sys.argv`'s by default; its exit status."""
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in HELP:
        print(describe())
        return 0
    if verb == "--version":
        print(f"textspot {__version__}")
        return 0
    if verb not in VERBS:
        print(f"error: {complain_about(verb)}", file=sys.stderr)
        return 2
    return run_verb(verb, rest)


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; where a package is missing that it needs, say which and how to install it."""
    try:
        module = import_module(f"textspot.cli.{verb.replace('-', '_')}")
    except ImportError as error:
        missing = explain_missing(error, VERB_EXTRAS.get(verb, ""))
        if missing is None:
            raise
        wants_help = any(argument in HELP for argument in arguments)
        if wants_help:
            print(f"usage: textspot {verb} [options]\n\n{VERBS[verb]}\n\nTo see the options: {missing}")
        else:
            print(f"error: textspot {verb}: {missing}", file=sys.stderr)
        return 0 if wants_help else 1
    return module.main(arguments)


def describe() -> str:
    """The help of the whole command."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        f"usage: textspot COMMAND [options]\n\nFind and read the text in photographs.\n\ncommands:\n{verbs}\n\n"
        "textspot COMMAND --help lists the options of a command; textspot --version prints the version."
    )


def complain_about(verb: str) -> str:
    """What to say to an unknown verb."""
    near = difflib.get_close_matches(verb, VERBS, n=1)
    guess = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(VERBS)}"
    return f"textspot has no command {verb!r}: {guess}"
