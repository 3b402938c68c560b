"""The page shows what was scored, escapes what models wrote, and leaves out what is not there."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs
from render_reports import HOSTILE, STUDENTS, bare, full, recorded, score

from lakon.core.records import HeldOutLoss, Loss
from lakon.core.report_data import Familiarity, FunnelRow, ModelCard, ReportData, Sentence
from lakon.render import render_page
from lakon.render.blocks import keep_unbroken
from lakon.render.page import inert_json
from lakon.render.study_tables import TRACE_LIMIT


class _Reader(HTMLParser):
    """Collects the tags of a page, the text outside scripts and styles, and the figures' JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.specs: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        kind = dict(attrs).get("type")
        self._inside = "json" if kind == "application/json" else tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "json":
            self.specs.append(data)
        elif not self._inside:
            self.text.append(data)


def _read(data: ReportData) -> _Reader:
    reader = _Reader()
    reader.feed(render_page(data))
    return reader


@pytest.fixture(scope="module")
def page() -> _Reader:
    return _read(full())


def test_hostile_text_makes_no_element_and_no_handler(page: _Reader) -> None:
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"img", "iframe", "object", "embed", "form", "base"})
    scripts = [attrs for tag, attrs in page.tags if tag == "script" and attrs.get("type") != "application/json"]
    assert scripts == [{"type": "application/gzip", "id": "library"}, {}]
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert not [attrs for tag, attrs in page.tags if tag == "a" and not (attrs["href"] or "").startswith("#")]


def test_hostile_text_is_shown_as_it_stands(page: _Reader) -> None:
    text = "".join(page.text)
    assert "<script>alert(1)</script></script><img src=x onerror=alert(2)>" in text
    assert "{{ 7 * 7 }}{% raw %}" in text
    assert "caf\u00e9 \u8ba1\u7b97 \U0001f600" in text


@pytest.mark.parametrize("character", ["\u202e", "\u202c", "\x00", "\x1b"])
def test_direction_and_control_characters_are_spelled_out(character: str) -> None:
    html = render_page(replace(full(), losses={}, scores=(), outcomes={}))
    assert character in HOSTILE
    assert character not in html
    assert f"\\u{{{ord(character):04X}}}" in html


def test_a_lone_surrogate_does_not_break_the_encoding() -> None:
    html = render_page(bare(title="broken \ud83d here"))
    assert b"broken \\u{D83D} here" in html.encode()


def test_the_policy_names_the_hash_of_every_script_and_nothing_else() -> None:
    html = render_page(recorded())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert policy[1].count("sha256-") == 2
    directives = [part for part in policy[1].split(";") if "script-src" in part]
    assert "unsafe" not in "".join(directives)


def test_the_plotting_library_is_packed_and_is_the_script_that_the_policy_names() -> None:
    html = render_page(recorded())
    assert len(html) < 2_100_000
    found = re.search(r'<script type="application/gzip" id="library">([A-Za-z0-9+/=]+)</script>', html)
    assert found is not None
    library = gzip.decompress(base64.b64decode(found[1]))
    assert library.decode() == get_plotlyjs()
    assert f"sha256-{base64.b64encode(hashlib.sha256(library).digest()).decode()}" in unescape(html)
    assert render_page(recorded()) == html


def test_the_page_names_no_address_that_could_be_fetched(page: _Reader) -> None:
    fetching = [attrs for tag, attrs in page.tags if tag in ("link", "script", "img", "use", "source")]
    urls = [value for attrs in fetching for key, value in attrs.items() if key in ("src", "href", "srcset")]
    assert urls == ["data:,"]


@pytest.mark.parametrize("data", [full(), recorded()], ids=["full", "recorded"])
def test_every_figure_is_one_that_plotly_knows(data: ReportData) -> None:
    import plotly.graph_objects as go

    specs = _read(data).specs
    assert specs
    for spec in specs:
        go.Figure(json.loads(spec))


def test_every_figure_has_its_numbers_as_a_table(page: _Reader) -> None:
    n_figures = sum(tag == "figure" for tag, _ in page.tags)
    text = "".join(page.text)
    assert n_figures == len(page.specs) == 13
    assert text.count("Numbers of this figure") == n_figures


def test_the_main_table_gives_each_author_under_its_match_rule(page: _Reader) -> None:
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert "Students, arms matched by problems verbose 72.3% [66.2, 78.4]" in text
    assert "Students, arms matched by tokens verbose@tokens 54.8% [48.0, 61.6]" in text
    for label in STUDENTS:
        assert text.count(f" {label} ") >= 4
    assert "3 (0.3%)" in text


