"""Stragglers and failures, simulated: how large a part should be, and how often training should save.

  python tools/experiments/scale/simulate.py

Reading: actors take parts from one queue. Images take a lognormal time, some actors are slow throughout, and an actor
that fails loses the part in its hands and starts again. Training: each step waits for the slowest rank, and a failure
goes back to the last checkpoint. Prints tables in Markdown; the numbers are the same every time.
"""

import argparse
import heapq
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Reading:
    """A run that reads images.

    Args:
        num_images: images in all.
        actors: number of actors.
        images_per_part: images of a part.
        image_s: mean seconds of an image.
        spread: standard deviation of the logarithm of an image's time.
        slow_share: share of the actors that are slow.
        slow_factor: how many times as long these take.
        hours_between_failures: mean time to the failure of one actor.
        restart_s: seconds until an actor that failed reads again.
    """

    num_images: int = 1_000_000
    actors: int = 256
    images_per_part: int = 256
    image_s: float = 0.35
    spread: float = 0.5
    slow_share: float = 0.05
    slow_factor: float = 3.0
    hours_between_failures: float = 24.0
    restart_s: float = 60.0


@dataclass(frozen=True)
class Training:
    """A run that trains.

    Args:
        steps: number of steps.
        ranks: number of processes, each on a GPU.
        step_s: mean seconds of a rank's step.
        spread: standard deviation of the logarithm of a rank's step.
        hours_between_failures: mean time to the failure of one rank.
        save_every: steps between two checkpoints.
        save_s: seconds of a checkpoint.
        restart_s: seconds until all ranks train again.
    """

    steps: int = 100_000
    ranks: int = 64
    step_s: float = 0.3
    spread: float = 0.05
    hours_between_failures: float = 1000.0
    save_every: int = 250
    save_s: float = 2.0
    restart_s: float = 90.0


def simulate_reading(run: Reading, rng: np.random.Generator) -> float:
    """The share of the actors' time that images which are kept take: 1 if nobody waits, fails or is slow."""
    speed = np.where(rng.random(run.actors) < run.slow_share, run.slow_factor, 1.0)
    free = [(0.0, actor) for actor in range(run.actors)]
    num_parts = -(-run.num_images // run.images_per_part)
    deviation = run.image_s * np.sqrt(np.expm1(run.spread**2))  # of a lognormal time of this mean
    left = [run.images_per_part] * (num_parts - 1) + [run.num_images - (num_parts - 1) * run.images_per_part]
    end = 0.0
    while left:
        now, actor = heapq.heappop(free)
        size = left.pop()
        takes = max(0.0, rng.normal(size * run.image_s, np.sqrt(size) * deviation)) * speed[actor]
        fails = rng.exponential(3600 * run.hours_between_failures)
        if fails < takes:
            left.append(size)
            heapq.heappush(free, (now + fails + run.restart_s, actor))
            continue
        heapq.heappush(free, (now + takes, actor))
        end = max(end, now + takes)
    return run.num_images * run.image_s / (end * run.actors)


def simulate_training(run: Training, rng: np.random.Generator) -> float:
    """The share of the time that steps of mean length take which are kept: 1 if nobody waits, fails or saves."""
    scale = np.exp(-(run.spread**2) / 2) * run.step_s
    now, done, kept = 0.0, 0, 0
    failure = rng.exponential(3600 * run.hours_between_failures / run.ranks)
    while done < run.steps:
        now += scale * np.exp(run.spread * rng.standard_normal(run.ranks).max())
        done += 1
        if done % run.save_every == 0:
            now, kept = now + run.save_s, done
        if now > failure:
            now, done = now + run.restart_s, kept
            failure = now + rng.exponential(3600 * run.hours_between_failures / run.ranks)
    return run.steps * run.step_s / now


def describe(reading: Reading, training: Training, seed: int) -> str:
    """Both tables."""
    lines = ["| images per part | share of the actors' time that counts | without slow actors |", "|---|---|---|"]
    for size in (16, 64, 256, 1024, 4096):
        runs = [replace(reading, images_per_part=size), replace(reading, images_per_part=size, slow_share=0.0)]
        shares = [simulate_reading(run, np.random.default_rng(seed)) for run in runs]
        lines.append(f"| {size} | {shares[0]:.3f} | {shares[1]:.3f} |")
    lines += ["", "| ranks | saved every | share of the time that counts |", "|---|---|---|"]
    for ranks in (8, 64):
        for every in (50, 250, 1000, 4000):
            run = replace(training, ranks=ranks, save_every=every)
            lines.append(f"| {ranks} | {every} steps | {simulate_training(run, np.random.default_rng(seed)):.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    for name, value in vars(Reading()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="of reading")
    given = vars(parser.parse_args())
    seed = given.pop("seed")
    print(describe(Reading(**given), Training(), seed))


if __name__ == "__main__":
    main()
