"""A comparison in words and tables: one sentence a pair, and what every figure rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lakon.core import score_text as wording
from lakon.core.claims import Claim
from lakon.render.blocks import RowGroup, Section, Table, TableRow, make_table
from lakon.standalone.compare.compare import ComparedResults
from lakon.standalone.compare.figures import AuthorFigures, Figures, PairFigures
from lakon.stats import Estimate
from lakon.stats.comparison import Comparison

_LISTED = 5


def describe_pair(pair: PairFigures, figures: Figures) -> str:
    """What is established about a pair, and what is not, in one sentence."""
    compared = pair.comparison
    where = f" on {pair.benchmark}" if pair.benchmark else ""
    on = f"{where} ({wording.pluralise(pair.n_problems, 'common problem')})"
    if pair.claim is Claim.FLOOR:
        return f"{pair.name} and {pair.baseline}{on}: no claim, because both are near zero or few problems near one."
    facts = [f"{_points(compared.difference)}; {_p_words(compared)}"]
    if pair.claim in _WORDS:
        head = f"{pair.name} is {_WORDS[pair.claim]} than {pair.baseline}{on}"
    else:
        what = "suggested, not established" if pair.claim is Claim.SUGGESTED else "not established"
        head = f"A difference between {pair.name} and {pair.baseline} is {what}{on}"
        if math.isfinite(compared.detectable):
            smallest = wording.format_fixed(100 * compared.detectable)
            facts.append(f"one of {smallest} points would have been found with a power of 0.8")
    return f"{head}: {'; '.join([*facts, *_margin_words(compared, figures), *_cost_words(compared)])}."


_WORDS = {Claim.BETTER: "better", Claim.WORSE: "worse", Claim.WORSE_THAN_MARGIN: "worse"}


def _p_words(compared: Comparison) -> str:
    p_value = wording.format_p_value(compared.adjusted_p)
    sign = "" if p_value.startswith("<") else "= "
    return f"p {sign}{p_value}, Holm over {wording.pluralise(compared.family_size, 'comparison')}"


def _points(estimate: Estimate) -> str:
    low, high = (wording.format_fixed(100 * value) for value in (estimate.low, estimate.high))
    return f"{wording.format_points(estimate.value)} points [{low}, {high}]"


def _margin_words(compared: Comparison, figures: Figures) -> Iterator[str]:
    if figures.options.margin is None:
        return
    margin = f"the margin of {wording.format_fixed(100 * compared.margin)} points"
    if compared.inferiority.holds:
        yield f"worse by more than {margin}"
    elif compared.equivalence.holds:
        yield f"equivalent within {margin}"
    elif compared.non_inferiority.holds:
        yield f"not inferior by {margin}"
    else:
        test = compared.non_inferiority
        problems = f", and {test.n_needed:,} problems would take it to 0.9" if test.n_needed else ""
        yield f"not shown to be within {margin}: the power was {test.power:.2f}{problems}"


def _cost_words(compared: Comparison) -> Iterator[str]:
    if compared.token_ratio is not None:
        capped = ", of capped samples" if "restricted" in compared.token_ratio.method else ""
        yield f"{_ratio(compared.token_ratio)} of its tokens{capped}"
    if compared.tokens_per_correct_ratio is not None:
        yield f"{_ratio(compared.tokens_per_correct_ratio)} of its tokens per right answer"


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    low, high = (wording.format_fixed(value, 2) for value in (estimate.low, estimate.high))
    return f"{wording.format_ratio(estimate.value)} [{low}, {high}]"


def list_sentences(comparison: ComparedResults) -> list[str]:
    """One sentence for each pair."""
    return [describe_pair(pair, comparison.figures) for pair in comparison.figures.pairs]


def list_remarks(comparison: ComparedResults) -> list[str]:
    """What was left out, joined, graded and chosen, in sentences."""
    joined = comparison.joined
    told = [f"joined by {'ids' if joined.by == 'id' else 'the texts of the problems'}"]
    for side, one in enumerate(joined.sets):
        alone = joined.list_alone(side)
        if alone:
            shown = ", ".join(repr(name[:40]) for name in alone[:_LISTED])
            told.append(f"{one.name}: {wording.pluralise(len(alone), 'problem')} nobody else has, such as {shown}")
        if one.bad_rows:
            shown = "; ".join(f"{bad.where}: {bad.why[:120]}" for bad in one.bad_rows[:_LISTED])
            told.append(f"{one.name}: {wording.pluralise(len(one.bad_rows), 'row')} could not be used: {shown}")
        told += _grade_words(comparison, one.name)
    for author in comparison.figures.authors:
        if author.refused_k:
            asked = ", ".join(f"pass@{k}" for k in author.refused_k)
            told.append(f"{author.name}: no {asked}, because some problem has {author.fewest:,} samples")
    return told + list(comparison.notes)


def _grade_words(comparison: ComparedResults, name: str) -> Iterator[str]:
    account = comparison.accounts[name]
    if account.n_ungraded:
        yield f"{name}: {account.n_ungraded:,} of {account.n_samples:,} samples ungraded, counted as wrong"
    if account.n_unscored:
        yield f"{name}: {account.n_unscored:,} responses carry no grade and are left out; --grade math grades them"
    if account.n_compared:
        differ = account.only_ours_right + account.only_theirs_right
        alone = f"{account.only_ours_right:,} right by {account.by} alone, {account.only_theirs_right:,} by the file"
        yield f"{name}: {account.by} and the file differ on {differ:,} of {account.n_compared:,} grades ({alone})"


def build_tables(comparison: ComparedResults) -> list[Table]:
    """Authors, then pairs; a group of rows a benchmark."""
    figures = comparison.figures
    benchmarks = list(dict.fromkeys(author.benchmark for author in figures.authors))
    heading = len(benchmarks) > 1
    authors: list[RowGroup] = []
    pairs: list[RowGroup] = []
    for benchmark in benchmarks:
        title = (benchmark or "no benchmark's name") if heading else ""
        of_authors = [_author_row(each) for each in figures.authors if each.benchmark == benchmark]
        of_pairs = [_pair_row(each) for each in figures.pairs if each.benchmark == benchmark]
        authors.append(RowGroup(heading=title, rows=tuple(of_authors)))
        pairs.append(RowGroup(heading=title, rows=tuple(of_pairs)))
    level = f"{100 * figures.options.confidence:g}%"
    intervals = f"Points with an interval that is {level} alone; the simultaneous ones hold together"
    whose = f"in {comparison.tokenizer}" if comparison.tokenizer else "as the files count them"
    tables = (
        make_table(
            "Authors",
            _AUTHOR_COLUMNS,
            authors,
            note=f"Intervals are {level} ones, clustered by problem. Ungraded samples count as wrong. Tokens {whose}.",
        ),
        make_table(
            "Pairs",
            _PAIR_COLUMNS,
            pairs,
            n_text=2,
            note=f"{intervals}. Holm over {figures.family_size}: {_FAMILIES[figures.family]}.",
        ),
    )
    return [table for table in tables if table is not None]


_AUTHOR_COLUMNS = (
    "author",
    "problems",
    "samples each",
    "ungraded",
    "truncated",
    "accuracy",
    "pass@k",
    "tokens",
    "tokens per right answer",
)
_PAIR_COLUMNS = (
    "author",
    "against",
    "problems",
    "points",
    "simultaneous",
    "p (Holm)",
    "claim",
    "tokens",
    "per right answer",
)
_FAMILIES = {"baseline": "every other author against the first", "all": "every pair of authors"}


def _author_row(author: AuthorFigures) -> TableRow:
    each = f"{author.fewest}" if author.fewest == author.most else f"{author.fewest} to {author.most}"
    pass_at = ", ".join(f"@{k} {_percent(estimate)}" for k, estimate in author.pass_at.items())
    truncated = wording.format_percent(author.truncated.value) if author.truncated.value else ""
    cells = (
        author.name,
        f"{author.n_problems:,}",
        each,
        f"{author.n_ungraded:,}" if author.n_ungraded else "",
        truncated,
        _percent(author.accuracy),
        pass_at,
        _count(author.tokens),
        _count(author.tokens_per_correct),
    )
    return TableRow(cells=cells)


def _pair_row(pair: PairFigures) -> TableRow:
    compared = pair.comparison
    joint = ", ".join(wording.format_points(value) for value in compared.simultaneous[:2])
    is_floor = pair.claim is Claim.FLOOR
    cells = (
        pair.name,
        pair.baseline,
        f"{pair.n_problems:,}",
        _points(compared.difference).replace(" points", ""),
        "" if is_floor or compared.family_size < 2 else f"[{joint}]",
        "" if is_floor else wording.format_p_value(compared.adjusted_p),
        str(pair.claim),
        _ratio(compared.token_ratio),
        _ratio(compared.tokens_per_correct_ratio),
    )
    return TableRow(cells=cells)


def _percent(estimate: Estimate) -> str:
    low, high = (wording.format_fixed(100 * value) for value in (estimate.low, estimate.high))
    return f"{wording.format_percent(estimate.value)} [{low}, {high}]"


def _count(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    low, high = (wording.format_count(value) for value in (estimate.low, estimate.high))
    return f"{wording.format_count(estimate.value)} [{low}, {high}]"


def build_page_sections(comparison: ComparedResults) -> tuple[Section, ...]:
    """The tables and the remarks as sections of a page."""
    sections: list[Section] = []
    for table in build_tables(comparison):
        sections.append(Section(key=table.caption.lower(), title=table.caption, parts=(table,)))
    remarks = [TableRow(cells=(remark,)) for remark in list_remarks(comparison)]
    listed = make_table("What the figures rest on", ("remark",), [RowGroup(rows=tuple(remarks))])
    if listed is not None:
        sections.append(Section(key="remarks", title=listed.caption, parts=(listed,)))
    return tuple(sections)
