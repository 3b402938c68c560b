"""Markdown and terminal lines carry the page's numbers, and hostile text cannot become markup in them."""

from __future__ import annotations

import re
from dataclasses import replace

from render_reports import HOSTILE, bare, full, recorded

from lakon.core.report_data import Sentence
from lakon.render import render_markdown, summary_lines


def _outside_fences(text: str) -> str:
    kept: list[str] = []
    fence = ""
    for line in text.splitlines():
        mark = re.match(r"`{3,}", line)
        if not fence and mark:
            fence = mark[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_hostile_text_is_no_markup_outside_fences() -> None:
    text = _outside_fences(render_markdown(full()))
    assert "alert(" in text
    assert not re.search(r"<[a-z/!]", text)
    assert "](" not in text.replace("\\](", "")
    assert "://" not in text


def test_a_fence_is_longer_than_any_run_of_backticks_in_it() -> None:
    text = render_markdown(bare(resolved="a\n`````\n<b>"))
    assert "``````json\na\n`````\n<b>\n``````" in text
    assert "<b>" not in _outside_fences(text)


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", render_markdown(full()), re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_the_markdown_has_the_page_s_numbers() -> None:
    text = render_markdown(full())
    assert "| verbose | 72.3% [66.2, 78.4] | 87.3% [81.2, 93.4] | 412 [387, 437] |" in text
    assert "**verbose**: RIGHT" in text
    assert "\u202e" not in text


def test_an_empty_report_is_a_title() -> None:
    assert render_markdown(bare()) == "# Bare\n\nStudy bare.\n"


def test_summary_gives_the_conclusions_then_a_table() -> None:
    lines = summary_lines(recorded())
    assert lines[0].startswith("- On the study's own problems (2,000 problems, one sample each)")
    assert max(len(line) for line in lines) <= 100
    table = lines[lines.index("") + 1 :]
    assert table[0] == "the study's own problems (2,000 problems)"
    assert table[1].split() == ["author", "accuracy", "tokens", "of", "baseline"]
    assert re.fullmatch(r"gpt-oss +85\.1% \[83\.5, 86\.7\] +3,480 \[3,350, 3,610\] +0\.22\u00d7", table[3])


def test_summary_sends_no_control_characters_to_the_terminal() -> None:
    lines = summary_lines(bare(conclusions=(Sentence(text=HOSTILE),)))
    assert lines
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", "".join(lines))


def test_an_author_that_was_asked_fewer_problems_says_so_in_the_summary() -> None:
    data = recorded()
    fewer = [replace(s, n_problems=1300) if s.author == "gpt-oss" and s.baseline is None else s for s in data.scores]
    lines = summary_lines(replace(data, scores=tuple(fewer)))
    table = lines[lines.index("") + 1 :]
    assert table[1].split()[:3] == ["author", "accuracy", "problems"]
    assert " 1,300 " in table[3]
    assert "2,000" not in table[2]


def test_notes_speak_only_of_columns_that_are_there() -> None:
    data = recorded()
    assert "P values are adjusted" in render_markdown(data)
    assert "A ratio below 1" in render_markdown(data)
    assert "Tokens are counted with" in render_markdown(data)
    kept = ("accuracy", "accuracy_difference", "non_inferiority")
    bared = tuple(replace(s, p_value=None) for s in data.scores if s.metric in kept)
    text = render_markdown(replace(data, scores=bared, margin_stated=False))
    for absent in ("P values", "A ratio below 1", "Tokens are counted", "was stated before the run"):
        assert absent not in text
    assert "The margin is the default: the study states none." in text


def test_what_is_not_graded_is_told_by_kind() -> None:
    text = render_markdown(bare(outcomes={"a / b": {"correct": 3, "error": 1}}))
    assert "Not graded says nothing about the author: error, the call failed, so that there is no answer." in text
    assert "the verifier could not" not in text
    assert "Not graded" not in render_markdown(bare(outcomes={"a / b": {"correct": 3}}))


def test_nothing_scored_makes_no_lines() -> None:
    assert summary_lines(bare()) == []


def test_details_stand_after_the_tables_and_not_in_the_terminal() -> None:
    data = bare(conclusions=(Sentence(text="First."), Sentence(text="All of it.", detail=True)), resolved="{}")
    text = render_markdown(data)
    order = [text.index(part) for part in ("## Conclusions", "First.", "## Every comparison in words", "All of it.")]
    assert order == sorted(order)
    assert render_markdown(full()).index("## Provenance") < render_markdown(full()).index(
        "## Every comparison in words"
    )
    assert summary_lines(data) == ["- First."]


def test_the_summary_of_a_whole_study_fits_on_a_screen() -> None:
    lines = summary_lines(full())
    assert len(lines) <= 60
    assert max(len(line) for line in lines) <= 100
    rules = [line.split()[1] for line in lines if line.startswith(("verbose ", "verbose@tokens "))]
    assert rules == ["problems", "tokens"] * 2
    assert len([line for line in lines if line.startswith("concise@tokens ")]) == 2
