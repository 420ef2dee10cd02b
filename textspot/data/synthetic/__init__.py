"""The scene-text renderer: `Renderer(config).render(seed, index)` is a sample with exact polygons."""

from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.words import WordConfig

__all__ = ["Renderer", "RendererConfig", "WordConfig"]
