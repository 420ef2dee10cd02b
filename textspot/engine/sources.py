"""The data sets of a run: rendered if the recipe says how, opened, and checked against the charset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from textspot.data.build import damaged_records
from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.lmdb_file import DATA_FILE
from textspot.data.lmdb_records import Reader
from textspot.data.mosaic import Mosaic
from textspot.data.shards import open_records
from textspot.data.synthetic.draw import DrawnStream, check_drawn, draw_dataset
from textspot.engine.distributed import World
from textspot.engine.evaluate import Further
from textspot.progress import track
from textspot.text.charset import Charset, TextConfig

OpenSource = Reader | DrawnStream | Mosaic
SHOWN_CHARACTERS = 20


def open_sources(config: DataConfig, world: World) -> tuple[list[OpenSource], Reader]:
    """The training sources and the validation source.

    LMDBs that do not exist yet are rendered: by the first process, and then, where nodes have disks of their own, by
    the first one of each node.
    """
    for draws in (world.is_first, world.is_first_here):
        if draws:
            _draw_missing(config)
        world.wait()
    train = [_open_source(source) for source in config.train]
    validation = _open_records(config.validation)
    if len(validation) < 2:
        raise ValueError(
            f"{config.validation.path}: holds {len(validation)} images; choosing a threshold on some and measuring on "
            "others takes at least 2"
        )
    if damaged := damaged_records(validation):
        raise ValueError("\n".join([*damaged, f"{config.validation.path} is damaged: build it again"]))
    return train, validation


def _draw_missing(config: DataConfig) -> None:
    for source in [*config.train, config.validation]:
        if source.path and source.draw and not (Path(source.path) / DATA_FILE).exists():
            # a kill at the worst moment leaves an empty folder, which may be overwritten
            draw_dataset(source.path, source.draw, overwrite=Path(source.path).exists(), track=track)


def open_further(config: DataConfig) -> Further:
    """The data sets that are looked at beside the validation source; one that is empty or damaged is a ValueError."""
    return Further(_open_named("also_evaluate", config.also_evaluate), _open_named("also_read", config.also_read))


def _open_named(setting: str, paths: Mapping[str, str]) -> dict[str, Reader]:
    readers = {name: open_records(path) for name, path in paths.items()}
    for name, reader in readers.items():
        if not len(reader):
            raise ValueError(f"data.{setting}.{name}: {reader.path} holds no image")
        if damaged := damaged_records(reader):
            raise ValueError("\n".join([*damaged, f"{reader.path} is damaged: build it again"]))
    return readers


def _open_source(source: SourceConfig) -> OpenSource:
    if source.stream:
        return DrawnStream(source.stream)
    reader = _open_records(source)
    return Mosaic(reader, source.mosaic) if source.mosaic else reader


def _open_records(source: SourceConfig) -> Reader:
    reader = open_records(str(source.path), source.least_score, source.cache)
    if source.draw:
        check_drawn(str(source.path), reader.meta, source.draw)
    return reader


def identify(sources: Sequence[OpenSource], validation: Reader) -> dict[str, str]:
    """What tells the LMDBs of a run from others, by their keys in the recipe; streams are what the recipe says."""
    train = {f"train[{n}]": one.identity for n, one in enumerate(sources) if not isinstance(one, DrawnStream)}
    return train | {"validation": validation.identity}


def check_charset(sources: Sequence[OpenSource], text: TextConfig) -> None:
    """A ValueError that lists the characters of the data the charset misses, unless the recipe says to skip their
    words."""
    if text.unknown == "skip":
        return
    counts: Counter[str] = Counter()
    for source in sources:
        if isinstance(source, DrawnStream):
            counts.update(dict.fromkeys(source.config.renderer.words.characters, 0))  # how often is not known
        else:
            counts.update(source.meta.characters)
    missing = Charset(text.characters).missing(counts, text.case)
    if missing:
        shown = ", ".join(f"{c!r} ({n or 'any number of'} times)" for c, n in list(missing.items())[:SHOWN_CHARACTERS])
        more = f" and {len(missing) - SHOWN_CHARACTERS} more" if len(missing) > SHOWN_CHARACTERS else ""
        raise ValueError(
            f"the charset misses {len(missing)} characters of the data: {shown}{more}. Add them to text.characters, "
            "fold them with text.case, or set text.unknown: skip to train only the detector on their words"
        )
