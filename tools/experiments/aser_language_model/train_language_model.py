"""Train a small causal language model, for `measure_language_model.py`.

    cd tools/experiments/aser_language_model
    python train_language_model.py --corpus.folder TEXTS --out runs/plain

Writes a folder that Hugging Face's `from_pretrained` reads. Run the same command again to continue.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hugging_face import import_transformers, load_language_model
from jsonargparse import ArgumentParser, Namespace
from outlier_channels import missing_outliers, norm_gains
from text_corpus import Corpus, random_windows, spread_windows, tokenize
from torch import Tensor, nn

from textspot.atomic_file import write_atomically, write_text
from textspot.cli.command import run_command, say

END = "<|end|>"
STATE, TOKENS = "training.pt", "tokens.pt"
HELD_OUT_WINDOWS = 32  # looked at while training


@dataclass(frozen=True)
class Training:
    """A Llama of few parameters and how it is trained.

    Args:
        vocabulary: number of byte pairs.
        width: channels.
        depth: blocks.
        heads: attention heads of a block.
        inner: channels within a block's SwiGLU.
        context: tokens of a window.
        batch: windows of a step.
        steps: steps of AdamW.
        learning_rate: learning rate after the warm-up of 100 steps. In the last fifth of the steps it falls to zero. As
            it is constant before that, a run may be continued with other `steps`.
        outlier_ratio: how many times the median the largest gains of each norm have to become; 1 asks for nothing.
        outlier_weight: weight of the term that makes them grow.
        gain_rate: learning rate of the gains, in those of the other parameters.
        seed: seed of weights and windows.
        save_every: steps between two saves.
    """

    vocabulary: int = 2048
    width: int = 256
    depth: int = 4
    heads: int = 4
    inner: int = 688
    context: int = 256
    batch: int = 16
    steps: int = 1200
    learning_rate: float = 2e-3
    outlier_ratio: float = 1.0
    outlier_weight: float = 1.0
    gain_rate: float = 1.0
    seed: int = 0
    save_every: int = 50

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0, as a share of the highest."""
        return min(1.0, (step + 1) / 100, (self.steps - step) / max(1, self.steps // 5))


def build_tokenizer(corpus: Corpus, vocabulary: int) -> Any:
    """Byte pairs of the documents to train on, as GPT-2 has them."""
    transformers = import_transformers()
    from tokenizers import ByteLevelBPETokenizer  # a dependency of transformers

    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator(corpus.documents(held_out=False), vocab_size=vocabulary, special_tokens=[END])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=pairs._tokenizer, eos_token=END)


def build_network(training: Training) -> Any:
    """A Llama with tied embeddings, at random."""
    transformers = import_transformers()
    torch.manual_seed(training.seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=training.vocabulary,
            hidden_size=training.width,
            intermediate_size=training.inner,
            num_hidden_layers=training.depth,
            num_attention_heads=training.heads,
            max_position_embeddings=training.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
        )
    )


