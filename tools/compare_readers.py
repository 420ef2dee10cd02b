"""Times the reading heads alone, FCR against CRNN of as many parameters: the claim of Sui et al. 2018 that convolutions
in place of LSTMs are dramatically faster.

    python tools/compare_readers.py --device cpu --num_threads 1

Patches are random numbers; what they hold takes no part in the time. Prints the milliseconds of a batch, the median of
repeats that run both heads in turn, so that whatever else the machine does falls on both.
"""

import argparse
import statistics
import time
from collections.abc import Mapping

import torch

from textspot.models.fcr import PATCH_HEIGHT, ReaderKind, Recognizer, RecognizerConfig
from textspot.models.spotting_network import RECOGNIZERS, ModelConfig
from textspot.runtime.torch_runtime import choose_device

IMAGES, WORDS = (1, 8), (1, 10, 50)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Time the reading heads FCR and CRNN, without the rest of the network."
    )
    parser.add_argument("--device", default="cpu", help="cpu, a GPU such as cuda:0, or auto")
    parser.add_argument("--num_threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--num_classes", type=int, default=95, help="characters and the blank")
    parser.add_argument("--repeats", type=int, default=20, help="measurements of each cell of the table")
    options = parser.parse_args()
    torch.set_num_threads(options.num_threads)
    device, channels, width = choose_device(options.device), ModelConfig().neck.channels, ModelConfig().roi.width
    heads = {
        kind: build(RecognizerConfig(kind=kind), channels, options.num_classes).eval().to(device)
        for kind, build in RECOGNIZERS.items()
    }
    counts = {kind: sum(parameter.numel() for parameter in head.parameters()) for kind, head in heads.items()}
    print(
        f"torch {torch.__version__} on {device}, {options.num_threads} threads; parameters: {counts}; {width} columns"
    )
    print("images  words    fcr ms   crnn ms  crnn / fcr")
    for images in IMAGES:
        for words in WORDS:
            patches = torch.rand(images * words, channels, PATCH_HEIGHT, width, device=device)
            fcr, crnn = median_times(heads, patches, options.repeats).values()
            print(f"{images:6} {words:6} {fcr:9.2f} {crnn:9.2f} {crnn / fcr:11.2f}")


@torch.inference_mode()
def median_times(
    heads: Mapping[ReaderKind, Recognizer], patches: torch.Tensor, repeats: int
) -> dict[ReaderKind, float]:
    """Milliseconds of each head on these patches, after two passes to warm up."""
    times: dict[ReaderKind, list[float]] = {kind: [] for kind in heads}
    for number in range(repeats + 2):
        for kind, head in heads.items():
            started = time.perf_counter()
            head(patches).cpu()  # waits for the device
            if number >= 2:
                times[kind].append(1000 * (time.perf_counter() - started))
    return {kind: statistics.median(values) for kind, values in times.items()}


if __name__ == "__main__":
    main()
