"""An experiment on data-free quantisation: a small ViT that tells synthetic words apart, calibrated on images from
every source.

Whatever is done lies in a folder, and the same call continues.
"""

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.models import VisionTransformer

from textspot.atomic_file import write_atomically
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.progress import Track
from textspot.quant.synthesis import OBJECTIVES, ImageSpace, SynthesisConfig, plan_synthesis
from textspot.quant.synthesis.synthesis import Precision
from textspot.quant.transformer import TransformerConfig, quantize_transformer

SIDE, PATCH = 64, 8  # pixels
SPACE = ImageSpace((SIDE, SIDE))
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without I, O, 1 and 0, which some typefaces write alike
CLASSES_FILE = "classes.txt"
CONTEXT = 1.2  # side of a crop, in lengths of its word
TRAIN_SEED = 1
SHIFT = 4  # pixels that training images are moved at most
BATCH = 128
TEST_BATCH = {"cpu": 50, "cuda": 1000}  # 50 fit a CPU's cache
SAVE_EVERY = 50  # steps
SOURCES = {  # what calibrates, and its top-1 of DeiT-S on ImageNet at W4A4 in SARDFQ's paper
    "noise": 20.89,
    "psaq": 58.28,
    "labels": 51.73,
    "attention": 60.26,
    "patches": 50.75,
    "soft": 52.02,
    "attention+patches": 61.58,
    "attention+soft": 60.51,
    "patches+soft": 56.08,
    "sardfq": 62.29,
    "real": None,
}


