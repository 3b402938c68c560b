"""Statistics: what makes a verdict hold.

Everything is clustered by problem, paired on problem ids, and seeded.

Every function takes `Samples` and returns an `Estimate` that names its method; accuracies, rates and
differences are shares (0.05 is five points), tokens are counts in one tokenizer. Nothing here imports scipy
until it is called. Read next: `samples`, `intervals`.
"""

from lakon.stats.accuracy import (
    AccuracyBounds,
    accuracy,
    accuracy_fixed,
    truncation_bounds,
    truncation_rate,
    ungraded_bounds,
    ungraded_rate,
)
from lakon.stats.audit import (
    Audit,
    cohen_kappa,
    false_accept_rate,
    false_reject_rate,
    judge_error_corrected,
    weighted_agreement,
)
from lakon.stats.intervals import Estimate
from lakon.stats.paired import (
    MarginTest,
    accuracy_difference,
    accuracy_difference_fixed,
    detectable_difference,
    equivalence,
    holm,
    non_inferiority,
)
from lakon.stats.pass_at_k import maj_at_k, pass_at_k, pass_hat_k
from lakon.stats.samples import Pair, Samples, align, cluster_index
from lakon.stats.sequential import BettingSequence, betting_interval, betting_sequence
from lakon.stats.token_budget import BudgetCurve, FrontierPoint, accuracy_within_budget, frontier, frontier_dominance
from lakon.stats.tokens import (
    geometric_token_ratio,
    mean_tokens,
    median_ratio,
    token_ratio,
    tokens_per_correct,
    tokens_per_correct_ratio,
)
from lakon.stats.training_seeds import SeedSpread, seed_spread

__all__ = [
    "AccuracyBounds",
    "Audit",
    "BettingSequence",
    "BudgetCurve",
    "Estimate",
    "FrontierPoint",
    "MarginTest",
    "Pair",
    "Samples",
    "SeedSpread",
    "accuracy",
    "accuracy_difference",
    "accuracy_difference_fixed",
    "accuracy_fixed",
    "accuracy_within_budget",
    "align",
    "betting_interval",
    "betting_sequence",
    "cluster_index",
    "cohen_kappa",
    "detectable_difference",
    "equivalence",
    "false_accept_rate",
    "false_reject_rate",
    "frontier",
    "frontier_dominance",
    "geometric_token_ratio",
    "holm",
    "judge_error_corrected",
    "maj_at_k",
    "mean_tokens",
    "median_ratio",
    "non_inferiority",
    "pass_at_k",
    "pass_hat_k",
    "seed_spread",
    "token_ratio",
    "tokens_per_correct",
    "tokens_per_correct_ratio",
    "truncation_bounds",
    "truncation_rate",
    "ungraded_bounds",
    "ungraded_rate",
    "weighted_agreement",
]
