"""Spotter: the object users hold. Images in, text instances in pixels of the original image out."""

import logging
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast, overload

import numpy as np

from textspot.geometry import polygon_to_ribbon
from textspot.hub.address import HubAddress, parse_address
from textspot.hub.transfer import fetch_file, list_files
from textspot.image_pages import pages_of_file
from textspot.inference.image_input import ImageLike, is_one_image, name_of, to_array
from textspot.inference.prefetch import prefetch
from textspot.inference.shipped import RUNTIME_NAMES, SHIPPED, Machine, check_shipped, choose_fastest, files_of
from textspot.inference.views import (
    COMPLETE,
    PARTIAL,
    Looks,
    QualityName,
    View,
    look_at,
    merge_views,
    size_of_image,
    views_of_first_copy,
)
from textspot.model_card import MODEL_FILE, CheckpointError, ModelCard
from textspot.postprocess import decode_instances
from textspot.preprocess import preprocess
from textspot.runtime.build import RuntimeConfig, build_runtime
from textspot.runtime.protocol import Regions, Runtime
from textspot.structures import Prediction, TextInstance
from textspot.text.beam import BeamConfig, decode_beam, softmax
from textspot.text.ctc import decode_best_path
from textspot.text.language import LanguageModel
from textspot.text.language_choice import LanguageChoice, choose_language
from textspot.text.lexicon import ImageLexicons, Lexicon

logger = logging.getLogger("textspot")

LEAST_RAISED = 0.15  # detector's score from which on a lexicon may raise a word: below, nearly nothing is text
MOST_WAITING = 32  # prepared images in memory at a time, however long the list


def load(path: str | os.PathLike, config: RuntimeConfig | None = None) -> "Spotter":
    """The spotter of a `model.safetensors`, of a run's folder (then its last weights), of an `.onnx` file, of shipped
    weights by their name, such as `spotter-s`, or of a repository of the Hugging Face hub, such as `hf://owner/name`.

    A file that is missing, cut short or something else is a `CheckpointError`; a device or an option that the runtime
    does not have is a ValueError.
    """
    file, config = choose_file(Path(path), config or RuntimeConfig())
    spotter = Spotter(*build_runtime(file, config))
    spotter.source = f"{file.name} in {RUNTIME_NAMES[spotter.runtime.name]}"
    logger.info("%s", spotter.source)
    return spotter


def choose_file(path: Path, config: RuntimeConfig) -> tuple[Path, RuntimeConfig]:
    """The file to run, and how: of weights that ship, by their name, and of a repository of the hub what is fastest
    here; else as `config` says."""
    if address := parse_address(path):
        return _choose_on_hub(address, config)
    if not path.exists() and config.runtime != "pytorch" and str(path) in {file.stem for file in _shipped_files()}:
        file, config = choose_fastest(files_of(str(path)), config, Machine.here())
        return check_shipped(file), config
    return find_weights(path), config


def _choose_on_hub(address: HubAddress, config: RuntimeConfig) -> tuple[Path, RuntimeConfig]:
    checksums = list_files(address)
    names = [Path(name) for name in checksums if address.file in (None, name)]
    try:
        file, config = choose_fastest(names, config, Machine.here())
    except ValueError as error:
        raise CheckpointError(f"{address}: {error} among its files: {', '.join(checksums)}") from error
    return fetch_file(address, str(file), checksums[str(file)]), config


