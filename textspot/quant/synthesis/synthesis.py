"""Images made from a network alone: noise, moved by Adam until an objective is content.

The loop knows no objective, and every image takes its own way: an objective gives sums over the images, so how many
pass at a time does not matter. Legend: B images, H W pixels.
"""

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from textspot.progress import Track, untracked
from textspot.quant.synthesis.image_space import ImageSpace
from textspot.ranges import NonNegativeInt, PositiveInt, check_ranges
from textspot.schedule import warm_up_then_cosine

Precision = Literal["float32", "bf16"]
SEEDS_PER_RUN = 1_000_003  # more than any run has steps, and a prime


@dataclass(frozen=True)
class SynthesisConfig:
    """How noise becomes images.

    SARDFQ (arXiv 2412.16553) gives the number of images, that Adam makes 1000 iterations, and no more. The others are
    those of the public code of PSAQ-ViT (arXiv 2203.02250), on which it builds: two rounds, each of which starts anew.

    Args:
        num_images: how many.
        seed: seed of everything random.
        steps: steps of Adam in each round.
        roll: a round for each: how far, as a share of a side, images are rolled at random before the network sees them,
            so that nothing depends on where its patches begin.
        flip: images are mirrored at random, too. Not for text: mirrored characters are none.
        learning_rate: at its peak, in normalised units (0.25 for Swin).
        warmup_steps: the learning rate rises linearly over these, then falls to 0 as a cosine.
        betas: betas of Adam.
        images_per_pass: less memory, and the same images up to rounding.
        precision: `bf16` computes the network in bfloat16, and the terms, and the images, in float32: on CPUs that have
            it, two to three times as fast.
    """

    num_images: PositiveInt = 32
    seed: NonNegativeInt = 0
    steps: PositiveInt = 500
    roll: tuple[float, ...] = (15 / 224, 30 / 224)
    flip: bool = True
    learning_rate: float = 0.2
    warmup_steps: NonNegativeInt = 100
    betas: tuple[float, float] = (0.5, 0.9)
    images_per_pass: PositiveInt = 32
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_ranges(self, "synthesis.")
        if not self.roll or not all(0 <= share < 1 for share in self.roll):
            raise ValueError(f"synthesis.roll is {self.roll}, expected a share in [0, 1) for each round, and one round")
        if self.learning_rate <= 0:
            raise ValueError(f"synthesis.learning_rate is {self.learning_rate}, expected a number above 0")

    def autocast(self, device: torch.device) -> torch.autocast:
        """Around a pass of the network."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def total_steps(self) -> int:
        """Of all rounds."""
        return self.steps * len(self.roll)

    def learning_rate_at(self, step: int) -> float:
        """Of step number `step` of a round, from 0."""
        return self.learning_rate * warm_up_then_cosine(step, self.steps, self.warmup_steps)


def generator_of(seed: int, drawn: str) -> torch.Generator:
    """A generator for each thing that is drawn: objectives that differ in one of them share the others, if the seed is
    the same."""
    return torch.Generator().manual_seed(zlib.crc32(f"{drawn} {seed}".encode()))


@dataclass(frozen=True)
class Jitter:
    """What is done to the images of a step before the network sees them: they are rolled, then mirrored."""

    down: int = 0
    right: int = 0
    flip: bool = False

    @classmethod
    def draw(cls, size: tuple[int, int], roll: float, flip: bool, generator: torch.Generator) -> "Jitter":
        """At random, at most `roll` of each side."""
        down, right = (
            int(torch.randint(-int(roll * side), int(roll * side) + 1, (), generator=generator)) for side in size
        )
        mirrored = bool(torch.rand((), generator=generator) < 0.5)
        return cls(down, right, flip and mirrored)

    def apply(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape."""
        images = images.roll((self.down, self.right), dims=(2, 3))
        return images.flip(3) if self.flip else images

    def origin(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Where points (..., 2) of the images that the network sees, (x, y) in shares of the sides of (height, width),
        were before."""
        x, y = points.unbind(dim=-1)
        x = 1 - x if self.flip else x
        return torch.stack([(x - self.right / size[1]) % 1, (y - self.down / size[0]) % 1], dim=-1)


class Objective(Protocol):
    """What images are to become.

    `config` is a dataclass: objectives of one config are the same, and a run resumes with no other. `weights` says how
    much each term counts; a term of weight 0 is not computed. A call gets images (B, 3, H, W), which of all images they
    are, and the jitter of the step, and gives each term as a sum over the images.
    """

    @property
    def config(self) -> Any: ...

    @property
    def weights(self) -> Mapping[str, float]: ...

    def __call__(self, images: Tensor, numbers: range, jitter: Jitter) -> dict[str, Tensor]: ...


class Synthesis:
    """A run, from noise to images; its state can be saved and loaded at any step.

    Two runs of one objective, space and config give the same images, whether or not one was broken off and continued.
    With all weights at 0 the images stay the noise they were.
    """

    def __init__(self, objective: Objective, space: ImageSpace, config: SynthesisConfig, device: str = "cpu"):
        self.objective, self.space, self.config = objective, space, config
        noise = space.draw_noise(config.num_images, torch.Generator().manual_seed(config.seed))
        self.images = noise.to(device).requires_grad_()
        self.step = 0
        self.history: list[dict[str, float]] = []  # of every step, each term's mean over the images
        self._optimizer = self._start_round()

    def run(
        self,
        track: Track = untracked,
        save: Callable[[dict[str, Any]], object] = lambda _: None,
        save_every: int = 100,
    ) -> Tensor:
        """The images (B, 3, H, W), normalised, after all steps that are left. `save` gets the state after every
        `save_every` steps and at the end."""
        for _ in track(range(self.step, self.config.total_steps), "making images"):
            self._take_step()
            if self.step % save_every == 0 or self.step == self.config.total_steps:
                save(self.state_dict())
        return self.images.detach().clone()

    def state_dict(self) -> dict[str, Any]:
        """All that continuing needs, as tensors and plain values."""
        return {
            "settings": self._settings(),
            "step": self.step,
            "images": self.images.detach().clone(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "history": list(self.history),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; one of another objective or config is a `ValueError`."""
        begun = state.get("settings", {})
        other = [name for name, value in self._settings().items() if begun.get(name) != value]
        if other:
            raise ValueError(
                f"the images were begun with other {', '.join(other)}: continue with the same settings, or begin anew"
            )
        self.step, self.history = state["step"], list(state["history"])
        with torch.no_grad():
            self.images.copy_(state["images"])
        self._optimizer = self._start_round()
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def _settings(self) -> dict[str, Any]:
        """As `torch.load(weights_only=True)` gives it back. How many images pass at a time may change."""
        settings = {"size": self.space.size, **asdict(self.objective.config), **asdict(self.config)}
        return {name: value for name, value in settings.items() if name != "images_per_pass"}

    def _start_round(self) -> torch.optim.Optimizer:
        return torch.optim.Adam([self.images], self.config.learning_rate, self.config.betas)

    def _take_step(self) -> None:
        number, step = divmod(self.step, self.config.steps)
        if step == 0:
            self._optimizer = self._start_round()
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(step)
        chance = torch.Generator().manual_seed(self.config.seed * SEEDS_PER_RUN + self.step)
        jitter = Jitter.draw(self.space.size, self.config.roll[number], self.config.flip, chance)
        self._optimizer.zero_grad()
        self.history.append(self._backward(jitter))
        self._optimizer.step()
        with torch.no_grad():
            self.images.copy_(self.space.clip(self.images))
        self.step += 1

    def _backward(self, jitter: Jitter) -> dict[str, float]:
        """Add the gradients of all images; each term's mean over them."""
        sums: dict[str, float] = {}
        count = len(self.images)
        for start in range(0, count, self.config.images_per_pass):
            numbers = range(start, min(count, start + self.config.images_per_pass))
            terms = self.objective(self.images[numbers.start : numbers.stop], numbers, jitter)
            if terms:
                torch.stack([self.objective.weights[name] * value for name, value in terms.items()]).sum().backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item()
        return {name: value / count for name, value in sums.items()}
