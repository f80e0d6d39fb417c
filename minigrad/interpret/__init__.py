"""What a network has learnt, and which of its parts matter.

Influence of units: `influence(model, inputs, targets)` is the short way. Below it stand the measures themselves, each
with its source: `taylor_scores`, `fisher_scores`, `weight_gradient_scores`, `snip_scores`, `loss_change`; `UnitScores`,
which gathers scores while a network trains; and what to hold them against: `ablation`, `agreement`, `sample_units`.
"""

from minigrad.interpret.influence_agreement import ablation, agreement, sample_units
from minigrad.interpret.influence_loss_change import LossChange, loss_change, parameter_values
from minigrad.interpret.influence_measure import Influence, influence
from minigrad.interpret.influence_scores import UnitScores, fisher_scores, taylor_scores
from minigrad.interpret.influence_weights import snip_scores, weight_gradient_scores

__all__ = [
    "Influence",
    "LossChange",
    "UnitScores",
    "ablation",
    "agreement",
    "fisher_scores",
    "influence",
    "loss_change",
    "parameter_values",
    "sample_units",
    "snip_scores",
    "taylor_scores",
    "weight_gradient_scores",
]
