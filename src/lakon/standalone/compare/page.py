"""A comparison as a page and as Markdown, made of the blocks of the report's render room."""

from __future__ import annotations

from pathlib import Path

from lakon.core.errors import InputError
from lakon.core.report_data import ReportData, Sentence
from lakon.render.markdown import render_sections_as_markdown
from lakon.render.page import render_sections
from lakon.standalone.compare.compare import ComparedResults
from lakon.standalone.compare.words import build_page_sections, list_sentences


def write_page(comparison: ComparedResults, folder: Path) -> None:
    """Write `index.html` and `report.md` into the folder. Raises `InputError`."""
    data, sections, scope = _data(comparison), build_page_sections(comparison), _scope(comparison)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(render_sections(data, sections, scope), encoding="utf-8")
        (folder / "report.md").write_text(render_sections_as_markdown(data, sections, scope), encoding="utf-8")
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        raise InputError(found, "a folder that can be written", "choose another --report") from error


def _scope(comparison: ComparedResults) -> str:
    names = ", ".join(one.name for one in comparison.joined.sets)
    return f"{len(comparison.joined.sets)} authors, {len(comparison.joined.problems):,} problems: {names}"


def _data(comparison: ComparedResults) -> ReportData:
    """What a page has beside its sections: title and sentences. It has no study, and no scores of one."""
    options = comparison.figures.options
    return ReportData(
        study="",
        title="Comparison",
        description="Results that were there already, compared problem by problem.",
        caveats=(),
        conclusions=tuple(Sentence(text=text) for text in list_sentences(comparison)),
        authors=(),
        benchmarks=(),
        scores=(),
        losses={},
        funnel=(),
        outcomes={},
        showcases=(),
        tokenizer=comparison.tokenizer or "",
        margin=options.margin or 0.0,
        margin_stated=options.margin is not None,
        confidence=options.confidence,
        provenance={},
        resolved="",
    )