def find_weights(path: Path) -> Path:
    """The file at `path`: itself, the weights that a folder of a run or a repository of the hub holds, or what ships
    under that name: weights as `spotter-s`, any file as `spotter-s.onnx`."""
    if address := parse_address(path):
        return _choose_on_hub(address, RuntimeConfig("pytorch"))[0]
    graphs = {file.name: file for file in sorted(SHIPPED.glob("*.onnx"))}
    shipped = {file.stem: file for file in _shipped_files()} | graphs
    if not path.exists() and str(path) in shipped:
        return check_shipped(shipped[str(path)])
    if not path.is_dir():
        if not path.exists() and not path.suffix:
            raise CheckpointError(
                f"{path}: no such file or folder, and no weights of that name are shipped ({', '.join(shipped)} are)"
            )
        return path
    for file in (path / MODEL_FILE, path / "last" / MODEL_FILE):
        if file.is_file():
            return file
    raise CheckpointError(
        f"{path}: holds neither {MODEL_FILE} nor last/{MODEL_FILE}; expected the folder of a run that was saved"
    )


def _shipped_files() -> list[Path]:
    return sorted(SHIPPED.glob("*.safetensors"))


class RegionLimitWarning(UserWarning):
    """An image holds more regions than are read."""


class Spotter:
    """A network with everything it takes to use it.

    All of these may be set:

    Attributes:
        threshold: least score of an instance, in [0, 1]. Until it is set, the one that was chosen on the validation
            images, for the quality and the kind of lexicon if one was chosen for these.
        language: `LanguageModel` whose words are preferred when the recogniser is unsure, or None; or a
            `LanguageChoice`, which finds one for each image, or for each tile of a large one. It starts as that of the
            weights.
        beam: how strongly the language is preferred.
        lexicon: words that are preferred (how: see `text.lexicon`), for all images, or for each by the name of its
            file; None for none. A word of it scores higher, the longer it is and the fewer words the lexicon has; what
            cannot be a word of a complete one is left out.
        quality, turns: see `Looks`.
        tiling: read an image tile by tile if it would be shrunk to less than half; a warning says so.
        max_regions: most regions that are read of an image or a tile; a `RegionLimitWarning` says when it is reached.
            It starts as that of the weights.

    What an instance's `score` and `text_score` mean: see `TextInstance`.
    """

    def __init__(self, runtime: Runtime, card: ModelCard):
        self.runtime, self.card = runtime, card
        self._threshold: float | None = None
        self.language: LanguageModel | LanguageChoice | None = choose_language(card.postprocess.language or "none")
        self.beam = BeamConfig()
        self.lexicon: Lexicon | ImageLexicons | None = None
        self.quality: QualityName = "default"
        self.turns: tuple[int, ...] = (0,)
        self.tiling = True
        self.max_regions = card.postprocess.max_regions
        self.source = RUNTIME_NAMES.get(runtime.name, runtime.name)

    def __repr__(self) -> str:
        language = self.language.name if self.language else "none"
        return f"Spotter({self.source}, threshold={self.threshold:.3f}, language={language})"

    @overload
    def __call__(self, images: ImageLike, batch_size: int = 1) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, images: Sequence[ImageLike], batch_size: int = 1) -> list[Prediction]: ...

    def __call__(self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1) -> Prediction | list[Prediction]:
        """Spot text in an image, or in a list of images: RGB arrays (H, W, 3) uint8, paths, URLs, bytes, open files,
        Pillow images.

        One image gives one `Prediction`: a sequence of instances, best score first, that unpack as `(polygon, text,
        score)`; of a file it bears the path as its name. A list gives a list. Of a file with several pages the first
        counts; `pages` reads all. A file that is no image is an `ImageError`, an array of another shape or type a
        ValueError, something else a TypeError.
        """
        if is_one_image(images):
            return self.predict([cast(ImageLike, images)], batch_size)[0]
        if not isinstance(images, Sequence):
            raise TypeError(f"expected an image or a sequence of images, found {type(images)}")
        return self.predict(cast(Sequence[ImageLike], images), batch_size)

    def pages(self, path: str | os.PathLike, every_s: float | None = None) -> Iterator[Prediction]:
        """The prediction of each page of a TIFF or PDF, each frame of a GIF or WebP, or a frame of a video every so
        many seconds, with its number as `page`; a file that holds one image gives one, without a number."""
        for page in pages_of_file(path, every_s):
            yield replace(self.predict([page.image])[0], name=os.fspath(path), page=page.number)

    def predict(
        self, images: Sequence[ImageLike], batch_size: int = 1, names: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Predictions of RGB arrays (H, W, 3) uint8 or files, in their order; none for none.

        `names` are what predictions and warnings call the images; by default files are called by their paths.

        What comes next is decoded and prepared in threads while the network runs. Images are batched with others of
        the same padded size, so that the result of an image does not depend on its neighbours. An array of another
        shape or type is a ValueError.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        names = [name_of(image) for image in images] if names is None else names
        called = [name or f"image {number}" for number, name in enumerate(names, start=1)]
        lexicons = [self._lexicon_of(name) for name in names]
        found: dict[int, list[tuple[View, list[TextInstance]]]] = defaultdict(list)
        for batch in batch_by_size(self._open_all(images, called), batch_size):
            pixels = np.stack([view.pixels for _, view in batch])
            for (number, view), regions in zip(batch, self.spot(pixels), strict=True):
                self._warn_of_limit(regions, called[number])
                found[number].append((view, self._decode(regions, view, lexicons[number])))
        return [replace(self._merge(found[number]), name=name) for number, name in enumerate(names)]

    @property
    def threshold(self) -> float:
        """Least score of an instance."""
        return self.card.threshold_for(*self.way) if self._threshold is None else self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._threshold = value

    @property
    def way(self) -> tuple[str, ...]:
        """What a threshold depends on: the quality, and the kind of lexicon if there is one."""
        kind = () if self.lexicon is None else (COMPLETE if self.lexicon.complete else PARTIAL,)
        return self.quality, *kind

    @property
    def least_found(self) -> float:
        """The detector's score from which on a region is read."""
        return self.threshold if self.lexicon is None else min(self.threshold, LEAST_RAISED)

    def prepare(self, image: np.ndarray) -> list[View]:
        """What the network is to see of an RGB image (H, W, 3) uint8: one view, or several by
        `quality`, `turns` and `tiling`. An array of another shape or type is a ValueError."""
        _check_image(image)
        return look_at(image, self.card.preprocess, Looks(self.quality, self.turns, self.tiling))

    def spot(self, pixels: np.ndarray) -> list[Regions]:
        """What the network finds in a batch (B, H, W, 3) uint8 of views of one size."""
        return self.runtime.spot(pixels, self.least_found, self.max_regions)

    def reaches_limit(self, regions: Regions) -> bool:
        """Whether as many regions of a view count as are read at most."""
        return int(np.count_nonzero(regions.scores >= self.threshold)) >= self.max_regions

    def finish(self, regions: Sequence[Regions], views: Sequence[View]) -> Prediction:
        """The prediction of an image of the regions that the runtime found in each of its views."""
        lexicon = self._lexicon_of("")
        return self._merge([(view, self._decode(one, view, lexicon)) for one, view in zip(regions, views, strict=True)])

    def read(self, image: np.ndarray, polygons: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        """Text and `text_score` of given regions of an RGB image (H, W, 3) uint8: polygons (K, 2) in its pixels,
        clockwise from where reading starts. Neither threshold nor lexicon matters; none gives none. Only PyTorch reads
        regions that it has not found itself: of another runtime it is a ValueError."""
        _check_image(image)
        if not len(polygons):
            return []
        pixels, scale = preprocess(image, self.card.preprocess)
        ribbons = np.stack([polygon_to_ribbon(polygon * scale)[0] for polygon in polygons])
        read = getattr(self.runtime, "read", None)
        if read is None:
            raise ValueError(f"{self.runtime.name} reads only the regions it finds: load the model.safetensors")
        return self.decode_text(read(pixels, ribbons))

    def lean_to(self, language: str | None, beam: BeamConfig) -> None:
        """Prefer the words of a language as users name it: one that ships, a file of words, `auto`, `none`; None
        leaves that of the weights. A beam other than the default is a ValueError where there is no language."""
        if language is not None:
            self.language = choose_language(language)
        if self.language is None and beam != BeamConfig():
            raise ValueError("beam says how strongly a language is preferred, and there is none: choose one")
        self.beam = beam

    def decode_text(self, logits: np.ndarray) -> list[tuple[str, float]]:
        """Text and `text_score` of each region of logits (K, T, C), which are of one image where the language is to be
        found."""
        language = self.language
        if language is None:
            return decode_best_path(logits, self.card.charset)
        if isinstance(language, LanguageChoice):
            language = language.choose(text for text, _ in decode_best_path(logits, self.card.charset))
        return decode_beam(logits, self.card.charset, language, self.beam)

    def decode_with(self, lexicon: Lexicon, logits: np.ndarray) -> list[tuple[str | None, float]]:
        """Text and `text_score` of each region of logits (K, T, C) as `Lexicon.read` gives them."""
        return lexicon.read(softmax(logits), self.card.charset.characters, self.decode_text(logits))

    def _lexicon_of(self, name: str) -> Lexicon | None:
        return None if self.lexicon is None else self.lexicon.of(name)

    def _open_all(self, images: Sequence[ImageLike], called: Sequence[str]) -> Iterator[tuple[int, View]]:
        """The views of the images, each with its image's number; tiles are announced."""
        opened = prefetch(self._open, images) if len(images) > 1 else map(self._open, images)
        for number, views in enumerate(opened):
            if num_tiles := len(views_of_first_copy(views)) - 1:
                height, width = size_of_image(views)
                message = f"{called[number]}: {width} x {height} pixels are read in {num_tiles} tiles"
                warnings.warn(message, stacklevel=4)
            yield from ((number, view) for view in views)

    def _open(self, image: ImageLike) -> list[View]:
        return self.prepare(to_array(image))

    def _warn_of_limit(self, regions: Regions, name: str) -> None:
        if self.reaches_limit(regions):
            remedy = "the best ones; raise max_regions to read more"
            warnings.warn(f"{name}: {self.max_regions} regions are read, {remedy}", RegionLimitWarning, stacklevel=4)

    def _decode(self, regions: Regions, view: View, lexicon: Lexicon | None) -> list[TextInstance]:
        """Text instances of a view's regions, in pixels of its copy of the image."""
        tile = view.tile
        instances = decode_instances(
            regions.ribbons / view.scale,
            regions.scores,
            regions.text_logits,
            tile.size,
            partial(self.decode_with, lexicon) if lexicon else self.decode_text,
            self.threshold,
            self.card.postprocess,
            self.least_found,
        )
        corner = np.array([tile.left, tile.top], dtype=np.float32)
        return [replace(instance, polygon=instance.polygon + corner) for instance in instances]

    def _merge(self, found: list[tuple[View, list[TextInstance]]]) -> Prediction:
        """The prediction of an image of what was found in its views."""
        instances = merge_views(found, self.card.postprocess.max_overlap)
        return Prediction(tuple(instances), size_of_image([view for view, _ in found]))


def batch_by_size(views: Iterable[tuple[int, View]], batch_size: int) -> Iterator[list[tuple[int, View]]]:
    """Batches of views of one size, full ones first: what is left over comes at the end, or when too much waits."""
    waiting: dict[tuple[int, ...], list[tuple[int, View]]] = defaultdict(list)
    for number, view in views:
        waiting[view.pixels.shape].append((number, view))
        if len(waiting[view.pixels.shape]) == batch_size:
            yield waiting.pop(view.pixels.shape)
        elif sum(map(len, waiting.values())) >= max(batch_size, MOST_WAITING):
            yield waiting.pop(max(waiting, key=lambda shape: len(waiting[shape])))
    yield from waiting.values()


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"expected an RGB image of shape (H, W, 3) and type uint8, found {image.shape} {image.dtype}; "
            "give the path of a file to have any kind of image converted"
        )
