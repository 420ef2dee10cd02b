"""The scene-text renderer: images with words whose places and texts are known exactly."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np

from textspot.data.synthetic.camera import READABLE_BLUR, photograph
from textspot.data.synthetic.layout import Page, lay_scene, lay_sheet
from textspot.data.synthetic.occlusion import MOST_COVERED, covered_shares, occlude
from textspot.data.synthetic.paint import outline_pixels, paint, pixels_below
from textspot.data.synthetic.placement import Placement
from textspot.data.synthetic.scribe import Scribe
from textspot.data.synthetic.style import choose_style
from textspot.data.synthetic.surface import Photographs, busyness, draw_surface
from textspot.data.synthetic.typefaces import load_typefaces, require_shaper
from textspot.data.synthetic.words import WordConfig, WordSource
from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.given_settings import refuse_changed
from textspot.ranges import PositiveInt, Range, Share, check_ranges
from textspot.structures import Sample

RENDERER_VERSION = 2  # raised whenever the same (seed, index) comes out as another image


@dataclass(frozen=True)
class RendererConfig:
    """What the synthetic images look like.

    Args:
        height: height of an image in pixels.
        width: width of an image in pixels.
        layout: `scene` lays words and short lines at free places; `sheet` fills the image with dense rows of single
            words in all typefaces, which is what a recogniser learns from fastest.
        words: choice of the words that are written.
        words_per_image: the least and the most words of a scene; fewer are rendered where no free place is left. A
            sheet is always full.
        empty_share: the share of images without any word.
        min_text_height: smallest height of a capital letter, in pixels, before the text is tilted.
        max_text_height: largest height of a capital letter, in pixels, before the text is tilted.
        ignore_below: height in pixels below which a word is rendered and marked as ignored. Words that blur or
            occlusion makes unreadable are ignored too (`camera.READABLE_BLUR`, `occlusion.MOST_COVERED`).
        max_rotation: largest angle, in radians, by which text is turned within the image, either way.
        max_tilt: largest angle, in radians, by which text is tilted out of the image about either axis; it gives
            perspective.
        vertical_share: the share of signs, lines and single words of a scene, or of sheets, whose letters stand below
            one another, as in Chinese and Japanese: columns run from right to left. Takes a Pillow that has Raqm.
        backgrounds: a folder of photographs to write on; without one, walls, rooms and textures are rendered.
        drawn_share: share of images whose background is synthetic, where there is a folder of photographs.
        occluded_share: the share of images with poles, wires or leaves in front of the text.
        fonts: `shipped`, `system` (all Latin typefaces of the operating system) or a folder of font files.
        degrade: strength of light and camera (shading, exposure, blur, noise, compression), from 0 (none) to 1.
    """

    ONLY_WITH: ClassVar = {"words_per_image": ("layout=scene",), "drawn_share": ("backgrounds",)}

    height: PositiveInt = 512
    width: PositiveInt = 512
    layout: Literal["scene", "sheet"] = "scene"
    words: WordConfig = field(default_factory=WordConfig)
    words_per_image: tuple[int, int] = (1, 12)
    empty_share: Share = 0.02
    min_text_height: float = 10.0
    max_text_height: float = 48.0
    ignore_below: float = 6.0
    max_rotation: Annotated[float, Range(0, np.pi)] = 0.35
    max_tilt: Annotated[float, Range(0, 1)] = 0.5
    vertical_share: Share = 0.0
    backgrounds: str | None = None
    drawn_share: Share = 0.3
    occluded_share: Share = 0.08
    fonts: str = "shipped"
    degrade: Share = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, "renderer.")
        complaints = []
        if not 0 <= self.words_per_image[0] <= self.words_per_image[1]:
            complaints.append(f"words_per_image {self.words_per_image}: expected 0 <= least <= most")
        if not 4 <= self.min_text_height <= self.max_text_height:
            complaints.append(
                f"min_text_height {self.min_text_height}, max_text_height {self.max_text_height}: "
                "expected 4 <= min <= max"
            )
        if complaints:
            raise ValueError("renderer: " + "; ".join(complaints))
        refuse_changed(self, "renderer.")


class Renderer:
    """Renders samples; with the same versions of numpy, OpenCV and Pillow, (seed, index) is the same in every process.

    Word list, fonts and backgrounds are looked up when the renderer is made; what is missing or unusable is an error
    that names it.
    """

    def __init__(self, config: RendererConfig):
        self.config = config
        if config.vertical_share:
            require_shaper("renderer.vertical_share is set")
        typefaces = load_typefaces(config.fonts, config.words.characters)
        self._scribe = Scribe(WordSource(config.words), typefaces)
        self._photographs = Photographs(config.backgrounds) if config.backgrounds else None
        self._page = Page(
            config.height,
            config.width,
            (config.min_text_height, config.max_text_height),
            config.max_rotation,
            config.max_tilt,
            config.vertical_share,
        )

    def render(self, seed: int, index: int) -> Sample:
        """Image number `index` (0 and up) of the stream `seed` (0 and up), RGB.

        Polygons are clockwise from the start of reading, `MARGIN` pixels around the ink: quads, of bent words
        `2 * POINTS_PER_EDGE` vertices. Those of vertical words begin at their top right corners. There may be none.
        """
        rng = np.random.default_rng((seed, index))
        canvas = self._surface(rng)
        placements = self._layout(rng, canvas)
        polygons = [polygon for placement in placements for polygon in _write(rng, canvas, placement)]
        heights = np.array([ribbon_size(polygon_to_ribbon(polygon)[0])[0] for polygon in polygons])
        ignore = heights < self.config.ignore_below
        if rng.random() < self.config.occluded_share:
            ignore |= covered_shares(occlude(rng, canvas), polygons) > MOST_COVERED
        image, blur = photograph(rng, canvas, self.config.degrade, heights[~ignore])
        return Sample(
            image=image,
            polygons=polygons,
            transcripts=[text for placement in placements for text in placement.lettering.texts],
            ignore=ignore | (blur > READABLE_BLUR * heights),
            name=f"{seed}_{index:06d}",
        )

    def _surface(self, rng: np.random.Generator) -> np.ndarray:
        height, width = self.config.height, self.config.width
        if self._photographs is None or rng.random() < self.config.drawn_share:
            return draw_surface(rng, height, width)
        return self._photographs.crop(rng, height, width)

    def _layout(self, rng: np.random.Generator, canvas: np.ndarray) -> list[Placement]:
        if rng.random() < self.config.empty_share:
            return []
        if self.config.layout == "sheet":
            return lay_sheet(rng, self._page, self._scribe)
        least, most = self.config.words_per_image
        return lay_scene(rng, self._page, self._scribe, int(rng.integers(least, most + 1)), busyness(canvas))


def _write(rng: np.random.Generator, canvas: np.ndarray, placement: Placement) -> np.ndarray:
    """Paint a lettering onto the canvas; the polygons (N, K, 2) of its words, outlines included."""
    style = choose_style(rng, pixels_below(canvas, placement), placement.board, placement.icon)
    paint(canvas, placement, style)
    return placement.polygons(grow=outline_pixels(placement, style))
