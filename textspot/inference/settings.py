"""How images are read, as plain values: what all commands that read images offer alike."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

import textspot
from textspot.inference.views import QualityName
from textspot.runtime.build import RuntimeName
from textspot.runtime.protocol import Precision

if TYPE_CHECKING:
    from textspot.inference.spotter import Spotter


@dataclass(frozen=True)
class ReadingSettings:
    """How images are read.

    Args:
        weights: name of bundled weights, a model.safetensors, a run's folder (then its last weights), an .onnx file
            that textspot export wrote, or hf://owner/name of the Hugging Face hub.
        threshold: minimum score of a word; the default is the one stored in the weights.
        language: language, whose words are preferred where the recogniser is unsure: one that ships, such as german;
            auto, which finds the language of each image; none; or a file with one word per line. The default is the
            one stored in the weights.
        runtime: program that runs the network: pytorch for weights, onnxruntime or openvino for an .onnx file. auto:
            pytorch for weights and onnxruntime for an .onnx file; for bundled weights, the fastest installed one.
        device: device of the network: auto (a GPU if there is one), cpu, or cuda:0.
        precision: precision of the convolutions: float32; bf16 in PyTorch and OpenVINO; float16 in PyTorch on a GPU.
        num_threads: number of CPU threads for each image; 0 takes the CPUs that this process may use.
        quality: size at which an image is read. fast: 0.75 of the usual size. best: the usual size and 1.5 times the
            usual size, with the results merged.
        max_regions: maximum number of words to read per image or tile; more give a warning.
    """

    weights: str = "spotter-s"
    threshold: ClosedUnitInterval | None = None
    language: str | None = None
    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "float32"
    num_threads: NonNegativeInt = 0
    quality: QualityName = "default"
    max_regions: PositiveInt = 1000

    def load(self, compile: bool = False) -> "Spotter":
        """The spotter of these settings; see `textspot.load`."""
        return textspot.load(
            self.weights,
            self.device,
            runtime=self.runtime,
            precision=self.precision,
            compile=compile,
            num_threads=self.num_threads,
            max_regions=self.max_regions,
            quality=self.quality,
            threshold=self.threshold,
            language=self.language,
        )


READING = {"how images are read": tuple(one.name for one in fields(ReadingSettings))}  # a group of a command's options
