"""Colour a lettering and lay it into the image."""

import cv2
import numpy as np

from textspot.data.synthetic.board import cover_with_board, draw_pictogram
from textspot.data.synthetic.layers import Layers, moved
from textspot.data.synthetic.placement import Placement, project, translation
from textspot.data.synthetic.style import LUMINANCE, Style
from textspot.geometry import box_to_quad

SHADOW_OPACITY, GLOW_OPACITY = 0.6, 0.55
DETAIL = 9  # pixels: smaller changes of brightness are the texture of a surface, larger ones its shading


def paint(canvas: np.ndarray, placement: Placement, style: Style) -> None:
    """Lay the coloured lettering onto the canvas (H, W, 3) uint8 RGB, in place; only pixels around it are touched.

    The paint takes on the texture of what is below it, as much as the style says.
    """
    patch = colour_patch(placement, style)
    window, left, top = _window_below(canvas, placement)
    warped = warp(patch, translation(-left, -top) @ placement.homography, window.shape[:2])
    colour, alpha = warped[..., :3], warped[..., 3:] * np.float32(style.opacity)
    if style.texture:
        luminance = window @ LUMINANCE
        detail = (luminance + 16) / (cv2.blur(luminance, (DETAIL, DETAIL)) + 16)
        colour = colour * (1 + np.float32(style.texture) * (detail - 1))[..., None]
    window[...] = np.clip(np.rint(window * (1 - alpha) + colour * np.float32(style.opacity)), 0, 255).astype(np.uint8)


def pixels_below(canvas: np.ndarray, placement: Placement) -> np.ndarray:
    """A grid (16, 48, 3) of the canvas's pixels below the ink of a lettering."""
    left, top, right, bottom = placement.lettering.box
    x, y = np.meshgrid(np.linspace(left, right, 48), np.linspace(top, bottom, 16))
    columns, rows = np.floor(project(placement.homography, np.stack([x, y], axis=-1))).astype(int).transpose(2, 0, 1)
    return canvas[np.clip(rows, 0, canvas.shape[0] - 1), np.clip(columns, 0, canvas.shape[1] - 1)]


def _window_below(canvas: np.ndarray, placement: Placement) -> tuple[np.ndarray, int, int]:
    """The view of the canvas that the patch of a lettering covers, its left and its top."""
    height, width = placement.lettering.ink.shape
    corners = project(placement.homography, box_to_quad(np.array([0, 0, width, height])))
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, None)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    return canvas[top:bottom, left:right], int(left), int(top)


def warp(patch: np.ndarray, homography: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A patch (h, w) or (h, w, C) in an image of (height, width), through a homography that counts from corners."""
    # OpenCV counts from the centre of the first pixel, everything else here from its corner.
    centred = translation(-0.5, -0.5) @ homography @ translation(0.5, 0.5)
    return cv2.warpPerspective(patch, centred, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def colour_patch(placement: Placement, style: Style) -> np.ndarray:
    """The layers of a style over the lettering's ink: (h, w, 4) float32, RGB in [0, 255] times alpha in [0, 1]."""
    lettering = placement.lettering
    capital = lettering.cap_height
    ink = lettering.ink.astype(np.float32) / 255
    layers = Layers(lettering.ink.shape)
    if style.board is not None:
        cover_with_board(layers, lettering.frame, style.board, capital)
    if style.pictogram is not None:
        layers.cover(style.fill, draw_pictogram(style.pictogram, lettering.frame, lettering.margins[0], layers.shape))
    body = ink if style.outline is None else _dilate(ink, outline_pixels(placement, style))
    if style.glow is not None:
        layers.cover(style.glow, GLOW_OPACITY * cv2.GaussianBlur(body, (0, 0), 0.25 * capital))
    if style.shadow is not None:
        shadow = moved(body, *(offset * capital for offset in style.shadow_offset))
        layers.cover(style.shadow, SHADOW_OPACITY * cv2.GaussianBlur(shadow, (0, 0), max(0.5, 0.04 * capital)))
    if style.outline is not None:
        layers.cover(style.outline, body)
    layers.cover(style.fill, ink)
    if style.emboss:  # light from the upper left on letters that stand out
        step = max(1.0, 0.04 * capital)
        layers.lift(style.emboss * ink * (moved(ink, step, step) - moved(ink, -step, -step)))
    return layers.merge()


def outline_pixels(placement: Placement, style: Style) -> int:
    """Width in patch pixels of the outline around the ink, 0 without one."""
    return 0 if style.outline is None else max(1, round(style.outline_width * placement.lettering.cap_height))


def _dilate(ink: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1)))
