"""The verdict says what the intervals carry and no more: each kind of finding, each way of not finding."""

from __future__ import annotations

from dataclasses import replace

from lakon.core.records import Score
from lakon.core.report_data import ModelCard
from lakon.stages.report.conclusions import draw_conclusions

VERBOSE = ModelCard(label="verbose", kind="student", arm="verbose", match="problems", seeds=(0,))
CONCISE = ModelCard(label="concise", kind="student", arm="concise", match="problems", seeds=(0,))
VERBOSE_T = ModelCard(label="verbose@tokens", kind="student", arm="verbose", match="tokens", seeds=(0,))
CONCISE_T = ModelCard(label="concise@tokens", kind="student", arm="concise", match="tokens", seeds=(0,))
TWO = [VERBOSE, CONCISE]


def _score(
    author: str,
    metric: str,
    estimate: float,
    low: float | None = None,
    high: float | None = None,
    *,
    baseline: str | None = None,
    p_value: float | None = None,
    n: int = 128,
    k: int = 8,
    benchmark: str = "held-out",
    n_ungraded: int = 0,
    group: str | None = None,
) -> Score:
    return Score(
        benchmark=benchmark,
        author=author,
        metric=metric,
        baseline=baseline,
        estimate=estimate,
        low=low,
        high=high,
        p_value=p_value,
        group=group,
        n_problems=n,
        n_samples=n * k,
        n_ungraded=n_ungraded,
    )


def _pair(
    estimate: float,
    low: float | None,
    high: float | None,
    p_value: float | None,
    bound: float | None,
    *,
    tag: str = "",
    n: int = 128,
    worse: bool = False,
) -> list[Score]:
    author, baseline = f"concise{tag}", f"verbose{tag}"
    return [
        _score(author, "accuracy", 0.612, 0.551, 0.670, n=n),
        _score(baseline, "accuracy", 0.723, 0.662, 0.781, n=n),
        _score(author, "accuracy_difference", estimate, low, high, baseline=baseline, p_value=p_value, n=n),
        _score(author, "token_ratio", 0.2, 0.19, 0.21, baseline=baseline, n=n),
        _score(author, "non_inferiority", estimate, bound, baseline=baseline, n=n),
        *([_score(author, "inferiority", estimate, None, high, baseline=baseline, n=n)] if worse else []),
    ]


def _details(authors: list[ModelCard], scores: list[Score], margin: float = 0.05) -> list[str]:
    made = draw_conclusions(authors, scores, margin=margin, confidence=0.95)
    return [sentence.text for sentence in made if sentence.detail]


def _headline(authors: list[ModelCard], scores: list[Score], margin: float = 0.05) -> list[str]:
    made = draw_conclusions(authors, scores, margin=margin, confidence=0.95)
    return [sentence.text for sentence in made if not sentence.detail]


def _texts(authors: list[ModelCard], scores: list[Score], margin: float = 0.05) -> list[str]:
    return [sentence.text for sentence in draw_conclusions(authors, scores, margin=margin, confidence=0.95)]


def test_a_lower_accuracy_is_stated_with_all_its_figures() -> None:
    texts = _details(TWO, _pair(-0.111, -0.169, -0.053, 0.0004, -0.16, worse=True))
    assert texts[0] == (
        "On held-out (128 problems, 8 samples each), arms matched by problems: the concise student reaches"
        " 61.2% [55.1, 67.0], the verbose student 72.3% [66.2, 78.1]; difference \u221211.1 points"
        " [\u221216.9, \u22125.3], p < 0.001; it uses 0.20\u00d7 [0.19, 0.21] the tokens of the verbose"
        " student. The accuracy of the concise student is lower (of this one training)."
        " It is worse by more than the margin of 5 points stated beforehand."
    )


def test_a_sentence_rests_on_the_scores_it_quotes() -> None:
    scores = _pair(-0.01, -0.03, 0.01, 0.4, -0.027)
    headline, *_, detail = draw_conclusions(TWO, scores, margin=0.05, confidence=0.95)
    assert set(detail.rests_on) == set(scores)
    quoted = {("verbose", "accuracy"), ("concise", "accuracy_difference"), ("concise", "token_ratio")}
    assert {(score.author, score.metric) for score in headline.rests_on} == quoted


def test_no_difference_found_is_not_called_equality() -> None:
    scores = _pair(-0.02, -0.08, 0.04, 0.5, -0.07)
    needed = replace(scores[-1], metric="problems_needed", estimate=1420.0, low=None)
    smallest = replace(needed, metric="detectable_difference", estimate=0.086)
    sentence = draw_conclusions(TWO, [*scores, needed, smallest], margin=0.05, confidence=0.95)[-1]
    text = sentence.text
    assert "cannot be told apart" in text
    assert "with 80% power is about 8.6 points" in text
    assert "is not shown (lower bound \u22127.0 points)" in text
    # the figure of the scores, no other estimate of the same
    assert "about 1,420 problems would have shown it with 90% power." in text
    assert needed in sentence.rests_on
    assert "would have shown" not in _details(TWO, [*scores, replace(needed, estimate=128.0)])[0]
    assert "equal" not in text
    assert "same" not in text


