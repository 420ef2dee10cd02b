"""No option is ignored in silence: one that says nothing beside the others is an error that names both."""

from dataclasses import dataclass, field
from importlib import import_module

import pytest

from textspot.cli.main import VERBS
from textspot.cli.options import Verb, build_parser


@dataclass(frozen=True)
class Lens:
    """A part of them.

    Args:
        focus: distance.
        tint: colour.
    """

    focus: int = 3
    tint: int = 1


@dataclass(frozen=True)
class Camera:
    """Options.

    Args:
        film: kind of film.
        flash: whether it flashes.
        watts: strength of the flash.
        lens: the lens.
        shade: strength of the tint.
        album: another thing to do.
    """

    film: str | None = None
    flash: bool = False
    watts: int = 5
    lens: Lens = field(default_factory=Lens)
    shade: int = 2
    album: str | None = None


CAMERA = Verb(
    "camera",
    Camera,
    "Take a picture.",
    from_file=True,
    only_with={"watts": ("flash",), "lens": ("film", "flash"), "lens.tint": ("film=colour",), "shade": ("lens.tint",)},
    no_use={"album": ("*",)},
)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--watts", "5"], "--watts goes with --flash: give that too, or leave this out"),
        (["--watts=5", "--flash", "false"], "--watts goes with --flash"),
        (["--lens.focus", "3"], "--lens.focus goes with --film or --flash"),
        (["--flash", "--lens.tint", "1"], "--lens.tint goes with --film colour"),
        (["--film", "grey", "--lens.tint", "1"], "--lens.tint goes with --film colour"),
        (["--shade", "2", "--lens.tint", "0", "--film", "colour"], "--shade goes with --lens.tint"),
        (["--album", "a", "--flash", "false"], "--album has no use for --flash: leave it out"),
        (["--album", "a", "--lens.focus", "3", "--film", "x"], "--album has no use for --lens.focus"),
    ],
)
def test_what_says_nothing_is_an_error_even_if_it_is_the_default(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        CAMERA.read(arguments)
    assert caught.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_so_it_is_in_a_file(tmp_path, capsys):
    (tmp_path / "camera.yaml").write_text("watts: 5\n")
    with pytest.raises(SystemExit):
        CAMERA.read(["--config", str(tmp_path / "camera.yaml")])
    assert "--watts goes with --flash" in capsys.readouterr().err
    assert CAMERA.read(["--config", str(tmp_path / "camera.yaml"), "--flash"]) == Camera(flash=True)


@pytest.mark.parametrize(
    "arguments", [[], ["--album", "a"], ["--flash", "--watts", "7"], ["--film", "colour", "--lens.tint", "2"]]
)
def test_what_goes_together_is_read(arguments):
    assert isinstance(CAMERA.read(arguments), Camera)


def test_so_it_is_where_the_options_are_those_of_a_function(capsys):
    def develop(film: str = "grey", minutes: int = 3) -> None:
        """Develop.

        Args:
            film: kind of film.
            minutes: time in the bath.
        """

    verb = Verb("develop", develop, "Develop.", only_with={"minutes": ("film=colour",)})
    assert verb.read_keywords([]) == {"film": "grey", "minutes": 3}
    with pytest.raises(SystemExit):
        verb.read_keywords(["--minutes", "3"])
    assert "--minutes goes with --film colour" in capsys.readouterr().err


@pytest.mark.parametrize("name", VERBS)
def test_the_tables_of_every_verb_name_options_that_there_are(name):
    verb = getattr(import_module(f"textspot.cli.{name.replace('-', '_')}"), "VERB", None)
    if verb is None or not (verb.only_with or verb.no_use):
        return
    options = {action.dest for action in build_parser(verb)._actions}
    tables = [*verb.only_with.items(), *verb.no_use.items()]
    for place in {one.partition("=")[0] for holder, others in tables for one in (holder, *others)} - {"*"}:
        near = (f"{option}." for option in options)  # a dataclass that may be absent is one option, its fields are none
        assert any(one.startswith(f"{place}.") or f"{place}.".startswith(one) for one in near), place
