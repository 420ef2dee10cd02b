"""Calibration images made from a spotter alone: the ideas of SARDFQ (arXiv 2412.16553) where there are no classes.

Its attention priors become random layouts of words, which the score map is to show, and attention too where the trunk
has any; its several semantics become several words in an image; its soft labels become random transcripts, by CTC,
whose labels may be soft. That is ours. BatchNorm knows the statistics of real images.
"""

from textspot.compression.synthesis.layout import LayoutConfig
from textspot.compression.synthesis.objective import (
    SPOTTER_SYNTHESIS,
    SpotterObjective,
    SpotterObjectiveConfig,
    plan_spotter_synthesis,
)

__all__ = [
    "SPOTTER_SYNTHESIS",
    "LayoutConfig",
    "SpotterObjective",
    "SpotterObjectiveConfig",
    "plan_spotter_synthesis",
]