def build_optimizer(network: nn.Module, training: Training) -> torch.optim.AdamW:
    """Weights decay, gains do not."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    gains = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": 0.1, "factor": 1.0},
        {"params": gains, "weight_decay": 0.0, "factor": training.gain_rate},
    ]
    return torch.optim.AdamW(groups, training.learning_rate, betas=(0.9, 0.95))


def loss_of(network: Any, windows: Tensor) -> Tensor:
    """Mean negative log-likelihood of a token, computed in bf16."""
    with torch.autocast("cpu", torch.bfloat16):
        return network(input_ids=windows, labels=windows, use_cache=False).loss


def train_step(network: Any, optimizer: torch.optim.AdamW, windows: Tensor, training: Training, step: int) -> float:
    """One step; the loss without the term that provokes outliers."""
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * training.rate(step) * group["factor"]
    loss = loss_of(network, windows)
    total = loss
    if training.outlier_ratio > 1:
        total = loss + training.outlier_weight * missing_outliers(norm_gains(network), training.outlier_ratio)
    optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def load_tokens(corpus: Corpus, tokenizer: Any, folder: Path) -> dict[str, Tensor]:
    """The tokens of both parts of a corpus, found once."""
    file = folder / TOKENS
    if not file.exists():
        parts = {"train": False, "held_out": True}
        tokens = {part: tokenize(corpus.documents(held_out), tokenizer) for part, held_out in parts.items()}
        write_atomically(file, partial(torch.save, tokens))
    return torch.load(file, weights_only=True)


def train(training: Training, corpus: Corpus, start: Path | None, folder: Path) -> None:
    """Train, or go on training, in a folder; from random weights or those of another such folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_folder(training, folder)
    if not (folder / "tokenizer.json").exists():
        tokenizer = load_language_model(start)[1] if start else build_tokenizer(corpus, training.vocabulary)
        tokenizer.save_pretrained(folder)
    tokenizer = import_transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens = load_tokens(corpus, tokenizer, folder)
    say(f"{len(tokens['train'])} tokens to train on, {len(tokens['held_out'])} held out")
    network = load_language_model(start)[0].requires_grad_(True) if start else build_network(training)
    say(f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f} million parameters")
    optimizer, first = build_optimizer(network, training), 0
    if (folder / STATE).exists():
        state = torch.load(folder / STATE, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    _loop(network, optimizer, tokens, training, first, folder)
    network.eval().save_pretrained(folder)


def _loop(
    network: Any,
    optimizer: torch.optim.AdamW,
    tokens: dict[str, Tensor],
    training: Training,
    first: int,
    folder: Path,
) -> None:
    held_out = spread_windows(tokens["held_out"], training.context, HELD_OUT_WINDOWS)
    began, losses = time.perf_counter(), []
    for step in range(first, training.steps):
        seed = training.seed * 1_000_000 + step  # a continued run sees the windows that an unbroken one does
        windows = random_windows(tokens["train"], training.context, training.batch, seed)
        losses.append(train_step(network.train(), optimizer, windows, training, step))
        done = step + 1
        if done % training.save_every == 0 or done == training.steps:  # once in a while: evaluate and save
            with torch.no_grad():
                unseen = loss_of(network.eval(), held_out).item()
            mean = sum(losses) / len(losses)
            seconds = (time.perf_counter() - began) / (done - first)
            line = {"step": done, "loss": mean, "held_out": unseen, "seconds_per_step": round(seconds, 3)}
            _record(folder / "log.jsonl", line)
            losses = []
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            write_atomically(folder / STATE, partial(torch.save, state))


def _record(file: Path, line: dict[str, Any]) -> None:
    with open(file, "a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")
    say(str(line))


def _check_folder(training: Training, folder: Path) -> None:
    """A folder that holds another training is a ValueError; only `steps` and `save_every` may change."""
    fixed = {k: v for k, v in dataclasses.asdict(training).items() if k not in ("steps", "save_every")}
    file = folder / "training.json"
    if not file.exists():
        write_text(file, json.dumps(fixed, indent=1) + "\n")
    there = json.loads(file.read_text(encoding="utf-8"))
    different = [f"{name} {there.get(name)}, not {value}" for name, value in fixed.items() if there.get(name) != value]
    if different:
        raise ValueError(f"{folder} holds another training: {'; '.join(different)}. Choose another --out")


def run(options: Namespace, training: Training, corpus: Corpus) -> int:
    """Set the threads and train."""
    torch.set_num_threads(options.num_threads)
    train(training, corpus, options.start, options.out)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--start", type=Path | None, help="folder of an earlier run to start from")
    parser.add_argument("--num_threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_class_arguments(Corpus, "corpus")
    parser.add_class_arguments(Training, "training")
    options = parser.parse_args(arguments)
    built = parser.instantiate(options)
    return run_command(lambda: run(options, built.training, built.corpus), "interrupted: the same command continues")


if __name__ == "__main__":
    sys.exit(main())
