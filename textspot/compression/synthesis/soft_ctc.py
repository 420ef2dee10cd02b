"""CTC against words whose characters are distributions: soft labels as in SARDFQ (arXiv 2412.16553), for texts.

Legend: R words, T time, L characters of a word, S different classes of a word and the blank, C classes, U states.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMPOSSIBLE = -1e30  # log of a probability of 0, with which one can reckon


@dataclass(frozen=True)
class SoftTranscripts:
    """Words as CTC wants them, softened: labels (R, S, C), a distribution for the blank, which is first, and for each
    different character of a word; tokens (R, L) are numbers of these, from 1, and lengths (R,)."""

    labels: Tensor
    tokens: Tensor
    lengths: Tensor

    @classmethod
    def draw(
        cls,
        words: list[list[int]],
        num_classes: int,
        relevant: tuple[float, float] | None,
        irrelevant_std: float,
        generator: torch.Generator,
    ) -> "SoftTranscripts":
        """Of words of classes 1..C-1, none empty. A label is softmax(z), z of its class uniform between the two
        numbers of `relevant`, of the others normal with a deviation; without `relevant` it is 1 for its class, and
        as much is drawn, so that what the generator draws next stays the same."""
        different = [[0, *dict.fromkeys(word)] for word in words]
        labels = torch.zeros(len(words), max(map(len, different)), num_classes)
        labels[..., 0] = 1  # of what no word uses
        tokens = torch.zeros(len(words), max(map(len, words)), dtype=torch.int64)
        low, high = relevant or (0.0, 0.0)
        for row, (word, classes) in enumerate(zip(words, different, strict=True)):
            tokens[row, : len(word)] = torch.tensor([classes.index(token) for token in word])
            z = irrelevant_std * torch.randn(len(classes), num_classes, generator=generator)
            z[range(len(classes)), classes] = low + (high - low) * torch.rand(len(classes), generator=generator)
            hard = nn.functional.one_hot(torch.tensor(classes), num_classes).float()
            labels[row, : len(classes)] = z.softmax(dim=1) if relevant else hard
        return cls(labels, tokens, torch.tensor([len(word) for word in words]))


def soft_ctc(logits: Tensor, transcripts: SoftTranscripts) -> Tensor:
    """CTC (R,) of logits (R, T, C) against soft transcripts.

    What a step says of a label is the sum over classes of label * log probability, as in a soft cross entropy, and
    paths are summed over as ever: with labels that are 1 for one class this is CTC. Gradients are exact, which those of
    `F.ctc_loss` are not where steps do not add up to 1.
    """
    labels, tokens_RL, lengths = (
        values.to(logits.device) for values in (transcripts.labels, transcripts.tokens, transcripts.lengths)
    )
    says_RTS = logits.float().log_softmax(dim=2) @ labels.transpose(1, 2)
    states_RU = torch.zeros(len(tokens_RL), 2 * tokens_RL.shape[1] + 1, dtype=torch.int64, device=logits.device)
    states_RU[:, 1::2] = tokens_RL  # blanks between all characters, and around
    says_RTU = says_RTS.gather(2, states_RU[:, None].expand(-1, says_RTS.shape[1], -1))
    may_skip_RU = torch.zeros_like(states_RU, dtype=torch.bool)
    may_skip_RU[:, 2:] = (states_RU[:, 2:] != 0) & (states_RU[:, 2:] != states_RU[:, :-2])
    alpha_RU = torch.full_like(says_RTU[:, 0], IMPOSSIBLE)
    alpha_RU[:, :2] = says_RTU[:, 0, :2]
    for says_RU in says_RTU.unbind(dim=1)[1:]:
        before = nn.functional.pad(alpha_RU, (1, 0), value=IMPOSSIBLE)[:, :-1]
        skipped = nn.functional.pad(alpha_RU, (2, 0), value=IMPOSSIBLE)[:, :-2]
        skipped = torch.where(may_skip_RU, skipped, IMPOSSIBLE)
        alpha_RU = torch.stack([alpha_RU, before, skipped]).logsumexp(dim=0) + says_RU
    ends = torch.stack([2 * lengths - 1, 2 * lengths], dim=1)
    return -alpha_RU.gather(1, ends).logsumexp(dim=1)