def test_the_order_under_each_rule_is_told(page: _Reader) -> None:
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert "verbose and concise verbose by 11.1 [5.3, 16.9] concise by 12.3 [6.5, 18.1] flips" in text
    assert "verbose and routed verbose by 2.1 [\u22123.7, 7.9] routed by 8.2 [2.4, 14.0] flips, not settled" in text


def test_an_order_that_the_p_value_takes_back_is_not_settled() -> None:
    weak = tuple(replace(each, p_value=0.2) if each.p_value is not None else each for each in full().scores)
    text = re.sub(r"\s+", " ", " ".join(_read(replace(full(), scores=weak)).text))
    assert "concise by 12.3 [6.5, 18.1] flips, not settled" in text


def test_right_and_wrong_are_words(page: _Reader) -> None:
    text = "".join(page.text)
    assert text.count("RIGHT") == 4
    assert text.count("WRONG") == 2
    assert text.count("NOT GRADED") == 2


def test_losses_are_read_from_the_curve() -> None:
    curve = [Loss(step=i, n_tokens=0, loss=4.0 if i < 2 else 1.0, learning_rate=0.1) for i in range(40)]
    text = " ".join(_read(bare(losses={"a#0": curve, "a#1": curve[:1]})).text)
    assert "a#0 starts at 4.00 and ends at 1.00 (means of the first and last 2 steps)" in text
    assert "a#1 starts at 4.00 and ends at 4.00 (first and last step)" in text


def test_familiarity_is_told_in_words_in_a_table_and_by_position(page: _Reader) -> None:
    text = " ".join("".join(page.text).split())
    assert "Loss of the base a token, in nats: 0.300 [0.280, 0.320] for verbose-teacher and 1.500" in text
    assert "is +1.200 [1.100, 1.300] nats a token, p < 0.001." in text
    found = "No difference in familiarity between odd-teacher and verbose-teacher is established"
    assert f"{found} (+0.010 [\u22120.100, 0.120] nats a token, p = 0.830)." in text
    assert "3 problems are left out: 4 traces are longer than its context of 1,024 tokens." in text
    assert "16,385 on" in text


def test_a_base_that_nothing_was_measured_of_says_why() -> None:
    none, gone = (
        Familiarity(student="", n_problems=0),
        Familiarity(student="b", n_problems=0, n_left_out=2, n_too_long=2),
    )
    text = " ".join("".join(_read(bare(familiarity=(none, gone))).text).split())
    assert "The loss of the base was not measured: there is no problem that all teachers got right." in text
    assert "The loss of the base of b was measured on no problem." in text
    assert "2 problems are left out: 2 traces are longer than its context." in text


def test_held_out_curves_have_one_axis_and_pass_over_what_is_no_number(page: _Reader) -> None:
    specs = [json.loads(spec) for spec in page.specs]
    held_out = [spec for spec in specs if spec["layout"]["yaxis"]["title"]["text"] == "held-out loss"]
    assert len(held_out) == 2
    assert len({json.dumps([spec["layout"][axis]["range"] for axis in ("xaxis", "yaxis")]) for spec in held_out}) == 1
    assert [len(spec["data"]) for spec in held_out] == [2, 2]
    rows = [
        HeldOutLoss(step=step, trained_tokens=step, style="a", loss=loss, n_tokens=1)
        for step, loss in ((0, 2.0), (1, float("nan")), (2, 1.0))
    ]
    (spec,) = map(json.loads, _read(bare(held_out={"r": rows, "none": []})).specs)
    assert spec["data"][0]["y"] == [2.0, 1.0]


def test_caveats_stand_before_the_conclusions() -> None:
    text = "".join(_read(replace(full(), conclusions=(Sentence(text="It is so."),))).text)
    assert text.index("every figure on it is invented") < text.index("It is so.")


def test_teachers_alone_make_a_whole_page() -> None:
    text = " ".join(" ".join(_read(recorded()).text).split())
    assert "deepseek-r1 84.6% [83.0, 86.2] 15,512 [15,092, 15,932]" in text
    assert "gpt-oss against deepseek-r1 +0.5 [\u22120.6, +1.6]" in text
    assert "Students" not in text
    assert "Training" not in text


def test_an_empty_report_has_no_sections_and_no_plotting_library() -> None:
    html = render_page(bare())
    assert len(html) < 15_000
    assert "<h2" not in html
    assert "script-src &#39;none&#39;" in html


def test_the_resolved_study_is_shown_even_with_nothing_else() -> None:
    assert "&#34;seed&#34;: 3" in render_page(bare(resolved='{"seed": 3}'))


