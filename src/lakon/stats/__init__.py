"""Statistics of graded samples: estimates with intervals, paired comparisons, and corrections for known errors.

Estimates are clustered by problem, comparisons are paired by problem id, and whatever is random takes a seed.

Most functions take `Samples` and return an `Estimate` that names its method. Accuracies, rates and differences are
shares (0.05 is five points); tokens are counts in one tokenizer. scipy is imported at the first call, not with this
package. Read next: `samples`, `intervals`.
"""

from lakon.stats.accuracy import (
    accuracy,
    accuracy_fixed,
    truncation_rate,
    ungraded_rate,
)
from lakon.stats.audit import (
    Audit,
    cohen_kappa,
    correct_accuracy,
    false_accept_rate,
    false_reject_rate,
    weighted_agreement,
)
from lakon.stats.comparison import Comparison, compare_family, compare_samples
from lakon.stats.intervals import Estimate, Interval
from lakon.stats.margins import MarginTest
from lakon.stats.means import estimate_difference, estimate_mean
from lakon.stats.paired import holm_adjust
from lakon.stats.pass_at_k import maj_at_k, pass_at_k
from lakon.stats.samples import Samples
from lakon.stats.sequential import BettingSequence, betting_interval, betting_sequence
from lakon.stats.token_budget import BudgetCurve, accuracy_within_budget
from lakon.stats.tokens import mean_tokens, tokens_per_correct
from lakon.stats.training_seeds import SeedSpread, seed_spread

__all__ = [
    "Audit",
    "BettingSequence",
    "BudgetCurve",
    "Comparison",
    "Estimate",
    "Interval",
    "MarginTest",
    "Samples",
    "SeedSpread",
    "accuracy",
    "accuracy_fixed",
    "accuracy_within_budget",
    "betting_interval",
    "betting_sequence",
    "cohen_kappa",
    "compare_family",
    "compare_samples",
    "correct_accuracy",
    "estimate_difference",
    "estimate_mean",
    "false_accept_rate",
    "false_reject_rate",
    "holm_adjust",
    "maj_at_k",
    "mean_tokens",
    "pass_at_k",
    "seed_spread",
    "tokens_per_correct",
    "truncation_rate",
    "ungraded_rate",
    "weighted_agreement",
]
