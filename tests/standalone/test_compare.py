"""Results compared: how problems are joined, whose grades count, what is claimed, and files that are read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lakon import api
from lakon.core.errors import InputError
from lakon.standalone.compare.summary import summarise_comparison
from lakon.standalone.compare.words import build_tables, list_remarks, list_sentences

DATA = Path(__file__).parent / "data"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def make_rows(rate: float, *, n: int = 60, k: int = 4, seed: int = 0, tokens: int = 100) -> list[dict[str, Any]]:
    """Rows of an author that is right at a rate, problem by problem."""
    draw = np.random.default_rng(seed)
    easy = np.random.default_rng(99).uniform(-0.3, 0.3, n)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        for sample in range(k):
            right = bool(draw.random() < rate + easy[i])
            rows.append(
                {
                    "id": f"p{i}",
                    "problem": f"What is {i} plus {i}, in box {i}?",
                    "reference": str(2 * i),
                    "answer": f"It is \\boxed{{{2 * i + (0 if right else 1)}}}",
                    "correct": right,
                    "sample": sample,
                    "tokens": tokens + i + sample,
                    "group": f"g{i // 3}",
                }
            )
    return rows


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return [
        write_rows(tmp_path / "good.jsonl", make_rows(0.7, seed=1)),
        write_rows(tmp_path / "bad.jsonl", make_rows(0.4, seed=2, tokens=300)),
    ]


# -- figures ----------------------------------------------------------------------------------------------------


def test_a_difference_is_that_of_scipy_on_problem_means(pair: list[str]):
    comparison = api.compare(pair)
    (pair_figures,) = comparison.figures.pairs
    found = pair_figures.comparison
    means = [
        np.array([row["correct"] for row in make_rows(rate, seed=seed)]).reshape(60, 4).mean(axis=1)
        for rate, seed in ((0.7, 1), (0.4, 2))
    ]
    test = scipy_stats.ttest_rel(means[1], means[0])
    interval = test.confidence_interval(0.95)
    assert found.difference.value == pytest.approx(means[1].mean() - means[0].mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert pair_figures.claim == "established worse"
    ratio = found.token_ratio
    assert ratio is not None
    assert ratio.value == pytest.approx((300 + 29.5 + 1.5) / (100 + 29.5 + 1.5))


def test_no_margin_is_claimed_unless_it_was_stated(pair: list[str]):
    without = list_sentences(api.compare(pair))[0]
    assert "margin" not in without
    assert "worse by more than the margin of 5.0 points" in list_sentences(api.compare(pair, margin=0.05))[0]
    with pytest.raises(InputError, match="a margin of 5"):
        api.compare(pair, margin=5)


def test_equal_authors_are_equivalent_only_within_a_margin_that_is_wide_enough(tmp_path: Path):
    a = write_rows(tmp_path / "a.jsonl", make_rows(0.5, n=200, seed=1))
    b = write_rows(tmp_path / "b.jsonl", make_rows(0.5, n=200, seed=2))
    wide, narrow = (list_sentences(api.compare([a, b], margin=margin))[0] for margin in (0.2, 0.01))
    assert "equivalent within the margin of 20.0 points" in wide
    assert "not shown to be within the margin of 1.0 points" in narrow
    assert "problems would take it to 0.9" in narrow


def test_the_family_is_stated_and_its_size_is_told(tmp_path: Path):
    paths = [write_rows(tmp_path / f"{i}.jsonl", make_rows(0.5, seed=i)) for i in range(4)]
    baseline, every = api.compare(paths), api.compare(paths, family="all")
    assert (baseline.figures.family_size, every.figures.family_size) == (3, 6)
    assert {pair.baseline for pair in baseline.figures.pairs} == {"0"}
    assert "Holm over 6 comparisons" in list_sentences(every)[0]
    raw = [pair.comparison.difference.p_value for pair in every.figures.pairs]
    smallest = min(p for p in raw if p is not None)
    assert min(pair.comparison.adjusted_p or 0 for pair in every.figures.pairs) == pytest.approx(min(1, 6 * smallest))
    with pytest.raises(InputError, match="--family some"):
        api.compare(paths, family="some")


def test_clusters_widen_the_interval_of_what_goes_together(tmp_path: Path):
    rows = make_rows(0.5, seed=3)
    for row in rows:
        row["correct"] = int(row["group"][1:]) % 2 == 0
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", make_rows(0.5, seed=4))]
    alone, grouped = (
        api.compare(paths, cluster=name).figures.pairs[0].comparison.difference for name in (None, "group")
    )
    assert grouped.high - grouped.low > 1.2 * (alone.high - alone.low)
    assert "20 clusters" in grouped.method


def test_near_duplicates_are_one_cluster(tmp_path: Path):
    text = "A farmer has {} cows and buys {} more cows at the market on a sunny day before noon; how many has she now?"
    rows = [
        {"id": i, "problem": text.format(i, 2 * i) if i < 10 else f"Entirely different question number {i}, {i * i}?",
         "correct": i % 2 == 0} for i in range(20)
    ]  # fmt: skip
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", rows[::-1])]
    comparison = api.compare(paths, cluster="near-duplicates")
    labels = [problem.cluster for problem in comparison.joined.problems]
    assert len(set(labels[:10])) == 1
    assert labels[0] is not None


def test_nothing_is_claimed_at_the_floor(tmp_path: Path):
    rows = make_rows(0.5)
    for row in rows:
        row["correct"] = False
    paths = [write_rows(tmp_path / f"{name}.jsonl", rows) for name in "ab"]
    comparison = api.compare(paths, margin=0.05)
    assert comparison.figures.pairs[0].claim == "no claim: floor"
    assert "no claim, because both are near zero" in list_sentences(comparison)[0]
    assert "no claim: floor" in build_tables(comparison)[1].groups[0].rows[0].cells


def test_different_numbers_of_samples_can_be_compared(tmp_path: Path):
    paths = [
        write_rows(tmp_path / "one.jsonl", make_rows(0.5, k=1)),
        write_rows(tmp_path / "eight.jsonl", make_rows(0.5, k=8, seed=5)),
    ]
    comparison = api.compare(paths, pass_at=[4])
    assert [list(author.pass_at) for author in comparison.figures.authors] == [[], [4]]
    assert comparison.figures.pairs[0].n_problems == 60
    assert "one: no pass@4, because some problem has 1 samples" in list_remarks(comparison)


# -- joining ----------------------------------------------------------------------------------------------------


def test_different_tools_are_joined_by_text():
    comparison = api.compare([str(DATA / "inspect_careful.eval"), str(DATA / "lm_eval_careful.jsonl")])
    assert comparison.joined.by == "text"
    assert comparison.figures.pairs[0].n_problems == 8
    remarks = " ".join(list_remarks(comparison))
    assert "8 responses carry no grade and are left out" in remarks


def test_what_does_not_join_is_told_by_side(tmp_path: Path):
    a = write_rows(tmp_path / "a.jsonl", make_rows(0.5)[:80])
    b = write_rows(tmp_path / "b.jsonl", make_rows(0.5)[40:])
    comparison = api.compare([a, b])
    (pair,) = comparison.figures.pairs
    assert (pair.n_problems, pair.comparison.only_a, pair.comparison.only_b) == (10, 40, 10)
    remarks = " ".join(list_remarks(comparison))
    assert "a: 10 problems nobody else has" in remarks
    assert "b: 40 problems nobody else has" in remarks
    assert summarise_comparison(comparison)["sides"][0]["alone"] == [f"p{i}" for i in range(10)]


def test_one_id_with_two_texts_is_two_problems(tmp_path: Path):
    rows = make_rows(0.5)
    changed = [{**row, "problem": "Another one entirely?"} if row["id"] == "p7" else row for row in rows]
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", changed)]
    comparison = api.compare(paths)
    assert comparison.joined.by == "id"
    assert comparison.figures.pairs[0].n_problems == 59
    assert "ids with different texts on two sides, not joined: 1" in " ".join(list_remarks(comparison))


def test_one_id_with_two_texts_in_one_file_is_two_problems_and_told(tmp_path: Path):
    rows = [
        {"id": "x", "problem": "How many legs has a cat?", "correct": True},
        {"id": "x", "problem": "How many legs has a bird?", "correct": False},
        {"id": "y", "problem": "How  many LEGS has a bird?", "correct": True},
    ]
    paths = [write_rows(tmp_path / f"{name}.jsonl", rows) for name in "ab"]
    comparison = api.compare(paths, join="text")
    assert [author.n_problems for author in comparison.figures.authors] == [2, 2]
    remarks = " ".join(list_remarks(comparison))
    assert "a: ids with a second, different text, told apart by it: 1" in remarks
    assert "problems that read like another one of their side, samples put together: 2" in remarks


def test_ids_that_mean_other_problems_are_not_joined_by(tmp_path: Path):
    rows = make_rows(0.5)
    shifted = [{**row, "id": f"p{(int(row['id'][1:]) + 1) % 60}"} for row in rows]
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", shifted)]
    comparison = api.compare(paths)
    assert comparison.joined.by == "text"
    assert comparison.figures.pairs[0].comparison.difference.value == 0


def test_results_without_a_common_problem_are_refused(tmp_path: Path):
    a = write_rows(tmp_path / "a.jsonl", [{"id": 1, "problem": "Why?", "correct": True}])
    b = write_rows(tmp_path / "b.jsonl", [{"id": 2, "problem": "How much?", "correct": True}])
    with pytest.raises(InputError) as caught:
        api.compare([a, b])
    assert "no problem of 'b' is one of 'a'" in caught.value.fault.found
    assert "--join" in caught.value.fault.remedy
    with pytest.raises(InputError, match="two authors or more"):
        api.compare([a])
    with pytest.raises(InputError, match="nothing to compare"):
        api.compare([])


def test_benchmarks_are_compared_apart(tmp_path: Path):
    rows = [{**row, "benchmark": "easy" if int(row["id"][1:]) < 30 else "hard"} for row in make_rows(0.5)]
    paths = [write_rows(tmp_path / f"{name}.jsonl", rows) for name in "ab"]
    comparison = api.compare(paths)
    assert [(pair.benchmark, pair.n_problems) for pair in comparison.figures.pairs] == [("easy", 30), ("hard", 30)]
    assert comparison.figures.family_size == 2
    assert [group.heading for group in build_tables(comparison)[0].groups] == ["easy", "hard"]


# -- grades and tokens ------------------------------------------------------------------------------------------


def test_our_grades_take_the_place_of_theirs_and_disagreements_are_counted(tmp_path: Path):
    rows = make_rows(0.5, n=10)
    flipped = [{**row, "correct": not row["correct"]} if at < 3 else row for at, row in enumerate(rows)]
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", flipped)]
    comparison = api.compare(paths, grade="math", workers=1)
    assert comparison.figures.pairs[0].comparison.difference.value == 0
    account = comparison.accounts["b"]
    assert account.n_compared == 40
    assert account.only_ours_right + account.only_theirs_right == 3
    assert "differ on 3 of 40 grades" in " ".join(list_remarks(comparison))


def test_every_response_of_lm_eval_is_graded_by_ours():
    paths = [str(DATA / "lm_eval_careful.jsonl"), str(DATA / "inspect_careful.eval")]
    comparison = api.compare(paths, grade="math", workers=1)
    assert [author.n_samples for author in comparison.figures.authors] == [16, 16]
    assert comparison.figures.pairs[0].comparison.difference.value == 0  # the same responses, whoever logged them


def test_files_without_grades_are_refused_unless_ours_are_asked_for(tmp_path: Path):
    rows = [{name: row[name] for name in ("id", "problem", "answer", "reference")} for row in make_rows(0.5, k=1)]
    paths = [write_rows(tmp_path / f"{name}.jsonl", rows) for name in "ab"]
    with pytest.raises(InputError, match="carries no grade"):
        api.compare(paths)
    assert api.compare(paths, grade="math", workers=1).figures.authors[0].accuracy.value > 0.2


def test_tokens_can_be_counted_anew_for_all(pair: list[str]):
    comparison = api.compare(pair, tokenizer="words")
    ratio = comparison.figures.pairs[0].comparison.token_ratio
    assert ratio is not None
    assert ratio.value == pytest.approx(1, abs=0.05)
    assert "Tokens in words" in build_tables(comparison)[0].note


def test_ungraded_samples_are_wrong_and_counted(tmp_path: Path):
    rows = [{**row, "correct": None} if row["sample"] == 0 else row for row in make_rows(0.9)]
    paths = [write_rows(tmp_path / "a.jsonl", rows), write_rows(tmp_path / "b.jsonl", make_rows(0.9))]
    comparison = api.compare(paths)
    assert comparison.figures.authors[0].n_ungraded == 60
    assert "60 of 240 samples ungraded" in " ".join(list_remarks(comparison))
    assert comparison.figures.pairs[0].comparison.difference.value > 0


# -- written and read back --------------------------------------------------------------------------------------


def figures_of(comparison: Any) -> list[Any]:
    return [
        [(a.accuracy.value, a.accuracy.low, a.n_samples, a.n_ungraded) for a in comparison.figures.authors],
        [
            (p.comparison.difference, p.comparison.adjusted_p, p.comparison.token_ratio)
            for p in comparison.figures.pairs
        ],
    ]


@pytest.mark.parametrize("format", ["inspect", "lm-eval", "csv"])
def test_what_is_exported_is_read_back_to_the_same_figures(tmp_path: Path, format: str):
    good, bad = make_rows(0.7, seed=1), make_rows(0.4, seed=2)
    bad[0]["correct"] = None
    bad[1]["answer"] = '\n\n   first, a "quoted" line\n\n\ud800 \\boxed{1}\n'
    bad[2]["answer"] += " at length" * 20_000
    for row in (*good, *bad):
        row["id"] = f"{row['id']}/../x y"  # no id becomes a path
    paths = [write_rows(tmp_path / f"{name}.jsonl", rows) for name, rows in (("good", good), ("bad", bad))]
    before = api.compare(paths, cluster="group", export=format, to=tmp_path / "out")
    names = ("good", "bad")
    back = {
        "inspect": [f"{name}={tmp_path}/out/{name}.eval" for name in names],
        "lm-eval": [f"{tmp_path}/out/{name}" for name in names],
        "csv": [f"{tmp_path}/out/{name}.csv" for name in names],
    }[format]
    fields = {"lm-eval": "id=id,tokens=tokens"}.get(format)
    after = api.compare(back, cluster="cluster", fields=fields)
    assert figures_of(after) == figures_of(before)
    assert after.joined.by == "id"
    assert after.joined.problems[0].problem_id == "p0/../x y"
    assert after.joined.problems[5].reference == "10"
    again = api.compare(back, cluster="cluster", fields=fields, grade="math", workers=1)
    assert again.accounts["good"].only_ours_right == again.accounts["good"].only_theirs_right == 0
    for side in range(2):
        written = [answer.replace("\ud800", "?") for answer in before.joined.sets[side].answers]
        assert list(again.joined.sets[side].answers) == written
    with pytest.raises(InputError, match="is there already"):
        api.compare(paths, export=format, to=tmp_path / "out")


def test_a_page_escapes_what_files_say(tmp_path: Path):
    rows = [{**row, "benchmark": "<script>alert(1)</script>"} for row in make_rows(0.5)]
    paths = [f"<b>a\x1b[31m={write_rows(tmp_path / 'x.jsonl', rows)}", write_rows(tmp_path / "b.jsonl", rows)]
    api.compare(paths, report=tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\x1b" not in page
    assert "Holm over 1" in page
    assert "| Pairs" not in (tmp_path / "page" / "report.md").read_text()
    assert "\\[31m" in (tmp_path / "page" / "report.md").read_text() or "[31m" in page


# -- studies, and the command line ------------------------------------------------------------------------------

STUDY = """
name = "two-teachers"
[problems]
kind = "synthetic"
count = 30
max_steps = 3
[decontaminate]
enabled = false
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
error_rate = 0.1
samples = 2
[teachers.concise]
kind = "procedural"
procedure = "concise"
error_rate = 0.4
samples = 2
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose teachers have answered, in a store beside it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    api.run(folder / "study.toml", store=folder / "store", until="verify", quiet=True)
    return folder


