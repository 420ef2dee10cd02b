"""Render a data set once, to train on it many times."""

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2

from textspot.data.annotation import Instance, sample_to_instances
from textspot.data.lmdb_records import Meta, Reader, Writer
from textspot.data.synthetic.renderer import RENDERER_VERSION, Renderer, RendererConfig
from textspot.progress import Track, untracked
from textspot.ranges import NonNegativeInt, PositiveInt, check_ranges
from textspot.structures import Sample

JPEG_QUALITY = 90
CHUNK = 8  # images per message between processes

Drawn = tuple[str, bytes, list[Instance]]


@dataclass(frozen=True)
class DrawConfig:
    """A data set to render.

    Args:
        num_images: number of images.
        seed: number of the stream of images; sets of different seeds have no image in common.
        num_processes: number of processes that render; the result is the same for any number.
        image_format: `jpg` as from a camera, or `png`, which keeps every pixel and is about five times as large.
        renderer: look of the images.
    """

    num_images: NonNegativeInt = 1000
    seed: NonNegativeInt = 0
    num_processes: PositiveInt = 1
    image_format: Literal["jpg", "png"] = "jpg"
    renderer: RendererConfig = field(default_factory=RendererConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "draw.")


@dataclass(frozen=True)
class StreamConfig:
    """An endless set of images, rendered when they are asked for.

    Args:
        seed: number of the stream of images; streams of different seeds have no image in common.
        renderer: look of the images.
    """

    seed: NonNegativeInt = 0
    renderer: RendererConfig = field(default_factory=RendererConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "stream.")


class DrawnStream:
    """The images of a `StreamConfig` by number; may be pickled to other processes."""

    def __init__(self, config: StreamConfig):
        self.config = config
        self._renderer = Renderer(config.renderer)

    def sample(self, index: int) -> Sample:
        """Image number `index` (0 and up) as `Renderer.render` gives it."""
        return self._renderer.render(self.config.seed, index)


def draw_dataset(
    path: str | os.PathLike, config: DrawConfig, overwrite: bool = False, track: Track = untracked
) -> Meta:
    """Render the LMDB at `path`; its card records the configuration of the renderer and the seed.

    An existing target is a FileExistsError unless `overwrite`; `track` shows progress. A script that renders with more
    than one process calls this below `if __name__ == "__main__"`.
    """
    card = {"name": Path(path).name, "licence": "drawn by textspot", "drawn": _drawn(config)}
    with Writer(path, card, overwrite) as writer, _drawn_images(config) as images:
        for _, image in zip(track(range(config.num_images), f"rendering {path}"), images, strict=True):
            writer.add(*image)
    return Reader(path).meta


def check_drawn(path: str | os.PathLike, meta: Meta, config: DrawConfig) -> None:
    """A ValueError if the data set at `path` was rendered in another way: none is replaced by itself."""
    found = _complete(meta.card.get("drawn"), {"renderer": dataclasses.asdict(RendererConfig())})
    if json.loads(json.dumps(found)) != json.loads(json.dumps(_drawn(config))):  # lists for tuples; 14 equals 14.0
        raise ValueError(f"{path}: exists, and was not rendered as the recipe says: delete it, or choose another path")


def _complete(found: Any, defaults: Mapping[str, Any]) -> Any:
    """Settings as they were recorded, with the defaults of those that are newer than the record."""
    if not isinstance(found, Mapping):
        return found
    return {**defaults, **{key: _complete(value, defaults.get(key) or {}) for key, value in found.items()}}


def _drawn(config: DrawConfig) -> dict[str, Any]:
    """What the images depend on."""
    values = {name: value for name, value in dataclasses.asdict(config).items() if name != "num_processes"}
    return {"renderer_version": RENDERER_VERSION, **values}


@contextmanager
def _drawn_images(config: DrawConfig) -> Iterator[Iterator[Drawn]]:
    """The images in order, rendered here or by other processes."""
    if config.num_processes == 1:
        artist = _Artist(config)
        yield (artist.draw(index) for index in range(config.num_images))
        return
    # Spawned, not forked: the caller may hold threads (of torch, of a progress bar) that do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(config.num_processes, _start_worker, (config,)) as pool:
        yield pool.imap(_draw_in_worker, range(config.num_images), chunksize=CHUNK)


class _Artist:
    """Renders and encodes the images of one data set."""

    def __init__(self, config: DrawConfig):
        self._config = config
        self._renderer = Renderer(config.renderer)

    def draw(self, index: int) -> Drawn:
        """Name, encoded image and instances of one image."""
        sample = self._renderer.render(self._config.seed, index)
        suffix = f".{self._config.image_format}"
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
        _, encoded = cv2.imencode(suffix, cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR), options)
        return sample.name + suffix, encoded.tobytes(), sample_to_instances(sample)


_artist: _Artist | None = None  # of this worker process: fonts and word lists are read once


def _start_worker(config: DrawConfig) -> None:
    global _artist
    cv2.setNumThreads(0)  # the processes fill the cores already
    _artist = _Artist(config)


def _draw_in_worker(index: int) -> Drawn:
    if _artist is None:
        raise RuntimeError("_draw_in_worker runs in the processes that _start_worker prepared")
    return _artist.draw(index)