def test_non_inferiority_is_claimed_only_when_the_bound_lies_inside_the_margin() -> None:
    inside = _details(TWO, _pair(-0.01, -0.05, 0.03, 0.5, -0.0499))[0]
    on_it = _details(TWO, _pair(-0.01, -0.05, 0.03, 0.5, -0.05))[0]
    assert "By the margin of 5 points stated beforehand it is not inferior" in inside
    assert "is not shown" in on_it


def test_a_margin_that_nobody_stated_is_called_the_default() -> None:
    (*_, detail) = draw_conclusions(
        TWO, _pair(-0.01, -0.05, 0.03, 0.5, -0.0499), margin=0.05, confidence=0.95, stated=False
    )
    assert "By the margin of 5 points (the default) it is not inferior" in detail.text
    assert "beforehand" not in detail.text


def test_teachers_that_were_asked_other_numbers_of_problems_have_theirs_beside_them() -> None:
    teachers = [ModelCard(label=name, kind="teacher") for name in ("brief", "deep")]
    scores = [_score("brief", "accuracy", 0.8, 0.7, 0.9, n=128), _score("deep", "accuracy", 0.9, 0.8, 1.0, n=101)]
    (said,) = _headline(teachers, scores)
    assert "the deep teacher reaches 90.0% [80.0, 100.0] on 101 problems" in said
    assert "the brief teacher reaches 80.0% [70.0, 90.0];" in said


def test_lower_but_within_the_margin_says_both() -> None:
    text = _details(TWO, _pair(-0.02, -0.03, -0.01, 0.001, -0.029))[0]
    assert "is lower (of this one training). By the margin" in text


def test_an_adjusted_p_value_can_take_back_what_the_interval_shows() -> None:
    text = _details(TWO, _pair(-0.06, -0.11, -0.01, 0.08, -0.1))[0]
    assert "suggested, not established" in text
    assert "is lower" not in text


def test_missing_intervals_claim_nothing() -> None:
    text = _details(TWO, _pair(-0.06, None, None, None, None))[0]
    assert "difference \u22126.0 points; it uses" in text
    assert "has no interval" in text
    assert "None" not in text
    assert "is lower" not in text


def test_a_zero_width_interval_promises_no_detectable_difference() -> None:
    text = _details(TWO, _pair(0.0, 0.0, 0.0, 1.0, 0.0))[0]
    assert "cannot be told apart here." in text
    assert "80% power" not in text


def test_the_order_flips_only_when_both_differences_are_established() -> None:
    authors = [VERBOSE, CONCISE, VERBOSE_T, CONCISE_T]
    under_problems = _pair(-0.111, -0.169, -0.053, 0.0004, -0.16)
    flipped = _texts(authors, under_problems + _pair(0.12, 0.06, 0.18, 0.0004, 0.07, tag="@tokens"))
    unsettled = _texts(authors, under_problems + _pair(0.04, -0.02, 0.1, 0.2, -0.01, tag="@tokens"))
    same = _texts(authors, under_problems + _pair(-0.12, -0.18, -0.06, 0.0004, -0.17, tag="@tokens"))
    assert (
        "On held-out the order of verbose and concise flips with the rule by which arms are matched:"
        " matched by problems, verbose is ahead by 11.1 points [5.3, 16.9];"
        " matched by tokens, concise is ahead by 12.0 points [6.0, 18.0]."
    ) in flipped
    assert any("so the flip is not either" in text for text in unsettled)
    assert not any("flips with the rule by which" in text for text in unsettled)
    assert any("is the same under every rule" in text for text in same)


def test_the_order_without_intervals_is_never_established() -> None:
    accuracies = {"verbose": 0.7, "concise": 0.6, "verbose@tokens": 0.5, "concise@tokens": 0.6}
    scores = [_score(label, "accuracy", value, value - 0.01, value + 0.01) for label, value in accuracies.items()]
    texts = _texts([VERBOSE, CONCISE, VERBOSE_T, CONCISE_T], scores)
    assert any("so the flip is not either" in text for text in texts)


def test_authors_compared_with_nobody_are_listed() -> None:
    base = ModelCard(label="base", kind="base")
    scores = [
        _score("base", "accuracy", 0.121, 0.08, 0.17),
        _score("base", "accuracy", 0.5, group="steps=2"),
        _score("base", "tokens", 640, 600, 680),
    ]
    assert _texts([base], scores) == [
        "On held-out (128 problems, 8 samples each): the base before training reaches 12.1% [8.0, 17.0]"
        " with 640 [600, 680] tokens a sample."
    ]


