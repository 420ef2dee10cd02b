"""Where the time goes: the stages of each system as one bar."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.benchmark.stages import STAGES

COLOURS = (  # by stage; neighbours differ for those who see no red or green too
    *("#4477aa", "#ee6677", "#999999", "#228833", "#ccbb44", "#994455", "#66ccee", "#aa3377", "#bbbbbb", "#228833"),
    *("#ee8866", "#222255"),
)
WIDTH, BAR, GAP, MARGIN, TEXT = 960, 28, 26, 20, 14  # pixels


def draw_stages(report: dict[str, Any]) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB: for each system a bar of the mean milliseconds of its stages, all to one scale,
    and a legend."""
    systems = report["systems"]
    means = {
        name: {stage: one["times"][stage]["mean_ms"] for stage in STAGES if stage in one["times"]}
        for name, one in systems.items()
    }
    used = [stage for stage in STAGES if any(stage in of_system for of_system in means.values())]
    height = 2 * MARGIN + len(systems) * (BAR + GAP) + (TEXT + 8) * -(-len(used) // 4)
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    scale = (WIDTH - 2 * MARGIN) / max(1e-9, *(sum(of_system.values()) for of_system in means.values()))
    top = MARGIN
    for name, of_system in means.items():
        draw.text((MARGIN, top), f"{name}: {sum(of_system.values()):.1f} ms", "black", font)
        left = float(MARGIN)
        for stage, mean_ms in of_system.items():
            right = left + mean_ms * scale
            draw.rectangle((left, top + GAP - 6, right, top + GAP - 6 + BAR), COLOURS[STAGES.index(stage)])
            left = right
        top += BAR + GAP
    for number, stage in enumerate(used):
        left, line = MARGIN + number % 4 * (WIDTH - 2 * MARGIN) // 4, top + MARGIN // 2 + number // 4 * (TEXT + 8)
        draw.rectangle((left, line, left + TEXT, line + TEXT), COLOURS[STAGES.index(stage)])
        draw.text((left + TEXT + 6, line - 1), stage, "black", font)
    return np.asarray(picture)
