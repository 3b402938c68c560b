"""One small study through the real command line: every stage, a real student trained by TRL, every verb."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from e2e_study import cli_in

from lakon import api
from lakon.core.records import Example, Exclusion, Loss, LossBin, Score, Trace, TraceLoss, Verdict
from lakon.store.artifacts import Artifact
from lakon.study.load import load_study


@pytest.fixture(scope="module")
def finished(place: Path, lakon) -> str:
    """The study, run once."""
    return lakon("run", "small.toml").stdout


@pytest.fixture
def artifact(place: Path, finished: str):
    def find(name: str) -> Artifact:
        states = api.plan(load_study(place / "small.toml"), store=place / ".lakon")
        found = next(state.artifact for state in states if state.step.name == name)
        assert found is not None
        return found

    return find


def test_it_ends_with_a_report_and_says_where(place: Path, finished: str):
    assert finished.rstrip().endswith("report: reports/small/report.html")
    page = (place / "reports" / "small" / "report.html").read_text(encoding="utf-8")
    assert "held-out" in page
    assert "concise@tokens" in page
    assert (place / "reports" / "small" / "report.md").read_text(encoding="utf-8").startswith("# ")


def test_a_second_run_executes_nothing(lakon, finished: str):
    again = json.loads(lakon("run", "small.toml", "--json").stdout)
    assert again["executed"] == []
    assert "nothing to do" in lakon("run", "small.toml").stdout


def test_every_trace_has_one_verdict_with_its_method_and_version(artifact):
    traces = list(artifact("generate/concise@tokens.held-out").read("traces", Trace))
    verdicts = list(artifact("verify/concise@tokens.held-out").read("verdicts", Verdict))
    assert [v.trace_id for v in verdicts] == [t.trace_id for t in traces]
    assert len(traces) == 12
    assert all(v.method and v.verifier.startswith("math@") for v in verdicts)
    assert all(t.completion_tokens and t.n_tokens for t in traces)


def test_teachers_err_at_a_known_rate_and_pairing_takes_the_errors_out(artifact):
    wrong = {
        v.problem_id
        for n in ("verbose", "concise")
        for v in artifact(f"verify/{n}").read("verdicts", Verdict)
        if v.outcome != "correct"
    }
    left = {e.subject for e in artifact("curate/pool").read("exclusions", Exclusion)}
    assert wrong == left
    assert 0 < len(left) < 20
    examples = list(artifact("curate/verbose").read("examples", Example))
    assert len(examples) == 40 - len(left)
    assert all(e.completion.startswith("<think>\n") and "\\boxed{" in e.completion for e in examples)


def test_matching_by_tokens_equals_the_budget_within_one_example(artifact):
    def total(name: str) -> int:
        return sum(e.n_tokens * e.repeats for e in artifact(name).read("examples", Example))

    budget = total("curate/verbose")
    assert total("curate/concise") < 0.5 * budget
    longest = max(e.n_tokens for e in artifact("curate/concise").read("examples", Example))
    assert abs(total("curate/concise@tokens") - budget) <= longest
    assert total("curate/verbose@tokens") == budget


def test_an_arm_that_matching_leaves_the_same_is_trained_once(artifact):
    assert artifact("train/verbose").folder == artifact("train/verbose@tokens").folder
    assert artifact("train/concise").folder != artifact("train/concise@tokens").folder


def test_the_student_learns_on_completions_only(artifact):
    losses = list(artifact("train/concise@tokens").read("losses", Loss))
    assert losses[-1].loss < 0.9 * losses[0].loss
    trained = sum((e.n_tokens + 1) * e.repeats for e in artifact("curate/concise@tokens").read("examples", Example))
    assert losses[-1].n_tokens == pytest.approx(trained, rel=0.02)


def test_the_style_of_the_base_is_the_familiar_one_and_training_starts_at_its_loss(artifact, lakon, place: Path):
    measured = artifact("familiarity/tiny")
    traces = list(measured.read("trace_losses", TraceLoss))
    verbose, concise = ({t.problem_id: t for t in traces if t.teacher == name} for name in ("verbose", "concise"))
    assert verbose.keys() == concise.keys()
    assert all(verbose[one].loss < concise[one].loss for one in verbose)
    whole = {b.teacher: b for b in measured.read("familiarity", LossBin) if b.scale == "all"}
    first = next(iter(artifact("train/concise").read("losses", Loss)))
    assert first.loss == pytest.approx(whole["concise"].loss, rel=0.1)
    assert set(verbose) == {e.problem_id for e in artifact("curate/verbose").read("examples", Example)}

    page = (place / "reports" / "small" / "report.md").read_text(encoding="utf-8")
    assert "\n## Familiarity\n" in page
    assert "concise (teacher) is less familiar to it than verbose (teacher)" in page
    assert f"| concise (teacher) | {sum(t.loss for t in concise.values()) / len(concise):.3f} [" in page
    seen = json.loads(lakon("show", "small.toml", "familiarity", "--json").stdout)
    assert [row["teacher"] for row in seen] == ["verbose", "concise"]
    assert seen[1]["loss"] == whole["concise"].loss
    rows = json.loads(lakon("show", "small.toml", "-t", "familiarity", "-n", "99", "--json").stdout)
    tenths = [row for row in rows if (row["teacher"], row["scale"]) == ("verbose", "tenths")]
    assert sum(row["n_tokens"] for row in tenths) == whole["verbose"].n_tokens


def test_the_plan_shows_what_is_measured_and_nothing_is_without_it(lakon, finished: str, place: Path):
    def plan_of(familiarity: int) -> str:
        study = (place / "small.toml").read_text(encoding="utf-8")
        changed = study.replace("[evaluate]", f"[evaluate]\nfamiliarity = {familiarity}")
        (place / "changed.toml").write_text(changed, encoding="utf-8")
        return lakon("plan", "changed.toml").stdout

    shown = plan_of(7)
    assert re.search(r"missing +familiarity/tiny +at most 14 traces", shown)
    assert "to measure: at most 14 traces" in shown
    assert "familiarity" not in plan_of(0)


def test_scores_cover_every_author_and_benchmark(artifact):
    scores = list(artifact("evaluate/scores").read("scores", Score))
    accuracy = {(s.author, s.benchmark) for s in scores if s.metric == "accuracy" and s.group is None}
    students = {"base", "verbose", "concise", "verbose@tokens", "concise@tokens"}
    assert accuracy == {(a, "held-out") for a in students} | {
        ("verbose (teacher)", "problems"),
        ("concise (teacher)", "problems"),
    }
    assert all(s.low is not None and s.low <= s.estimate <= s.high for s in scores if s.metric == "accuracy")  # type: ignore[operator]


def test_more_samples_keep_the_ones_that_are_there(lakon, finished: str, place: Path, artifact):
    before = {t.trace_id: t for t in artifact("generate/base.held-out").read("traces", Trace)}
    lakon("run", "small.toml", "--set", "evaluate.samples=3", "--reports", "more")
    states = api.plan(load_study(place / "small.toml", overrides={"evaluate.samples": "3"}), store=place / ".lakon")
    (grown,) = [s.artifact for s in states if s.step.name == "generate/base.held-out"]
    assert grown is not None
    after = {t.trace_id: t for t in grown.read("traces", Trace)}
    assert len(after) == 18
    assert {key: after[key] for key in before} == before
    grown_study = ("small.toml", "--set", "evaluate.samples=3", "--json")
    step = ("-t", "traces", "--step", "generate/base.held-out", "-n", "99")
    assert len(json.loads(lakon("show", *grown_study, *step).stdout)) == 18
    assert json.loads(lakon("status", *grown_study).stdout)["state"] == "finished"
    assert {row["state"] for row in json.loads(lakon("explain", *grown_study).stdout)} == {"cached"}
    lakon("export", "small.toml", "corpus", "--to", "out", "--set", "name=other")
    assert "# other\n" in (place / "out" / "README.md").read_text(encoding="utf-8")


def test_plan_status_explain_show_and_report(lakon, finished: str):
    plan = json.loads(lakon("plan", "small.toml", "--json").stdout)
    assert {row["state"] for row in plan["steps"]} == {"cached"}
    status = json.loads(lakon("status", "small.toml", "--json").stdout)
    assert status["state"] == "finished"
    said = lakon("explain", "small.toml", "train/concise", "--set", "training.epochs=2").stdout
    assert "epochs: the default then, 2 now" in said or "epochs: 1 then, 2 now" in said
    rows = json.loads(
        lakon("show", "small.toml", "-t", "verdicts", "--step", "verify/concise", "-n", "3", "--json").stdout
    )
    assert [row["step"] for row in rows] == ["verify/concise"] * 3
    shown = lakon("show", "small.toml", "--problem", rows[0]["problem_id"][:12]).stdout
    assert re.search(r"reference: \d+", shown)
    assert "report: elsewhere/small/report.html" in lakon("report", "small.toml", "--reports", "elsewhere").stdout


def test_gc_removes_what_is_torn_and_keeps_what_is_used(lakon, finished: str, place: Path):
    torn = place / ".lakon" / "train" / "half-0123456789ab"
    torn.mkdir(parents=True)
    (torn / "model.safetensors").write_bytes(b"x" * 1000)
    assert "would free" in lakon("gc", "--dry-run").stdout
    assert torn.exists()
    facts = json.loads(lakon("gc", "--keep", "small.toml", "--json").stdout)
    assert facts["torn"] == ["train/half-0123456789ab"]
    assert not torn.exists()
    assert json.loads(lakon("run", "small.toml", "--json").stdout)["executed"] == []


def test_gc_keeps_what_stands_on_a_step_that_is_missing(lakon, finished: str, place: Path):
    made = next((place / ".lakon" / "problems").glob("problems-*"))
    manifest = (made / "manifest.json").read_bytes()
    (made / "manifest.json").unlink()
    try:
        facts = json.loads(lakon("gc", "--keep", "small.toml", "--dry-run", "--json").stdout)
    finally:
        (made / "manifest.json").write_bytes(manifest)
    assert facts["torn"] == [f"problems/{made.name}"]
    assert facts["unused"] == [], "students that took hours are used again once the problems are read again"


def test_a_report_of_an_unfinished_study_says_what_to_run(lakon, finished: str):
    said = lakon("report", "small.toml", "--set", "training.epochs=7", expect=1).stderr
    assert "lakon run" in said
    assert "Traceback" not in said


def test_a_run_can_end_at_the_corpus_and_goes_on_from_there(tmp_path: Path, place: Path):
    study = tmp_path / "small.toml"
    study.write_text((place / "small.toml").read_text(encoding="utf-8"), encoding="utf-8")
    call = cli_in(tmp_path)
    first = call("run", "small.toml", "--until", "curate")
    assert "lakon show small.toml funnel" in first.stdout, "the study as it was given: the command can be pasted"
    assert f"store: {tmp_path / '.lakon'}" in first.stdout
    assert not (tmp_path / "reports").exists()
    states = {state.step.name: state.state for state in api.plan(study, store=tmp_path / ".lakon")}
    arms = {name for name in states if name.startswith("curate/")}
    assert arms >= {"curate/verbose", "curate/concise", "curate/concise@tokens"}
    assert {states[name] for name in arms} == {"cached"}
    assert not any(state == "cached" for name, state in states.items() if name.startswith("train/"))
    again = json.loads(call("run", "small.toml", "--until", "curate", "--json").stdout)
    assert (again["executed"], again["report"]) == ([], None)