def test_teachers_alone_are_compared_and_no_seed_is_spoken_of() -> None:
    teachers = [ModelCard(label=label, kind="teacher") for label in ("r1", "oss")]
    scores = [
        _score("oss", "accuracy", 0.851, 0.84, 0.86, benchmark="problems", k=1),
        _score("r1", "accuracy", 0.846, 0.83, 0.86, benchmark="problems", k=1),
        _score("oss", "accuracy_difference", 0.005, -0.01, 0.02, baseline="r1", benchmark="problems", k=1),
    ]
    place = "On the study's own problems (128 problems, one sample each)"
    assert _headline(teachers, scores) == [
        f"{place}: the r1 teacher reaches 84.6% [83.0, 86.0]; against it: oss +0.5 points"
        " [\u22121.0, 2.0]. This difference is not established."
    ]
    assert _details(teachers, scores)[0].startswith(f"{place}: the oss teacher reaches 85.1%")


def _starts(texts: list[str], head: str) -> bool:
    return any(text.startswith(head) for text in texts)


def test_one_seed_is_said_and_several_are_not_called_one() -> None:
    several = ModelCard(label="verbose", kind="student", arm="verbose", match="problems", seeds=(0, 1, 2))
    scores = _pair(-0.02, -0.08, 0.04, 0.5, -0.07)
    assert _starts(_texts(TWO, scores), "Each student was trained with one seed")
    assert _starts(_texts([several, CONCISE], scores), "concise was trained with one seed")
    both = [
        several,
        ModelCard(label="concise", kind="student", arm="concise", match="problems", seeds=(0, 1)),
    ]
    assert not any("one seed" in text for text in _texts(both, scores))


def test_ungraded_samples_are_named_with_their_bound() -> None:
    scores = [_score("concise", "accuracy", 0.6, 0.5, 0.7, n_ungraded=13)]
    assert any("13 of 1,024 (1.3%, the concise student on held-out)" in text for text in _texts([CONCISE], scores))


def test_the_own_problems_come_after_the_held_out_ones() -> None:
    scores = [_score("r1", "accuracy", 0.9, benchmark=name) for name in ("problems", "held-out")]
    texts = _texts([ModelCard(label="r1", kind="teacher")], scores)
    assert [text.split(" (")[0] for text in texts] == ["On held-out", "On the study's own problems"]


def test_nothing_scored_says_nothing() -> None:
    assert draw_conclusions([VERBOSE], [], margin=0.05, confidence=0.95) == ()


def test_the_headline_has_one_sentence_for_each_benchmark_and_match_rule() -> None:
    mixed = replace(CONCISE, label="mixed", arm="mixed")
    base = ModelCard(label="base", kind="base")
    scores = [
        *_pair(-0.111, -0.169, -0.053, 0.0004, -0.16),
        _score("mixed", "accuracy_difference", -0.01, -0.04, 0.02, baseline="verbose", p_value=0.5),
        _score("mixed", "token_ratio", 0.6, baseline="verbose"),
        _score("mixed", "non_inferiority", -0.01, -0.035, baseline="verbose"),
        _score("verbose", "tokens", 412, 398, 427),
        _score("base", "accuracy", 0.121, 0.08, 0.17),
        *_pair(0.12, 0.06, 0.18, 0.0004, 0.07, tag="@tokens"),
    ]
    texts = _headline([base, VERBOSE, CONCISE, mixed, VERBOSE_T, CONCISE_T], scores)
    assert texts[0] == (
        "On held-out (128 problems, 8 samples each), arms matched by problems: the verbose student reaches"
        " 72.3% [66.2, 78.1] with 412 tokens a sample; against it: concise \u221211.1 points"
        " [\u221216.9, \u22125.3] at 0.20\u00d7 the tokens; mixed \u22121.0 [\u22124.0, 2.0] at 0.60\u00d7."
        " Established (of this one training): accuracy is lower for concise; no other difference is."
        " By the margin of 5 points stated beforehand, not inferior: mixed."
        " The base before training reaches 12.1% [8.0, 17.0]."
    )
    assert [text.split(":")[0].split(" flips")[0] for text in texts[1:]] == [
        "On held-out (128 problems, 8 samples each), arms matched by tokens",
        "On held-out the order of verbose and concise",
        "Each student was trained with one seed",
    ]


def test_teachers_are_background_once_students_are_compared() -> None:
    teachers = [ModelCard(label=f"{name} (teacher)", kind="teacher") for name in ("verbose", "concise")]
    first, second = (card.label for card in teachers)
    own = [
        _score(first, "accuracy", 0.95, benchmark="problems"),
        _score(second, "accuracy_difference", -0.05, -0.12, 0.02, baseline=first, benchmark="problems"),
    ]
    scores = [*_pair(-0.111, -0.169, -0.053, 0.0004, -0.16), *own]
    assert not any("teacher" in text for text in _headline([*teachers, *TWO], scores))
    assert "the concise teacher against the verbose teacher" in _details([*teachers, *TWO], scores)[-1]
