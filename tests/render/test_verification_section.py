"""The report's section on verification: what is said of rules, judge, audit and rulings, and nothing where none is."""

from __future__ import annotations

from render_reports import HOSTILE, bare

from lakon.core.records import Verdict
from lakon.core.report_data import AuditCounts, JudgeAccount, ReportData, Verification
from lakon.render import render_markdown, render_page
from lakon.stages.report.verification_summary import summarise_audit
from lakon.stats import Estimate

COUNTS = AuditCounts(
    n_accepts=900,
    n_rejects=100,
    upheld_accepts=97,
    overturned_accepts=3,
    overturned_rejects=2,
    upheld_rejects=88,
    undecided_rejects=10,
)


RAW = Estimate(0.8, 0.75, 0.85, "by hand", 300, 1200)


def judged() -> ReportData:
    ruled = Verdict(
        trace_id="0123456789abcdef",
        problem_id="p",
        sample_index=0,
        outcome="correct",
        extracted=HOSTILE,
        method="override",
        explanation=f"Ada: the same value {HOSTILE}",
        verifier="math@1",
    )
    account = JudgeAccount(
        n_answers=1200,
        n_judgeable=1000,
        n_asked=250,
        n_decided=50,
        n_undecided=4,
        n_calls=310,
        n_errors=2,
        n_tokens=123_456,
        n_prompt_tokens=7_890,
        audit=COUNTS,
    )
    made = Verification(
        policy="rules-then-judge",
        methods={"integer": 900, "judge": 300},
        judge="org/judge",
        votes=3,
        account=account,
        audits=(summarise_audit("a / x", COUNTS, level=0.95, raw=RAW),),
        overrides=(ruled,),
    )
    return bare(verification=made, confidence=0.95)


def section(data: ReportData) -> str:
    return render_markdown(data).partition("## Verification\n")[2].partition("\n## ")[0]


def test_the_section_says_who_decided_what_it_took_and_what_was_saved():
    text = section(judged())
    assert "Rules decided first, and a judge where they were undecided or disagreed." in text
    assert "The judge is org/judge, by the majority of 3 votes on each answer" in text
    assert "decided 50 of 1,200 answers (4 of them left undecided) and was asked about 200 more for the audit" in text
    assert "this rests on 310 replies, 2 of which failed, and 123,456 generated tokens (it read 7,890)." in text
    assert "the rules saved 75.0%" in text
    assert "| integer | 900 | 75.0% |" in text


def test_the_audit_has_counts_rates_and_intervals():
    (row,) = [line for line in section(judged()).splitlines() if line.startswith("| a / x")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "3 of 100: 3.0% [0.6, 8.5]"
    assert cells[2].startswith("2 of 90: 2.2% [0.3, ")
    assert cells[3] == "10"
    assert cells[4].startswith("97.1% [")
    assert cells[5].startswith("0.95 [0.9")
    assert cells[6] == "80.0% [75.0, 85.0]"
    # .8 - .03 * 900/1200 + 2/90 * 100/1200
    assert cells[7].startswith("77.9% [7")


def test_rulings_are_listed_with_who_and_why_and_cannot_become_markup():
    data = judged()
    assert "| 0123456789ab | " in section(data)
    assert "Ada: the same value" in section(data)
    assert "<script>alert(1)" not in render_page(data)


def test_rules_alone_are_one_sentence_and_a_table():
    text = section(bare(verification=Verification(policy="rules", methods={"string": 3})))
    assert "Rules decided every answer." in text
    assert "judge" not in text.lower()
    assert "## Verification" not in render_markdown(bare())
