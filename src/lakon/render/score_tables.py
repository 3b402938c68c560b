"""The tables about scores: accuracy and cost, paired differences, and the order of arms under each matching rule.

They select and format scores. The only computation here is which of two figures is larger.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from lakon.core import score_text as wording
from lakon.core.claims import Claim
from lakon.core.records import Score
from lakon.core.report_data import ModelCard, ReportData
from lakon.core.score_text import benchmark_title
from lakon.render.blocks import RowGroup, Table, TableRow, make_table
from lakon.render.lookup import find_score, find_twins, group_heading, list_cards, scores_of_metric, twin_note


def main_table(data: ReportData, benchmark: str) -> Table | None:
    """One row for each author, grouped by matching rule: accuracy and tokens."""
    ks = sorted({score.at for score in scores_of_metric(data, benchmark, "pass_at_k") if score.at and score.at > 1})
    columns = (
        "author",
        _accuracy_name(data, benchmark),
        *(f"pass@{k:g}" for k in ks),
        "tokens a sample",
        "truncated",
        "tokens per correct",
        "ungraded",
        "problems, samples",
    )
    note = (
        f"Brackets are {wording.format_percent(data.confidence, 0)} intervals over problems. Truncated and ungraded"
        " samples count as wrong."
    )
    if scores_of_metric(data, benchmark, "tokens"):
        note += (
            f" Tokens are counted with {data.tokenizer or 'the common tokenizer'}; a truncated sample counts with the"
            " tokens it had when it was cut off."
        )
    if any(card.label in find_twins(data) for card in list_cards(data, benchmark)):
        note = f"{note} {twin_note(data)}"
    groups = _grouped(list_cards(data, benchmark), lambda card: _main_cells(data, benchmark, card.label, ks))
    return make_table(f"Accuracy and cost on {benchmark_title(benchmark)}", columns, groups, note=note)


def _main_cells(data: ReportData, benchmark: str, author: str, ks: list[float]) -> tuple[str, ...]:
    mine = [each for each in data.scores if (each.benchmark, each.author) == (benchmark, author)]
    truncated = find_score(data, benchmark, author, "truncation_rate")
    spent = find_score(data, benchmark, author, "tokens_per_correct")
    accuracy = find_score(data, benchmark, author, "accuracy")
    basis = accuracy or max(mine, key=lambda score: score.n_samples)
    return (
        author,
        wording.accuracy_cell(accuracy),
        *(wording.accuracy_cell(find_score(data, benchmark, author, "pass_at_k", at=k)) for k in ks),
        wording.count_cell(find_score(data, benchmark, author, "tokens")),
        wording.format_percent(truncated.estimate) if truncated else "",
        wording.format_count(spent.estimate) if spent else "",
        _ungraded(basis),
        f"{wording.format_count(basis.n_problems)}, {wording.format_count(basis.n_samples)}",
    )


def detail_table(data: ReportData, benchmark: str) -> Table | None:
    """The rest of what was scored: the other estimand, the parts of the tokens, all intervals."""
    metrics = {
        "same problems again": ("accuracy_fixed", wording.interval_cell),
        "reasoning tokens": ("reasoning_tokens", wording.count_cell),
        "answer tokens": ("answer_tokens", wording.count_cell),
        "provider's count": ("provider_tokens", wording.count_cell),
        "truncated": ("truncation_rate", wording.accuracy_cell),
        "ungraded": ("ungraded_rate", wording.accuracy_cell),
        "tokens per correct": ("tokens_per_correct", wording.count_cell),
    }

    def cells(card: ModelCard) -> tuple[str, ...]:
        return (card.label, *(write(find_score(data, benchmark, card.label, name)) for name, write in metrics.values()))

    groups = _grouped(list_cards(data, benchmark), cells)
    note = (
        "The interval for the same problems again covers only the noise of sampling these problems once more;"
        " the one in the main table covers the choice of problems too."
    )
    caption = f"More about each author on {benchmark_title(benchmark)}"
    fixed = bool(scores_of_metric(data, benchmark, "accuracy_fixed"))
    details = make_table(caption, ("author", *metrics), groups, note=note if fixed else "", folded=True)
    return details if details is not None and len(details.columns) > 1 else None


def _ungraded(score: Score) -> str:
    if not score.n_ungraded or not score.n_samples:
        return wording.format_count(score.n_ungraded)
    return f"{wording.format_count(score.n_ungraded)} ({wording.format_percent(score.n_ungraded / score.n_samples)})"


def _accuracy_name(data: ReportData, benchmark: str) -> str:
    per_problem = {
        score.n_samples / score.n_problems
        for score in scores_of_metric(data, benchmark, "accuracy")
        if score.n_problems and score.group is None
    }
    k = per_problem.pop() if len(per_problem) == 1 else 0.0
    return f"accuracy (avg@{k:g})" if k > 1 and k == int(k) else "accuracy"


def _grouped(authors: list[ModelCard], cells: Callable[[ModelCard], tuple[str, ...]]) -> list[RowGroup]:
    rows: dict[str, list[TableRow]] = {}
    for card in authors:
        rows.setdefault(group_heading(card), []).append(TableRow(cells=cells(card)))
    return [RowGroup(heading=heading, rows=tuple(members)) for heading, members in rows.items()]


def paired_table(data: ReportData) -> Table | None:
    """Each paired comparison: difference, p, token ratio, and whether non-inferiority was shown."""
    pairs = dict.fromkeys(
        (score.benchmark, score.author, score.baseline)
        for score in data.scores
        if score.baseline is not None and score.group is None
    )
    columns = (
        "author against baseline",
        "difference, points",
        "together with its family",
        "p (Holm)",
        "claim",
        "tokens, ratio",
        "tokens per correct, ratio",
        "lower bound, points",
        f"non-inferior within {100 * data.margin:g} points",
        "problems",
    )
    groups: dict[str, list[TableRow]] = {}
    for benchmark, author, baseline in pairs:
        row = _pair_row(data, benchmark, author, baseline or "")
        groups.setdefault(benchmark_title(benchmark), []).append(row)
    row_groups = [RowGroup(heading=heading, rows=tuple(rows)) for heading, rows in groups.items()]
    metrics = {score.metric for score in data.scores if score.baseline is not None}
    adjusted = any(score.p_value is not None for score in data.scores if score.metric == "accuracy_difference")
    parts = [f"Paired by problem; brackets are {wording.format_percent(data.confidence, 0)} intervals."]
    if adjusted:
        parts += [
            "Each of these intervals holds alone; those of a family hold together. A family is all comparisons of"
            " students, of teachers or of other authors on one benchmark, those against the base apart; what is at the"
            f" floor is left out. P values are adjusted by Holm within it{_family_sizes(data)}."
        ]
    origin = "was stated before the run" if data.margin_stated else "is the default: the study states none"
    parts += [f"The margin {origin}."] if "non_inferiority" in metrics else []
    parts += ["A ratio below 1 means fewer tokens than the baseline."] if "token_ratio" in metrics else []
    return make_table("Paired differences", columns, row_groups, note=" ".join(parts))


def _family_sizes(data: ReportData) -> str:
    """` (sizes 1 and 8)`, from the methods of the scores."""
    methods = [score.method for score in data.scores if score.metric == "accuracy_difference"]
    sizes = sorted({int(method.rsplit(" ", 1)[1]) for method in methods if "Holm over a family of" in method})
    if not sizes:
        return ""
    return f" (size{'s' if len(sizes) > 1 else ''} {wording.join_names([str(size) for size in sizes])})"


def _pair_row(data: ReportData, benchmark: str, author: str, baseline: str) -> TableRow:
    difference = find_score(data, benchmark, author, "accuracy_difference", baseline=baseline)
    bound = find_score(data, benchmark, author, "non_inferiority", baseline=baseline)
    tokens = find_score(data, benchmark, author, "token_ratio", baseline=baseline)
    per_correct = find_score(data, benchmark, author, "tokens_per_correct_ratio", baseline=baseline)
    together = find_score(data, benchmark, author, "accuracy_difference_together", baseline=baseline)
    basis = difference or bound or tokens
    floor = difference is not None and wording.is_at_floor(difference)
    cells = (
        f"{author} against {baseline}",
        wording.points_cell(difference),
        wording.format_interval(together, wording.format_points).strip() if together else "",
        wording.format_p_value(difference.p_value if difference else None),
        difference.claim if difference else "",
        wording.ratio_cell(tokens),
        wording.ratio_cell(per_correct),
        wording.format_points(bound.low) if bound and bound.low is not None else "",
        Claim.FLOOR.value if floor else _inferiority(bound, data.margin),
        wording.format_count(basis.n_problems) if basis else "",
    )
    return TableRow(cells=cells)


def _inferiority(bound: Score | None, margin: float) -> str:
    if bound is None or bound.low is None:
        return ""
    return "shown" if bound.low > -margin else "not shown"


def order_table(data: ReportData, benchmark: str) -> Table | None:
    """For each two arms under several matching rules, which one is ahead under each rule."""
    students = [card for card in list_cards(data, benchmark) if card.kind == "student" and card.arm and card.match]
    rules = list(dict.fromkeys(card.match or "" for card in students))
    if len(rules) < 2:
        return None
    groups: list[RowGroup] = []
    for base in dict.fromkeys(card.student for card in students):
        same_base = [card for card in students if card.student == base]
        arms = list(dict.fromkeys(card.arm or "" for card in same_base))
        rows = [_order_row(data, benchmark, same_base, pair, rules) for pair in combinations(arms, 2)]
        groups.append(RowGroup(heading=base or "", rows=tuple(row for row in rows if row is not None)))
    columns = ("arms", *(f"matched by {rule}" for rule in rules), "order")
    note = "Which arm is ahead, by how many points; brackets are the paired interval where there is one."
    return make_table(f"The order under each rule on {benchmark_title(benchmark)}", columns, groups, note=note)


def _order_row(
    data: ReportData, benchmark: str, students: list[ModelCard], arms: tuple[str, str], rules: list[str]
) -> TableRow | None:
    labels = {(card.arm, card.match): card.label for card in students}
    lead_by_rule = {
        rule: _lead(data, benchmark, labels[arms[0], rule], labels[arms[1], rule])
        for rule in rules
        if (arms[0], rule) in labels and (arms[1], rule) in labels
    }
    leads = [score for score in lead_by_rule.values() if score is not None]
    if len(leads) < 2:
        return None
    cells = tuple(_lead_cell(lead_by_rule.get(rule), arms) for rule in rules)
    return TableRow(cells=(f"{arms[0]} and {arms[1]}", *cells, _order_reading(leads, data.confidence)))


def _lead(data: ReportData, benchmark: str, first: str, second: str) -> Score | None:
    def named(author: str, metric: str, baseline: str | None) -> Score | None:
        return find_score(data, benchmark, author, metric, baseline=baseline)

    return wording.find_lead(named, first, second)


def _lead_cell(score: Score | None, arms: tuple[str, str]) -> str:
    if score is None:
        return ""
    if score.estimate == 0:
        return "level"
    if score.estimate > 0:
        return f"{arms[0]} by {wording.lead_cell(score)}"
    return f"{arms[1]} by {wording.lead_cell(wording.reverse_difference(score))}"


def _order_reading(leads: list[Score], confidence: float) -> str:
    signs = {score.estimate > 0 for score in leads if score.estimate != 0}
    if not signs:
        return "level"
    settled = all(wording.is_established(score, confidence) for score in leads)
    word = "the same" if len(signs) < 2 else "flips"
    return word if settled else f"{word}, not settled"
