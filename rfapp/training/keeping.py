"""Not forgetting while learning: what the first weights say about a picture counts beside its labels.

Learning without Forgetting (Li & Hoiem, 2016): a good network that goes on learning from few kinds of pictures loses
what it knows of all others. Where no label tells otherwise, its class scores are held near those that its first weights
give for the same picture; pictures without any face are left out, for what was found there is to be unlearned.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rfapp.models.networks import Network
from rfapp.training.matching import Matches, Targets


class Former:
    """A network as it is now, whatever becomes of it. Called with (B, 3, H, W) it gives the raw classes (B, N, 2)."""

    def __init__(self, network: Network) -> None:
        self._network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        classes: Tensor = self._network(images)[1]
        return classes


def change_of_scores(classes: Tensor, former: Tensor, matches: Matches, targets: Targets) -> Tensor:
    """The Kullback-Leibler divergence of the class scores *classes* from the *former* ones, both raw and (B, N, 2),
    summed over all priors but the positive ones and those of pictures without any labelled face or area to ignore."""
    counted = torch.zeros(classes.shape[:2], dtype=torch.bool, device=classes.device)
    counted[targets.picture] = True
    counted[matches.picture, matches.prior] = False
    with torch.autocast(classes.device.type, enabled=False):
        now, before = (F.log_softmax(each[counted].float(), dim=-1) for each in (classes, former))
        return F.kl_div(now, before, reduction="sum", log_target=True)
