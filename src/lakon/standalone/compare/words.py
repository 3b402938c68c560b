"""A comparison in words and tables: one sentence a pair, and what every figure rests on."""

from __future__ import annotations

from collections.abc import Iterator

from lakon.core import score_text as wording
from lakon.render.blocks import RowGroup, Section, Table, TableRow, make_table
from lakon.standalone.compare.compare import Comparison
from lakon.standalone.compare.figures import NO_CLAIM, AuthorFigures, Figures, PairFigures
from lakon.stats import Estimate

_LISTED = 5


def describe_pair(pair: PairFigures, figures: Figures) -> str:
    """What is established about a pair, and what is not, in one sentence."""
    where = f" on {pair.benchmark}" if pair.benchmark else ""
    on = f"{where} ({wording.pluralise(pair.n_problems, 'common problem')})"
    if pair.verdict == NO_CLAIM:
        return f"{pair.name} and {pair.baseline}{on}: no claim, because both are near zero."
    difference = f"{_points(pair.difference)}; {_p_words(pair)}"
    if pair.verdict in ("better", "worse"):
        head = f"{pair.name} is {pair.verdict} than {pair.baseline}{on}: {difference}"
    else:
        smallest = f"; a difference of {wording.format_fixed(100 * pair.detectable)} points would have been found"
        smallest = smallest if pair.detectable == pair.detectable else ""
        head = f"No difference between {pair.name} and {pair.baseline} is established{on}: {difference}{smallest}"
    return "; ".join([head, *_margin_words(pair, figures), *_cost_words(pair)]) + "."


def _p_words(pair: PairFigures) -> str:
    p_value = wording.format_p_value(pair.adjusted_p)
    sign = "" if p_value.startswith("<") else "= "
    return f"p {sign}{p_value}, Holm over {wording.pluralise(pair.family_size, 'comparison')}"


def _points(estimate: Estimate) -> str:
    low, high = (wording.format_fixed(100 * value) for value in (estimate.low, estimate.high))
    return f"{wording.format_points(estimate.value)} points [{low}, {high}]"


def _margin_words(pair: PairFigures, figures: Figures) -> Iterator[str]:
    if figures.options.margin is None:
        return
    margin = f"the margin of {wording.format_fixed(100 * figures.options.margin)} points"
    if pair.not_worse is None or pair.equivalent is None:
        yield f"no claim about {margin}, because both are near zero"
    elif pair.much_worse:
        yield f"worse by more than {margin}"
    elif pair.equivalent.holds:
        yield f"equivalent within {margin}"
    elif pair.not_worse.holds:
        yield f"not inferior by {margin}"
    else:
        needed = pair.not_worse.n_needed
        problems = f", and {needed:,} problems would take it to 0.9" if needed else ""
        yield f"not shown to be within {margin}: the power was {pair.not_worse.power:.2f}{problems}"


def _cost_words(pair: PairFigures) -> Iterator[str]:
    if pair.token_ratio is not None:
        yield f"{_ratio(pair.token_ratio)} of its tokens"
    if pair.cost_ratio is not None:
        yield f"{_ratio(pair.cost_ratio)} of its tokens per right answer"


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    low, high = (wording.format_fixed(value, 2) for value in (estimate.low, estimate.high))
    return f"{wording.format_ratio(estimate.value)} [{low}, {high}]"


def list_sentences(comparison: Comparison) -> list[str]:
    """One sentence for each pair."""
    return [describe_pair(pair, comparison.figures) for pair in comparison.figures.pairs]


def list_remarks(comparison: Comparison) -> list[str]:
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
    return told + list(comparison.notes)


def _grade_words(comparison: Comparison, name: str) -> Iterator[str]:
    account = comparison.accounts[name]
    if account.n_ungraded:
        yield f"{name}: {account.n_ungraded:,} of {account.n_samples:,} samples ungraded, counted as wrong"
    if account.n_unscored:
        yield f"{name}: {account.n_unscored:,} responses carry no grade and are left out; --grade math grades them"
    if account.n_compared:
        differ = account.only_ours_right + account.only_theirs_right
        alone = f"{account.only_ours_right:,} right by {account.by} alone, {account.only_theirs_right:,} by the file"
        yield f"{name}: {account.by} and the file differ on {differ:,} of {account.n_compared:,} grades ({alone})"


def build_tables(comparison: Comparison) -> list[Table]:
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
    whose = f"in {comparison.tokenizer}" if comparison.tokenizer else "as the files count them"
    tables = (
        make_table(
            "Authors",
            ("author", "problems", "samples each", "ungraded", "truncated", "accuracy", "pass@k", "tokens",
             "tokens per right answer"),
            authors,
            note=f"Intervals are {level} ones, clustered by problem. Ungraded samples count as wrong. Tokens {whose}.",
        ),
        make_table(
            "Pairs",
            ("author", "against", "problems", "points", "p (Holm)", "verdict", "margin", "tokens", "per right answer"),
            pairs,
            n_text=2,
            note=f"Each interval is {level} alone. Holm over {figures.family_size}: {_FAMILIES[figures.family]}.",
        ),
    )  # fmt: skip
    return [table for table in tables if table is not None]


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
    low, high = (wording.format_points(value) for value in (pair.difference.low, pair.difference.high))
    margin = ""
    if pair.not_worse is not None and pair.equivalent is not None:
        margin = "worse by more" if pair.much_worse else "not shown"
        margin = "equivalent" if pair.equivalent.holds else "not inferior" if pair.not_worse.holds else margin
    is_floor = pair.verdict == NO_CLAIM
    cells = (
        pair.name,
        pair.baseline,
        f"{pair.n_problems:,}",
        f"{wording.format_points(pair.difference.value)} [{low}, {high}]",
        "" if is_floor else wording.format_p_value(pair.adjusted_p),
        pair.verdict,
        margin,
        _ratio(pair.token_ratio),
        _ratio(pair.cost_ratio),
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


def build_page_sections(comparison: Comparison) -> tuple[Section, ...]:
    """The tables and the remarks as sections of a page."""
    sections: list[Section] = []
    for table in build_tables(comparison):
        sections.append(Section(key=table.caption.lower(), title=table.caption, parts=(table,)))
    remarks = [TableRow(cells=(remark,)) for remark in list_remarks(comparison)]
    listed = make_table("What the figures rest on", ("remark",), [RowGroup(rows=tuple(remarks))])
    if listed is not None:
        sections.append(Section(key="remarks", title=listed.caption, parts=(listed,)))
    return tuple(sections)
