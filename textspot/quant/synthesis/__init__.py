"""Calibration data from the network alone: SARDFQ (arXiv 2412.16553) and the baselines it is compared with.

space = ImageSpace((224, 224))
images = plan_synthesis(network, space, OBJECTIVES["sardfq"], SynthesisConfig(seed=1)).run(track)
"""

from textspot.quant.synthesis.classifier import OBJECTIVES, ClassifierObjective, ObjectiveConfig, plan_synthesis
from textspot.quant.synthesis.image_space import ImageSpace
from textspot.quant.synthesis.synthesis import Synthesis, SynthesisConfig

__all__ = [
    "OBJECTIVES",
    "ClassifierObjective",
    "ImageSpace",
    "ObjectiveConfig",
    "Synthesis",
    "SynthesisConfig",
    "plan_synthesis",
]
