"""What the recogniser sees besides annotated regions: those that the detector predicts, as in inference.

Legend: B images, K slots of annotated regions, P predicted regions.
"""

import torch
from torch import Tensor

NUM_PREDICTED = 64  # peaks of an image that are looked at, best first; the smallest image has as many cells
NEAREST = 1 / 3  # of the word's height: no end loses more than part of a character, which an IoU would allow


def exchange_regions(ribbons: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
    """Ribbons (B, K, 2, 4, 2) in which the wanted slots (B, K) hold the nearest of the predicted ribbons (B, P, 2, 4,
    2), if that is the same word; P is at least 1.

    It is if no control point is farther from its counterpart than `NEAREST` of the word's height. Then no point of the
    two ribbons is, and they are read in the same direction.
    """
    points_BK, points_BP = ribbons.flatten(2, 3), predicted.flatten(2, 3)
    distance_BKP = (points_BK.unsqueeze(2) - points_BP.unsqueeze(1)).norm(dim=-1).amax(dim=-1)
    nearest_BK = distance_BKP.argmin(dim=2)
    height_BK = (ribbons[:, :, 1] - ribbons[:, :, 0]).norm(dim=-1).mean(dim=-1)
    same_BK = distance_BKP.amin(dim=2) < NEAREST * height_BK
    chosen = predicted.flatten(2).gather(1, nearest_BK.unsqueeze(2).expand(-1, -1, 16)).view_as(ribbons)
    return torch.where((wanted & same_BK)[..., None, None, None], chosen, ribbons)