def test_figures_without_intervals_or_finite_numbers_are_still_drawn() -> None:
    scores = (
        score("b", "a", "accuracy", 0.0),
        score("b", "a", "tokens", 12.0),
        score("b", "a", "tokens_per_correct", float("inf")),
        score("b", "zero", "accuracy", 0.5),
        score("b", "zero", "tokens", 0.0),
        score("b", "a", "accuracy", float("nan"), group="odd"),
        score("b", "a", "accuracy_within_budget", 0.5, at=64.0),
    )
    reader = _read(bare(scores=scores, outcomes={"a / b": {}, "z / b": {"strange": 2}}))
    text = " ".join(" ".join(reader.text).split())
    assert "a 0.0% 12.0 \u221e 0" in text
    assert len(reader.specs) == 4


def test_empty_and_zero_rows_do_no_harm() -> None:
    data = bare(
        funnel=(FunnelRow(label="problems", n=0),),
        losses={"a": [], "b": [Loss(step=0, n_tokens=0, loss=0.0, learning_rate=0.0)]},
        authors=(ModelCard(label="a", kind="student"),),
        outcomes={"a / b": {"correct": 0}},
    )
    assert "problems" in render_page(data)


def test_a_long_trace_is_cut_and_says_so() -> None:
    shown = full().showcases[0]
    author, trace, found = shown.entries[0]
    long = replace(trace, reasoning="x" * (TRACE_LIMIT + 1234))
    html = render_page(bare(showcases=(replace(shown, entries=((author, long, found),)),)))
    assert "1,234 more characters are not shown" in html
    assert "x" * (TRACE_LIMIT + 1) not in html


def test_inert_json_cannot_end_its_element() -> None:
    made = str(inert_json({"a": "</script><!--&"}))
    assert not re.search("[<>&]", made)
    assert json.loads(made) == {"a": "</script><!--&"}


def test_intervals_and_p_values_do_not_break_over_lines() -> None:
    assert keep_unbroken("61.2% [55.1, 67.0], p = 0.310") == "61.2% [55.1,\u00a067.0], p\u00a0=\u00a00.310"


def test_every_comparison_in_words_is_folded_and_escaped() -> None:
    html = render_page(bare(conclusions=(Sentence(text="In short."), Sentence(text=HOSTILE, detail=True))))
    reader = _Reader()
    reader.feed(html)
    assert "<summary>Every comparison in words (1)</summary>" in html
    assert html.index("In short.") < html.index("<details>")
    assert {tag for tag, _ in reader.tags}.isdisjoint({"img", "iframe", "script"})
    assert "<script>alert(1)</script>" in "".join(reader.text)


def test_two_runs_that_are_the_same_are_said_to_be() -> None:
    curve = [Loss(step=0, n_tokens=9, loss=1.0, learning_rate=0.1)]
    first = ModelCard(label="v", kind="student", arm="v", match="problems", n_examples=2, n_train_tokens=9)
    second = replace(first, label="v@tokens", match="tokens")
    both = {"authors": (first, second), "losses": {"v": curve, "v@tokens": curve}}
    assert "v@tokens is the same run as v" in render_page(bare(**both))
    other = [replace(curve[0], loss=2.0)]
    assert "the same run" not in render_page(bare(**{**both, "losses": {"v": curve, "v@tokens": other}}))


def test_an_author_named_twice_has_one_row() -> None:
    cards = (ModelCard(label="v", kind="teacher"), ModelCard(label="v", kind="student", match="problems"))
    text = " ".join(_read(bare(authors=cards, scores=(score("b", "v", "accuracy", 0.5),))).text)
    assert text.count("50.0%") == 1
    assert "Students, arms matched by problems" in text


def test_many_curves_leave_their_intervals_to_the_table() -> None:
    few = [score("b", f"a{i}", "accuracy_within_budget", 0.5, 0.1, at=64.0) for i in range(4)]
    many = [*few, replace(few[0], author="a4")]
    specs = [json.loads(_read(bare(scores=tuple(scores))).specs[0])["data"] for scores in (few, many)]
    assert [sum("fill" in trace for trace in spec) for spec in specs] == [4, 0]


def test_names_stand_beside_points_only_where_they_do_not_overlap() -> None:
    def labelled(accuracy: float) -> bool:
        places = {"a": (0.5, 100.0), "b": (accuracy, 101.0)}
        scores = [
            score("b", name, metric, value, 0.02)
            for name, figures in places.items()
            for metric, value in zip(("accuracy", "tokens"), figures, strict=True)
        ]
        return "labelled" in json.loads(_read(bare(scores=tuple(scores))).specs[0])["layout"]["meta"]

    assert labelled(0.9)
    assert not labelled(0.501)


def test_methods_that_differ_only_in_numbers_share_a_row() -> None:
    scores = tuple(
        replace(score("b", f"a{n}", "accuracy", 0.5), method=f"Wilson, effective n {n}.0, seed {n}12345678")
        for n in (3, 20)
    )
    assert "Wilson, effective n 3.0 to 20.0, seed \u2026" in render_page(bare(scores=scores))
