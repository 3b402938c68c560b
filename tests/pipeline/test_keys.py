"""Identity: changing a field of the study changes exactly the payloads that it should, and `run` changes none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakon.core.errors import StudyError
from lakon.pipeline.build import build_plan
from lakon.stages.generate.specs import EndpointTeacher
from lakon.store.step import in_order
from lakon.study.load import load_study, parse_study
from lakon.study.schema import Study, resolve_defaults


def payloads(study: Study) -> dict[str, str]:
    """Step name to its version, payload and input names."""
    return {
        step.name: json.dumps([step.version, step.payload, sorted(step.sources)], sort_keys=True)
        for step in in_order([build_plan(study).report])
    }


RAW: dict[str, Any] = {
    "name": "k",
    "problems": {"kind": "synthetic", "count": 5},
    "teachers": {
        "v": {"kind": "procedural", "procedure": "verbose"},
        "e": {"kind": "endpoint", "model": "m"},
    },
    "curate": {"match": ["problems", "tokens"], "count": 3},
    "arms": {"one": {"teacher": "v"}, "two": {"mix": {"v": 1, "e": 1}}},
    "students": [{"base": "miniature:base"}],
    "benchmarks": {"b": {"kind": "synthetic", "count": 2, "split": "held-out"}},
    "evaluate": {"benchmarks": ["b"]},
    "run": {"endpoints": {"e": {"url": "http://127.0.0.1:1/v1"}}},
}


def changed(path: str, value: object) -> set[str]:
    """Names of the steps whose own payload moves when the field at `path` becomes `value` (the report left out)."""
    raw = json.loads(json.dumps(RAW))
    *parents, last = path.split(".")
    at = raw
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    at[last] = value
    before, after = payloads(parse_study(RAW)), payloads(parse_study(raw))
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) != after.get(name) and not name.startswith("report/")}


AUTHORS = ["base", "one", "two", "one@tokens", "two@tokens"]
WORK = {f"generate/{a}.b" for a in AUTHORS}
TRAIN = {f"train/{a}" for a in AUTHORS[1:]}
VERIFY = {f"verify/{a}.b" for a in AUTHORS} | {"verify/v", "verify/e"}
FAMILIARITY = {"familiarity/miniature-base"}
MATCH = {"curate/one@tokens", "curate/two@tokens"}


@pytest.mark.parametrize(
    ("path", "value", "steps"),
    [
        ("title", "T", set()),
        ("description", "D", set()),
        ("caveats", ["c"], set()),
        ("decontaminate.n", 13, {"decontaminate/problems"}),
        ("decontaminate.renumbered", False, {"decontaminate/problems"}),
        ("problems.count", 6, {"problems/problems"}),
        ("problems.min_steps", 3, {"problems/problems"}),
        ("problems.seed", 3, {"problems/problems"}),
        ("benchmarks.b.count", 3, {"problems/b"}),
        ("teachers.v.error_rate", 0.1, {"generate/v"}),
        ("teachers.v.samples", 2, {"generate/v"}),
        ("teachers.v.prompt", "Q {problem}", {"generate/v"}),
        ("teachers.e.model", "n", {"generate/e"}),
        ("teachers.e.system", "be brief", {"generate/e"}),
        ("teachers.e.sampling", {"temperature": 0.5}, {"generate/e"}),
        ("teachers.e.sampling", {"max_tokens": 100}, {"generate/e"}),
        ("verify", {"limit_s": 1.0}, VERIFY),
        ("verify", {"extract": "boxed"}, VERIFY),
        ("verify", {"policy": "judge", "judge": {"model": "j"}}, VERIFY),
        ("verify", {"audit": 9, "judge": {"model": "j"}}, VERIFY),
        ("curate.count", 2, {"curate/pool"}),
        ("curate.token_budget", "smallest", MATCH),
        (
            "curate.match",
            ["problems"],
            MATCH | {s for s in TRAIN | WORK | VERIFY if "@tokens" in s} | {"evaluate/scores"},
        ),
        ("arms.one.style", "answer_only", {"curate/one"}),
        ("arms.two.mix", {"v": 2, "e": 1}, {"curate/two"}),
        ("prompt", "Q {problem}", {"generate/e", "curate/one", "curate/two"} | WORK | FAMILIARITY),
        ("tokenizer", "words", {"generate/v", "generate/e", "curate/one", "curate/two"} | WORK),
        ("training.epochs", 9, TRAIN),
        ("training.learning_rate", 0.5, TRAIN),
        ("training.optimizer", "muon", TRAIN),
        ("training.seeds", [7], TRAIN | {"evaluate/scores"}),
        ("evaluate.samples", 3, WORK),
        ("evaluate.sampling", {"temperature": 0.1}, WORK),
        ("evaluate.margin", 0.1, {"evaluate/scores"}),
        ("evaluate.confidence", 0.9, {"evaluate/scores"}),
        ("evaluate.group_by", ["steps"], {"evaluate/scores"}),
        ("evaluate.baseline", "two", {"evaluate/scores"}),
        ("evaluate.pass_at", [2], {"evaluate/scores"}),
        ("evaluate.familiarity", 9, FAMILIARITY),
        ("evaluate.familiarity", 0, FAMILIARITY),
        ("curate.held_out", 1, {"curate/pool", "held_out/examples"} | TRAIN),
        ("evaluate.base", False, {"generate/base.b", "verify/base.b", "evaluate/scores"}),
        ("seed", 1, {"generate/v", "curate/pool", "curate/two", "evaluate/scores"} | MATCH | WORK | FAMILIARITY),
        ("run.endpoints.e.url", "http://127.0.0.1:2/v1", set()),
        ("run.endpoints.e.concurrency", 1, set()),
        ("run.workers", 1, set()),
        ("training.precision", "fp32", TRAIN),
        ("run.store", "elsewhere", set()),
    ],
)
def test_a_field_changes_exactly_the_keys_that_it_should(path: str, value: object, steps: set[str]):
    assert changed(path, value) == steps


def test_a_model_that_teaches_is_shown_the_studys_prompt_unless_it_states_one():
    teachers = {**RAW["teachers"], "own": {"kind": "endpoint", "model": "m", "prompt": "{problem}"}}
    teachers["c"] = {"kind": "checkpoint", "path": "org/model"}
    study = parse_study({**RAW, "prompt": "Q {problem}", "teachers": teachers})
    shown = {name: getattr(teacher, "prompt", None) for name, teacher in study.teachers.items()}
    assert shown == {"v": "{problem}", "e": "Q {problem}", "own": "{problem}", "c": "Q {problem}"}
    assert resolve_defaults(study)["teachers"]["e"]["prompt"] == "Q {problem}"
    teacher = EndpointTeacher(model="m")
    built = Study(name="k", prompt="Q {problem}", problems=study.problems, teachers={"e": teacher})
    assert built.teachers["e"] == study.teachers["e"]


def test_the_papers_teacher_is_told_to_box_its_answer():
    assert json.loads(payloads(load_study("paper"))["generate/gpt-oss"])[1]["teacher"]["prompt"].endswith("\\boxed{}.")


def test_an_inherited_prompt_without_the_problem_is_one_fault():
    with pytest.raises(StudyError) as raised:
        load_study("paper", overrides={"prompt": "Think."})
    assert [fault.where for fault in raised.value.faults] == ["prompt"]


JUDGED: dict[str, Any] = {"policy": "rules-then-judge", "judge": {"model": "j"}, "audit": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "judge"},
        {"audit": 6},
        {"judge": {"model": "k"}},
        {"judge": {"model": "j", "votes": 3}},
        {"judge": {"model": "j", "prefills_think": True}},
        {"judge": {"model": "j", "api": "responses"}},
        {"judge": {"model": "j", "template": "{problem}{reference}{answer}"}},
        {"judge": {"model": "j", "sampling": {"max_tokens": 9}}},
    ],
)
def test_everything_about_the_judge_but_its_place_moves_the_verdicts(change: dict[str, Any]):
    def of(verify: dict[str, Any], endpoints: dict[str, Any] | None = None) -> dict[str, str]:
        run = {"endpoints": {**RAW["run"]["endpoints"], **(endpoints or {})}}
        return payloads(parse_study({**RAW, "verify": verify, "run": run}))

    before, after = of(JUDGED), of({**JUDGED, **change})
    moved = {name for name in before if before[name] != after[name]}
    assert moved - {"report/k"} == VERIFY
    assert of(JUDGED, {"judge": {"url": "http://127.0.0.1:7/v1", "concurrency": 3}}) == before


def test_the_judges_version_is_in_the_key_and_the_seed_is_where_an_audit_draws(monkeypatch):
    def verdicts_of(**changes: Any) -> dict[str, str]:
        found = payloads(parse_study({**RAW, **changes}))
        return {name: found[name] for name in VERIFY}

    unaudited = {name: value for name, value in JUDGED.items() if name != "audit"}
    assert verdicts_of(verify=JUDGED, seed=1) != verdicts_of(verify=JUDGED)
    assert verdicts_of(verify=unaudited, seed=1) == verdicts_of(verify=unaudited)
    before, rules = verdicts_of(verify=JUDGED), verdicts_of()
    monkeypatch.setattr("lakon.pipeline.steps.verdicts.JUDGE_VERSION", "judge@999")
    assert verdicts_of(verify=JUDGED) != before
    assert verdicts_of() == rules


def test_rulings_are_keyed_by_their_bytes(tmp_path):
    (tmp_path / "o.jsonl").write_text("")
    raw = {**RAW, "verify": {"overrides": str(tmp_path / "o.jsonl")}}
    before = payloads(parse_study(raw))
    (tmp_path / "o.jsonl").write_text('{"trace_id": "t", "outcome": "correct", "who": "Ada", "why": "x"}\n')
    after = payloads(parse_study(raw))
    assert {name for name in before if before[name] != after[name]} == VERIFY


def test_only_the_report_depends_on_the_words_of_a_study():
    raw = {**RAW, "title": "another"}
    before, after = payloads(parse_study(RAW)), payloads(parse_study(raw))
    assert [name for name in before if before[name] != after[name]] == ["report/k"]


def test_a_file_is_keyed_by_content_and_not_by_path(tmp_path):
    raw = {**RAW, "students": [], "problems": {"kind": "jsonl", "path": str(tmp_path / "a.jsonl")}}
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"problem": "1+1?", "answer": "2"}\n')
    before = payloads(parse_study(raw))["problems/problems"]
    moved = {**raw, "problems": {"kind": "jsonl", "path": str(tmp_path / "b.jsonl")}}
    assert payloads(parse_study(moved))["problems/problems"] == before
    (tmp_path / "a.jsonl").write_text('{"problem": "1+1?", "answer": "3"}\n')
    assert payloads(parse_study(raw))["problems/problems"] != before


def test_no_payload_holds_a_url_a_key_or_a_path_of_the_store():
    text = "".join(payloads(load_study("paper")).values())
    assert "127.0.0.1" not in text
    assert "api_key" not in text


def test_without_benchmarks_or_when_it_is_off_there_is_no_decontamination():
    without = {**RAW, "students": [], "evaluate": {}}
    off = {**RAW, "decontaminate": {"enabled": False}}
    assert "decontaminate/problems" in payloads(parse_study(RAW))
    for raw in (without, off):
        assert "decontaminate/problems" not in payloads(parse_study(raw))


def test_a_preset_is_its_fields_and_its_name_moves_no_key():
    fields = {"prompt_field": "messages.0.content", "reference_field": "metadata.expected_answer"}
    hub = {"kind": "huggingface", "path": "nvidia/Nemotron-Post-Training-Dataset-v1", "split": "math"}
    by_name = {**RAW, "problems": {"kind": "huggingface", "preset": "nemotron-v1"}}
    by_hand = {**RAW, "problems": {**hub, **fields}}
    assert payloads(parse_study(by_name)) == payloads(parse_study(by_hand))