@dataclass(frozen=True)
class Experiment:
    """The experiment; all of it but seeds, sources and bits must stay the same when it is continued.

    Args:
        num_classes: words to tell apart.
        num_train: training images.
        num_test: test images, of other drawings: many, as calibrations differ by tenths of a point.
        width: channels of the ViT.
        depth: its blocks.
        heads: attention heads of each block.
        train_steps: steps of AdamW, 128 images each.
        learning_rate: peak learning rate of training.
        synthesis_steps: steps of each of the two rounds in which images are made.
        num_images: images to calibrate with.
        attention_weight: weight of attention priors alignment. The paper searches it between 1 and 1e5 for each
            network; this is the best of 10, 100, 1e3 and 1e4 for this one, on images of `test_seed` 2.
        precision: precision of the passes in which images are made; `bf16` is faster on CPUs that compute it,
            slower on others.
        observer: how the range of an activation is found.
        end_bits: bits of the first and the last layer; null, as in the others.
        reconstruction: tune block by block after calibration.
        test_seed: seed of the test images; not 1, which is that of the training images.
        seeds: seeds of the calibration images.
        sources: what calibrates.
        bits: bits of weights and activations.
    """

    num_classes: int = 128
    num_train: int = 40000
    num_test: int = 16000
    width: int = 192
    depth: int = 6
    heads: int = 3
    train_steps: int = 3000
    learning_rate: float = 5e-4
    synthesis_steps: int = 500
    num_images: int = 32
    attention_weight: float = 10.0
    precision: Precision = "bf16"
    observer: str = "mse"
    end_bits: int | None = None
    reconstruction: bool = True
    test_seed: int = 0
    seeds: tuple[int, ...] = (0, 1, 2)
    sources: tuple[str, ...] = tuple(SOURCES)
    bits: tuple[str, ...] = ("W8A8", "W6A6", "W4A8", "W4A4")

    def __post_init__(self) -> None:
        unknown = [source for source in self.sources if source not in SOURCES]
        if self.test_seed == TRAIN_SEED:
            raise ValueError(f"test_seed is {TRAIN_SEED}, that of the training images")
        if unknown:
            raise ValueError(f"no source is called {', '.join(unknown)}; there are {', '.join(SOURCES)}")

    def fixed(self) -> dict[str, Any]:
        """What must stay the same."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("seeds", "sources", "bits")}


MINIATURE = Experiment(12, 600, 250, 48, 3, 3, 80, 2e-3, 10, 8, seeds=(0,), bits=("W8A8", "W4A4"))


def draw_words(experiment: Experiment, folder: Path, show: Track) -> dict[str, Tensor]:
    """Images (N, 64, 64, 3) uint8 RGB and labels (N,), for training and for testing, rendered once."""
    file = folder / "words.pt"
    if not file.exists():
        codes = [first + second for first in ALPHABET for second in ALPHABET]
        classes = sorted(np.random.default_rng(0).choice(codes, experiment.num_classes, replace=False).tolist())
        (folder / CLASSES_FILE).write_text("\n".join(classes) + "\n", encoding="utf-8")
        only_classes = {"sign_share": 0.0, "invented_share": 0.0, "number_share": 0.0, "min_length": 2, "max_length": 2}
        words = WordConfig(str(folder / CLASSES_FILE), case="upper", characters=ALPHABET, **only_classes)  # type: ignore[arg-type]
        sheets = {"layout": "sheet", "empty_share": 0.0, "min_text_height": 14.0, "max_text_height": 40.0}
        look = {"max_rotation": 0.2, "max_tilt": 0.3, "occluded_share": 0.0, "degrade": 0.5}
        renderer = Renderer(RendererConfig(384, 384, words=words, **sheets, **look))  # type: ignore[arg-type]
        drawn = {}
        parts = (("test", experiment.num_test, experiment.test_seed), ("train", experiment.num_train, TRAIN_SEED))
        for part, count, seed in parts:
            crops = _crops(renderer, seed, {word: number for number, word in enumerate(classes)})
            pairs = [next(crops) for _ in show(range(count), f"rendering {part} images")]
            drawn[f"{part}_images"] = torch.from_numpy(np.stack([image for image, _ in pairs]))
            drawn[f"{part}_labels"] = torch.tensor([label for _, label in pairs])
        write_atomically(file, partial(torch.save, drawn))
    return torch.load(file, weights_only=True)


def _crops(renderer: Renderer, seed: int, classes: dict[str, int]) -> Iterator[tuple[np.ndarray, int]]:
    """Words cut out of sheets, without end."""
    number = 0
    while True:
        sheet = renderer.render(seed, number)
        number += 1
        for polygon, text, ignore in zip(sheet.polygons, sheet.transcripts, sheet.ignore, strict=True):
            if text in classes and not ignore:
                low, high = polygon.min(axis=0), polygon.max(axis=0)
                scale = SIDE / (CONTEXT * (high - low).max())
                place = np.hstack([scale * np.eye(2), (SIDE / 2 - scale * (low + high) / 2)[:, None]])
                crop = cv2.warpAffine(sheet.image, place, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
                yield crop, classes[text]


def normalize(images: Tensor) -> Tensor:
    """(N, 64, 64, 3) uint8 to (N, 3, 64, 64) as the ViT takes them."""
    return SPACE.from_pixels(images.permute(0, 3, 1, 2) / 255)


def read_classes(folder: Path) -> list[str]:
    """The words that are told apart, by their labels."""
    return (folder / CLASSES_FILE).read_text(encoding="utf-8").split()


def build_classifier(experiment: Experiment) -> VisionTransformer:
    """torchvision's ViT, small."""
    width = experiment.width
    return VisionTransformer(
        SIDE, PATCH, experiment.depth, experiment.heads, width, 4 * width, num_classes=experiment.num_classes
    )