def test_all_authors_of_a_study_are_compared_by_the_verdicts_in_its_store(study: Path):
    comparison = api.compare([str(study / "study.toml")], store=study / "store")
    assert [one.name for one in comparison.joined.sets] == ["verbose", "concise"]
    rows = api.show(study / "study.toml", table="verdicts", store=study / "store", limit=10_000)
    for author in comparison.figures.authors:
        right = [row["outcome"] == "correct" for row in rows if row["step"] == f"verify/{author.name}"]
        assert author.n_samples == len(right) == 60
        assert author.accuracy.value == pytest.approx(np.mean(right))
        assert author.tokens is not None
    (pair,) = comparison.figures.pairs
    assert pair.claim == "established worse"


def test_an_author_of_a_study_is_compared_with_a_file(study: Path, tmp_path: Path):
    named = f"{study}/study.toml#verbose"
    whole = api.compare([named, f"{study}/study.toml:concise"], store=study / "store", export="csv", to=tmp_path)
    file = f"mine={tmp_path}/verbose_problems.csv"
    comparison = api.compare([named, file], store=study / "store", grade="math", workers=1)
    assert comparison.joined.by == "text"
    assert comparison.figures.pairs[0].comparison.difference.value == 0
    assert whole.figures.authors[0].n_samples == comparison.figures.authors[0].n_samples == 60
    with pytest.raises(InputError, match="no results of 'verbos'") as caught:
        api.compare([f"{study}/study.toml#verbos", named], store=study / "store")
    assert "verbose" in caught.value.fault.expected


def test_the_command_prints_tables_sentences_and_json(pair: list[str], tmp_path: Path):
    command = [sys.executable, "-m", "lakon", "compare", *pair]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Authors" in shown
    assert "bad is worse than good (60 common problems)" in shown
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    plain = json.loads(printed)
    assert plain["pairs"][0]["claim"] == "established worse"
    assert plain["authors"][0]["n_samples"] == 240
    failed = subprocess.run([*command, "--grade", "maths"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "expected:" in failed.stderr
    assert "Traceback" not in failed.stderr
