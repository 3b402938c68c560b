"""Every outcome once, from a real server's reply to the report's table: none is ever counted as another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e_study import cli_in
from faults import FaultServer

from lakon import api
from lakon.core.records import Outcome, Verdict
from lakon.study.load import load_study

STUDY = """
name = "outcomes"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.one]
kind = "endpoint"
model = "m"
[verify]
limit_s = 1.0
[run]
endpoints.one = {{ url = "{url}", retries = 0 }}
"""
SLOW = r"\sum_{k=1}^{2000}\sum_{j=1}^{2000} \frac{1}{k j+%d}"
ROWS = {
    "right": (r"\frac{1}{2}", r"\boxed{0.5}", Outcome.CORRECT, "rational"),
    "wrong": ("5", r"\boxed{6}", Outcome.INCORRECT, "integer"),
    "strange": ("x^2+@", r"\boxed{y?@}", Outcome.UNPARSED, "unread"),
    "length of it": ("5", "", Outcome.TRUNCATED, "unfinished"),
    "slow": (SLOW % 1, rf"\boxed{{{SLOW % 2}}}", Outcome.TIMEOUT, "limit"),
    "filter it": ("5", "", Outcome.REFUSED, "finish-reason"),
    "status400 it": ("5", "", Outcome.ERROR, "no-trace"),
}
"""Prompt to reference, reply, outcome and method; the server misbehaves as the first word of a prompt says."""


def reply(body: dict[str, Any], n: int) -> tuple[str, int]:
    return ROWS[body["messages"][-1]["content"]][1], 9


def test_every_outcome_is_made_and_told_of(tmp_path: Path):
    assert {row[2] for row in ROWS.values()} == set(Outcome)
    lines = [json.dumps({"problem": prompt, "answer": row[0]}) + "\n" for prompt, row in ROWS.items()]
    (tmp_path / "problems.jsonl").write_text("".join(lines), encoding="utf-8")
    study = tmp_path / "outcomes.toml"
    with FaultServer(answers=reply) as server:
        study.write_text(STUDY.format(url=server.url), encoding="utf-8")
        api.run(study, store=tmp_path / "store", reports=tmp_path / "reports")
    states = api.plan(load_study(study), store=tmp_path / "store")
    (table,) = [s.artifact for s in states if s.step.name == "verify/one"]
    assert table is not None
    verdicts = list(table.read("verdicts", Verdict))
    assert [(v.outcome, v.method) for v in verdicts] == [(str(row[2]), row[3]) for row in ROWS.values()]
    report = (tmp_path / "reports" / "outcomes" / "report.md").read_text(encoding="utf-8")
    header, _, row = report.partition("**Outcomes of all samples**")[2].strip().splitlines()[:3]
    cells = dict(zip(header.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    assert cells == {
        "author / benchmark": "one / problems",
        **{str(o): "1" for o in ("correct", "incorrect", "truncated", "refused")},
        **{f"{o} (not graded)": "1" for o in ("unparsed", "timeout", "error")},
        "all": "7",
    }
    funnel = api.look(study, "funnel", store=tmp_path / "store")
    assert next(row for row in funnel if row["step"] == "verify/one") == {
        "step": "verify/one",
        "rows": 7,
        "left_out": {},
        "outcomes": {str(o): 1 for o in Outcome},
        "ungraded": 3,
    }
    said = cli_in(tmp_path)("show", "outcomes.toml", "funnel", "--store", "store").stdout
    counts = "correct 1, incorrect 1, unparsed 1, truncated 1, timeout 1, refused 1, error 1"
    assert f"verify/one\n  rows: 7\n  outcomes: {counts}\n  ungraded: 3\n" in said