def train_classifier(
    experiment: Experiment, folder: Path, words: dict[str, Tensor], show: Track, device: torch.device
) -> nn.Module:
    """The ViT in evaluation mode, trained once; training continues where it was broken off."""
    torch.manual_seed(0)
    network = build_classifier(experiment)
    head, network.heads = network.heads, nn.Identity()
    speller = nn.Linear(experiment.width, 2 * len(ALPHABET))  # for training only: by words alone it hardly ever begins
    spelled = torch.tensor([[ALPHABET.index(character) for character in word] for word in read_classes(folder)])
    spelled = spelled.to(device)
    trained = nn.ModuleList([network, head, speller]).to(device)
    optimizer = torch.optim.AdamW(trained.parameters(), experiment.learning_rate, (0.9, 0.98), weight_decay=0.05)
    steps, warmup = experiment.train_steps, experiment.train_steps // 20 + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, experiment.learning_rate, total_steps=steps + 1, pct_start=warmup / steps, cycle_momentum=False
    )
    parts: dict[str, Any] = {"trained": trained, "optimizer": optimizer, "schedule": schedule}
    file, first = folder / "classifier.pt", 0
    if file.exists():
        state = torch.load(file, device, weights_only=True)
        first = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    for step in show(range(first, steps), "training the classifier"):
        chance = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(words["train_labels"]), (BATCH,), generator=chance)
        down, across = (int(n) for n in torch.randint(-SHIFT, SHIFT + 1, (2,), generator=chance))
        images = normalize(words["train_images"][chosen].to(device)).roll((down, across), dims=(2, 3))
        labels = words["train_labels"][chosen].to(device)
        with torch.autocast(device.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):  # on a CPU 1.5 times as fast
            features = network(images)
            loss = nn.functional.cross_entropy(head(features), labels, label_smoothing=0.1)
            spelling = speller(features).unflatten(1, (2, len(ALPHABET))).transpose(1, 2)
            loss = loss + 2 * nn.functional.cross_entropy(spelling, spelled[labels])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state = {"step": step + 1} | {name: part.state_dict() for name, part in parts.items()}
            write_atomically(file, partial(torch.save, state))
            print(f"step {step + 1}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    network.heads = head
    return network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network: nn.Module, words: dict[str, Tensor]) -> float:
    """Of the test images, in percent."""
    device = next(network.parameters()).device
    found = [
        network(normalize(images.to(device))).argmax(dim=1)
        for images in words["test_images"].split(TEST_BATCH[device.type])
    ]
    return 100 * (torch.cat(found).cpu() == words["test_labels"]).double().mean().item()


def calibration_images(
    experiment: Experiment,
    folder: Path,
    network: nn.Module,
    words: dict[str, Tensor],
    source: str,
    seed: int,
    show: Track,
) -> Tensor:
    """Normalised images (B, 3, 64, 64) of a source, made once; making them continues where it was broken off."""
    if source == "real":
        order = torch.randperm(len(words["train_labels"]), generator=torch.Generator().manual_seed(seed))
        return normalize(words["train_images"][order[: experiment.num_images]]).to(next(network.parameters()).device)
    objective = OBJECTIVES[source]
    if objective.attention:
        objective = dataclasses.replace(objective, attention=experiment.attention_weight)
    warmup = min(SynthesisConfig.warmup_steps, experiment.synthesis_steps // 5)
    config = SynthesisConfig(
        experiment.num_images,
        seed,
        experiment.synthesis_steps,
        flip=False,  # mirrored characters are none
        warmup_steps=warmup,
        precision=experiment.precision,
    )
    synthesis = plan_synthesis(network, SPACE, objective, config)
    file = folder / "images" / f"{source}_{seed}.pt"
    if file.exists():
        synthesis.load_state_dict(torch.load(file, weights_only=True))
    left = synthesis.step < config.total_steps
    images = synthesis.run(
        (lambda items, _: show(items, f"making images: {source}, seed {seed}")) if left else lambda items, _: items,
        lambda state: write_atomically(file, partial(torch.save, state)),
        SAVE_EVERY,
    )
    if left:
        built: Any = synthesis.objective
        maps = built.compare_attention(images) if "attention" in built.weights else []
        show_images(images, maps, file.with_suffix(".png"))
        for block, (correlation, distance) in enumerate(compare_maps(maps)):
            print(
                f"{source}, seed {seed}, block {block + 1} of {len(maps)}: priors and attention correlate by "
                f"{correlation:.2f}; squared distance {distance:.2f} of that of uniform attention",
                file=sys.stderr,
            )
    return images


def show_images(images: Tensor, maps: Sequence[tuple[Tensor, Tensor]], file: Path) -> None:
    """A picture: a column for each of the first images, and below it, where there are priors, those of every head of
    the last block, each above the attention it has."""
    shown = images[:8].cpu()
    rows = [(255 * SPACE.to_pixels(shown)).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()]
    side = SIDE // PATCH
    for per_head in zip(*(values[: len(shown)].unbind(dim=1) for values in maps[-1]), strict=True) if maps else ():
        for values in per_head:
            planes = values[:, 0].cpu().unflatten(1, (side, side))
            planes = (255 * planes / planes.amax(dim=(1, 2), keepdim=True)).to(torch.uint8)
            wide = planes.repeat_interleave(PATCH, dim=1).repeat_interleave(PATCH, dim=2)
            rows.append(wide[..., None].expand(-1, -1, -1, 3).numpy())
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), picture[..., ::-1])


