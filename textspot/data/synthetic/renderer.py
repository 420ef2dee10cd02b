"""The scene-text renderer: images with words whose places and texts are known exactly."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from textspot.data.synthetic.degrade import degrade
from textspot.data.synthetic.layout import Page, lay_scene, lay_sheet
from textspot.data.synthetic.paint import outline_pixels, paint, pixels_below
from textspot.data.synthetic.placement import Placement
from textspot.data.synthetic.scribe import Scribe
from textspot.data.synthetic.style import choose_style
from textspot.data.synthetic.surface import Photographs, draw_surface
from textspot.data.synthetic.typefaces import load_typefaces
from textspot.data.synthetic.words import WordConfig, WordSource
from textspot.geometry import quad_to_ribbon, ribbon_size
from textspot.structures import Sample

RENDERER_VERSION = 1  # raised whenever the same (seed, index) comes out as another image


@dataclass(frozen=True)
class RendererConfig:
    """What the drawn images look like.

    Args:
        height: height of an image in pixels.
        width: width of an image in pixels.
        layout: `scene` lays words and short lines at free places; `sheet` fills the image with dense rows of single
            words in all typefaces, which is what a reader learns from fastest.
        words: which words are written.
        words_per_image: the least and the most words of a scene; fewer are drawn where no free place is left. A sheet
            is always full.
        empty_share: the share of images without any word.
        min_text_height: the lowest capitals, in pixels before text is tilted.
        max_text_height: the highest capitals, in pixels before text is tilted.
        ignore_below: words whose polygon is lower than this many pixels, on average between its upper and its lower
            edge, are drawn, and marked as to be ignored.
        max_rotation: text is turned within the image by at most this angle in radians, either way.
        max_tilt: text is tilted out of the image by at most this angle in radians, about both axes; gives perspective.
        backgrounds: a folder of photographs to write on; without one, plain and textured surfaces are drawn.
        fonts: `shipped`, `system` (all Latin typefaces of the operating system) or a folder of font files.
        degrade: strength of exposure, blur, noise and compression, from 0 (none) to 1 (all that leaves text readable).
    """

    height: int = 512
    width: int = 512
    layout: Literal["scene", "sheet"] = "scene"
    words: WordConfig = field(default_factory=WordConfig)
    words_per_image: tuple[int, int] = (1, 12)
    empty_share: float = 0.02
    min_text_height: float = 10.0
    max_text_height: float = 48.0
    ignore_below: float = 6.0
    max_rotation: float = 0.35
    max_tilt: float = 0.5
    backgrounds: str | None = None
    fonts: str = "shipped"
    degrade: float = 0.7

    def __post_init__(self) -> None:
        complaints = []
        if min(self.height, self.width) < 1:
            complaints.append(f"height {self.height} and width {self.width}: expected at least 1 pixel")
        if not 0 <= self.words_per_image[0] <= self.words_per_image[1]:
            complaints.append(f"words_per_image {self.words_per_image}: expected 0 <= least <= most")
        if not 4 <= self.min_text_height <= self.max_text_height:
            complaints.append(
                f"min_text_height {self.min_text_height}, max_text_height {self.max_text_height}: "
                "expected 4 <= min <= max"
            )
        for name, limit in (("empty_share", 1), ("degrade", 1), ("max_tilt", 1), ("max_rotation", np.pi)):
            if not 0 <= getattr(self, name) <= limit:
                complaints.append(f"{name} is {getattr(self, name)}, expected a value in [0, {limit:.4g}]")
        if complaints:
            raise ValueError("renderer: " + "; ".join(complaints))


class Renderer:
    """Draws samples; with the same versions of numpy, OpenCV and Pillow, (seed, index) is the same in every process.

    Word list, fonts and backgrounds are looked up when the renderer is made; what is missing or unusable is an error
    that names it.
    """

    def __init__(self, config: RendererConfig):
        self.config = config
        typefaces = load_typefaces(config.fonts, config.words.characters)
        self._scribe = Scribe(WordSource(config.words), typefaces)
        self._photographs = Photographs(config.backgrounds) if config.backgrounds else None
        self._page = Page(
            config.height,
            config.width,
            (config.min_text_height, config.max_text_height),
            config.max_rotation,
            config.max_tilt,
        )

    def render(self, seed: int, index: int) -> Sample:
        """Image number `index` (0 and up) of the stream `seed` (0 and up), RGB.

        Polygons are quads, clockwise from the start of reading, `MARGIN` pixels around the ink. There may be none.
        """
        rng = np.random.default_rng((seed, index))
        canvas = self._surface(rng)
        placements = self._layout(rng)
        quads = [quad for placement in placements for quad in _write(rng, canvas, placement)]
        heights = np.array([ribbon_size(quad_to_ribbon(quad))[0] for quad in quads])
        ignore = heights < self.config.ignore_below
        lowest = heights[~ignore].min() if not ignore.all() else self.config.min_text_height
        return Sample(
            image=degrade(rng, canvas, self.config.degrade, float(lowest)),
            polygons=quads,
            transcripts=[text for placement in placements for text in placement.lettering.texts],
            ignore=ignore,
            name=f"{seed}_{index:06d}",
        )

    def _surface(self, rng: np.random.Generator) -> np.ndarray:
        height, width = self.config.height, self.config.width
        if self._photographs is None:
            return draw_surface(rng, height, width)
        return self._photographs.crop(rng, height, width)

    def _layout(self, rng: np.random.Generator) -> list[Placement]:
        if rng.random() < self.config.empty_share:
            return []
        if self.config.layout == "sheet":
            return lay_sheet(rng, self._page, self._scribe)
        least, most = self.config.words_per_image
        return lay_scene(rng, self._page, self._scribe, int(rng.integers(least, most + 1)))


def _write(rng: np.random.Generator, canvas: np.ndarray, placement: Placement) -> np.ndarray:
    """Paint a lettering onto the canvas; the quads (N, 4, 2) of its words, outlines included."""
    style = choose_style(rng, pixels_below(canvas, placement))
    paint(canvas, placement, style)
    return placement.quads(grow=outline_pixels(placement, style))
