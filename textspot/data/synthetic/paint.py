"""Colour a lettering and lay it into the image."""

import cv2
import numpy as np

from textspot.data.synthetic.placement import Placement, project, translation
from textspot.data.synthetic.style import Style
from textspot.geometry import box_to_quad

SHADOW_OPACITY = 0.6


def paint(canvas: np.ndarray, placement: Placement, style: Style) -> None:
    """Lay the coloured lettering onto the canvas (H, W, 3) uint8 RGB, in place; only pixels around it are touched."""
    patch = colour_patch(placement, style)
    window, left, top = _window_below(canvas, placement)
    warped = warp(patch, translation(-left, -top) @ placement.homography, window.shape[:2])
    window[...] = np.rint(window * (1 - warped[..., 3:]) + warped[..., :3]).astype(np.uint8)


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
    planes = [np.zeros(ink.shape, np.float32) for _ in range(4)]
    if style.plate is not None:
        _cover(planes, style.plate, _plate(lettering.box, ink.shape, style.plate_padding * capital))
    body = ink if style.outline is None else _dilate(ink, outline_pixels(placement, style))
    if style.shadow is not None:
        dx, dy = (offset * capital for offset in style.shadow_offset)
        moved = cv2.warpAffine(body, np.array([[1, 0, dx], [0, 1, dy]]), body.shape[::-1])
        _cover(planes, style.shadow, SHADOW_OPACITY * cv2.GaussianBlur(moved, (0, 0), max(0.5, 0.04 * capital)))
    if style.outline is not None:
        _cover(planes, style.outline, body)
    _cover(planes, style.fill, ink)
    return cv2.merge(planes)


def outline_pixels(placement: Placement, style: Style) -> int:
    """Width in patch pixels of the outline around the ink, 0 without one."""
    return 0 if style.outline is None else max(1, round(style.outline_width * placement.lettering.cap_height))


def _cover(planes: list[np.ndarray], colour: np.ndarray, alpha: np.ndarray) -> None:
    for plane, value in zip(planes, (*colour, 1), strict=True):
        plane += alpha * (np.float32(value) - plane)


def _dilate(ink: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1)))


def _plate(box: np.ndarray, shape: tuple[int, ...], padding: float) -> np.ndarray:
    alpha = np.zeros(shape, np.float32)
    left, top, right, bottom = (round(v) for v in box + np.array([-1, -1, 1, 1]) * padding)
    alpha[top:bottom, left:right] = 1
    return alpha