def compare_maps(maps: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[float, float]]:
    """Of each block, how priors and attention correlate over the tokens, the mean over images and heads; and their
    squared distance, as a share of that between the priors and uniform attention."""
    found = []
    for prior, attention in maps:
        rows = torch.stack([prior.flatten(0, 2), attention.flatten(0, 2)], dim=1)
        correlation = torch.stack([torch.corrcoef(pair)[0, 1] for pair in rows]).mean()
        distance = (prior - attention).square().mean() / (prior - 1 / prior.shape[-1]).square().mean()
        found.append((correlation.item(), distance.item()))
    return found


def measure(experiment: Experiment, folder: Path, show: Track, device: torch.device) -> list[dict[str, Any]]:
    """The accuracy of every cell, one by one, and that of the float network, which is the first."""
    words = draw_words(experiment, folder, show)
    network = train_classifier(experiment, folder, words, show, device)
    file = folder / "cells.jsonl"
    done = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    if not done:
        done = [_record(file, {"source": "float", "seed": 0, "bits": "", "accuracy": accuracy(network, words)})]
    for source in experiment.sources:
        for seed in experiment.seeds:
            there = {cell["bits"] for cell in done if (cell["source"], cell["seed"]) == (source, seed)}
            missing = [bits for bits in experiment.bits if bits not in there]
            if not missing:
                continue
            images = calibration_images(experiment, folder, network, words, source, seed, show)
            for bits in missing:
                began = time.perf_counter()
                found = accuracy(quantize_transformer(network, images, _config(experiment, bits)), words)
                cell = {"source": source, "seed": seed, "bits": bits, "accuracy": found}
                done.append(_record(file, cell | {"seconds": round(time.perf_counter() - began, 1)}))
    wanted = (*experiment.sources, "float")
    return [cell for cell in done if cell["source"] in wanted and cell["bits"] in (*experiment.bits, "")]


def _config(experiment: Experiment, bits: str) -> TransformerConfig:
    weight_bits, activation_bits = (int(number) for number in bits.removeprefix("W").split("A"))
    config = TransformerConfig(weight_bits, activation_bits, experiment.end_bits, experiment.observer)  # type: ignore[arg-type]
    return config if experiment.reconstruction else dataclasses.replace(config, reconstruction=None)


def _record(file: Path, cell: dict[str, Any]) -> dict[str, Any]:
    with open(file, "a", encoding="utf-8") as lines:
        lines.write(json.dumps(cell) + "\n")
    print(cell, file=sys.stderr, flush=True)
    return cell


def format_table(cells: Sequence[dict[str, Any]], bits: Sequence[str]) -> str:
    """Markdown: the mean over the seeds and their standard deviation."""
    lines = [f"float: {cells[0]['accuracy']:.2f} %", ""]
    lines += [f"| calibrated with | {' | '.join(bits)} | DeiT-S W4A4 in the paper |", "|---" * (len(bits) + 2) + "|"]
    for source, published in SOURCES.items():
        columns = []
        for each in bits:
            found = [cell["accuracy"] for cell in cells if (cell["source"], cell["bits"]) == (source, each)]
            spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
            columns.append(f"{statistics.mean(found):.2f}{spread}" if found else "")
        if any(columns):
            lines.append(f"| {source} | {' | '.join(columns)} | {'' if published is None else published} |")
    return "\n".join(lines)


def check_folder(experiment: Experiment, folder: Path) -> None:
    """Make the folder; one that holds another experiment is a ValueError."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    file = folder / "experiment.json"
    fixed = json.loads(json.dumps(experiment.fixed()))
    if not file.exists():
        file.write_text(json.dumps(fixed, indent=1) + "\n", encoding="utf-8")
    there = json.loads(file.read_text(encoding="utf-8"))
    begun = {name: there.get(name, "unknown") for name in fixed}
    different = [f"{name} {begun[name]}, not {value}" for name, value in fixed.items() if begun[name] != value]
    if different:
        raise ValueError(f"{folder} holds another experiment: {'; '.join(different)}. Choose another --out")
