"""The runner: order, skipping, early cutoff, one key once, failures, stops, modes, and the lock."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakon.core.errors import AuthorError, BudgetSpent, InputError, LakonError, RunStopped, StoreError
from lakon.core.records import Problem
from lakon.core.spec import Spec
from lakon.store.artifacts import MANIFEST, Store, read_artifact
from lakon.store.runner import IN_PROCESS_AT_ONCE, inspect_steps, run_steps
from lakon.store.step import Step, StepContext


class Values(Spec):
    """The arguments of a test's step."""

    values: dict[str, Any] = {}


@dataclass(frozen=True)
class Named:
    """The inputs of a test's step."""

    steps: dict[str, Any]


Body = Callable[[StepContext[Named, None]], None]


def step(
    name: str,
    values: dict[str, object] | None = None,
    *,
    body: Body | None = None,
    in_process: bool = False,
    **inputs: Step[Values],
) -> Step[Values]:
    """A step that writes its inputs' texts and its arguments' `text`."""

    def write(ctx: StepContext[Named, None], args: Values) -> None:
        texts = [(a.folder / "text").read_text() for _, a in sorted(ctx.inputs.steps.items())]
        ctx.out.write_text("text", "".join(texts) + str(args.values.get("text", "")))

    return Step(
        stage="s",
        label=name,
        version=1,
        args=Values(values=values or {}),
        inputs=Named(inputs),
        in_process=in_process,
        body=write if body is None else lambda ctx, args: body(ctx),
    )


def chain(text: str = "a") -> Step:
    first = step("first", {"text": text})
    return step("last", left=first, right=step("second", {"text": "b"}, source=first))


def text_of(store: Store, target: Step) -> str:
    state = inspect_steps(store, [target])[-1]
    assert state.artifact is not None
    return (state.artifact.folder / "text").read_text()


def test_inputs_run_before_users_and_a_second_run_executes_nothing(store: Store, diary):
    assert run_steps(store, [chain()], diary).executed == ["s/first", "s/second", "s/last"]
    assert text_of(store, chain()) == "aab"
    assert run_steps(store, [chain()], diary).executed == []


def test_a_changed_field_runs_the_step_and_what_stands_on_it(store: Store, diary):
    run_steps(store, [chain()], diary)
    assert run_steps(store, [chain("x")], diary).executed == ["s/first", "s/second", "s/last"]


def test_same_bytes_upstream_disturb_nothing_downstream(store: Store, diary):
    def constant(ctx: StepContext[Named, None]) -> None:
        ctx.out.write_text("text", "same")

    first = step("first", {"n": 1}, body=constant)
    run_steps(store, [step("last", source=first)], diary)
    again = step("first", {"n": 2}, body=constant)
    assert run_steps(store, [step("last", source=again)], diary).executed == ["s/first"]


def test_facts_are_the_same_in_the_run_that_made_them_and_in_the_next(store: Store, diary):
    def body(ctx):
        ctx.out.write_text("out.txt", "x")
        ctx.out.facts.update(b=1, a={"d": 2, "c": (3,)})

    made, found = (next(iter(run_steps(store, [step("a", body=body)], diary).artifacts.values())) for _ in range(2))
    assert json.dumps(made.manifest.facts) == json.dumps(found.manifest.facts), "a report may show them in this order"


def test_facts_measured_on_the_way_move_no_key(store: Store, diary):
    def noisy(value: float) -> Callable[[StepContext[Named, None]], None]:
        def body(ctx: StepContext[Named, None]) -> None:
            ctx.out.write_text("text", "same")
            ctx.out.facts["seconds"] = value

        return body

    a = run_steps(store, [step("a", body=noisy(1.0))], diary).artifacts
    b = run_steps(store, [step("a", body=noisy(2.0))], diary, mode="force").artifacts
    assert next(iter(a.values())).content == next(iter(b.values())).content


def test_two_steps_with_one_key_run_once(store: Store, diary):
    calls: list[str] = []

    def body(ctx: StepContext[Named, None]) -> None:
        calls.append("ran")
        ctx.out.write_text("text", "t")

    twins = [step("one", {"x": 1}, body=body), step("other", {"x": 1}, body=body)]
    result = run_steps(store, [step("last", a=twins[0], b=twins[1])], diary)
    assert calls == ["ran"]
    assert result.artifacts[twins[0]].folder == result.artifacts[twins[1]].folder


def test_independent_steps_run_side_by_side(store: Store, diary):
    met = threading.Barrier(2, timeout=20)

    def body(ctx: StepContext[Named, None]) -> None:
        met.wait()
        ctx.out.write_text("text", "t")

    run_steps(store, [step("last", a=step("a", {"n": 1}, body=body), b=step("b", {"n": 2}, body=body))], diary)
    assert diary.events[-1] == ("done", "s/last")


def test_two_steps_on_tables_run_side_by_side_and_all_others_beside_them(store: Store, diary):
    counting, crowd = threading.Lock(), list[int]()
    running = 0
    beside, third = threading.Barrier(IN_PROCESS_AT_ONCE + 1, timeout=30), threading.Event()

    def on_tables(ctx: StepContext[Named, None]) -> None:
        nonlocal running
        with counting:
            running += 1
            crowd.append(running)
            last = len(crowd) > IN_PROCESS_AT_ONCE
        if last:
            third.set()
        else:
            beside.wait()
        with counting:
            running -= 1
        ctx.out.write_text("text", "")

    def elsewhere(ctx: StepContext[Named, None]) -> None:
        beside.wait()  # with as many steps on tables as there may be
        assert third.wait(30), "a place that is free again is taken while others run"
        ctx.out.write_text("text", "")

    many = [step(f"table{i}", {"text": str(i)}, body=on_tables, in_process=True) for i in range(IN_PROCESS_AT_ONCE + 2)]
    done = run_steps(store, [*many, step("asked", body=elsewhere)], diary)
    assert len(done.executed) == IN_PROCESS_AT_ONCE + 3
    assert max(crowd) == IN_PROCESS_AT_ONCE


def test_a_failing_step_keeps_what_had_finished_and_is_owed_again(store: Store, diary):
    def broken(ctx: StepContext[Named, None]) -> None:
        raise InputError("nothing", "something", "mend it")

    first = step("first", {"text": "a"})
    with pytest.raises(InputError, match="mend it"):
        run_steps(store, [step("last", {"v": 1}, body=broken, source=first)], diary)
    states = {s.step.label: s.state for s in inspect_steps(store, [step("last", {"v": 1}, source=first)])}
    assert states == {"first": "cached", "last": "missing"}


def test_a_bug_in_a_step_keeps_its_traceback_and_names_the_step(store: Store, diary):
    def buggy(ctx: StepContext[Named, None]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        run_steps(store, [step("a", body=buggy)], diary)
    assert caught.value.__notes__ == ["in step s/a"]


def test_a_stop_ends_the_run_and_the_next_one_goes_on(store: Store, diary):
    stop = threading.Event()

    def stopping(ctx: StepContext[Named, None]) -> None:
        stop.set()
        ctx.out.write_text("text", "a")

    first = step("first", body=stopping)
    with pytest.raises(RunStopped, match="1 of 2 steps to go"):
        run_steps(store, [step("last", source=first)], diary, stop=stop)
    assert run_steps(store, [step("last", source=first)], diary).executed == ["s/last"]


def test_force_executes_the_named_step_and_early_cutoff_spares_the_rest(store: Store, diary):
    run_steps(store, [chain()], diary)
    assert run_steps(store, [chain()], diary, mode="force", forced=frozenset({"s/second"})).executed == ["s/second"]
    assert sorted(run_steps(store, [chain()], diary, mode="force").executed) == ["s/first", "s/last", "s/second"]


def test_retry_executes_only_what_recorded_errors(store: Store, diary):
    def body(ctx: StepContext[Named, None]) -> None:
        ctx.out.write_text("text", "a")
        ctx.out.facts["errors"] = 0 if ctx.retry else 2

    first, other = step("first", {"n": 1}, body=body), step("second", {"n": 2})
    target = step("last", a=first, b=other)
    run_steps(store, [target], diary)
    assert run_steps(store, [target], diary, mode="retry").executed == ["s/first"]
    assert run_steps(store, [target], diary, mode="retry").executed == []


def test_failed_rows_with_retries_left_are_tried_by_the_next_run_and_used_until_then(store: Store, diary):
    left = [2, 1, 0]

    def body(ctx: StepContext[Named, None]) -> None:
        ctx.out.write_text("text", "a")
        ctx.out.facts.update(errors=2, owed=left.pop(0))

    first = step("first", body=body)
    target = step("last", source=first)
    assert run_steps(store, [target], diary).executed == ["s/first", "s/last"]
    assert [row.state for row in inspect_steps(store, [target])] == ["owed", "cached"]
    assert run_steps(store, [target], diary).executed == ["s/first"], (
        "the same rows again: nothing downstream is disturbed"
    )
    assert run_steps(store, [target], diary).executed == ["s/first"]
    assert run_steps(store, [target], diary).executed == [], "no retries left"


@pytest.mark.parametrize("why", [AuthorError("no", "b", "c"), BudgetSpent("no", "b", "c"), RunStopped("no", "b", "c")])
def test_failed_rows_that_are_asked_in_vain_cost_nothing_that_was_there(store: Store, diary, why: LakonError):
    refused = False

    def flaky(ctx: StepContext[Named, None]) -> None:
        ctx.out.write_text("text", "half")
        if refused:
            raise why
        ctx.out.facts["owed"] = 1

    last = step("last", source=step("asks", body=flaky))
    run_steps(store, [last], diary)
    refused = True
    if type(why) is RunStopped:
        with pytest.raises(RunStopped):
            run_steps(store, [last], diary)
    else:
        done = run_steps(store, [last], diary)
        assert (done.executed, text_of(store, last)) == ([], "half")
        assert ("left", "s/asks") in diary.events
    assert [state.state for state in inspect_steps(store, [last])] == ["owed", "cached"]
    assert [folder.name.split("-")[0] for folder in store.list_torn()] == ["asks.again"]


def test_what_takes_the_place_of_an_artifact_leaves_one_of_them(store: Store, diary):
    owed = 3

    def flaky(ctx: StepContext[Named, None]) -> None:
        ctx.out.write_text("text", f"{owed} to go")
        ctx.out.facts["owed"] = owed

    for owed in (2, 1, 0):
        run_steps(store, [step("asks", body=flaky)], diary)
        assert text_of(store, step("asks", body=flaky)) == f"{owed} to go"
        assert len(list(store.list_artifacts())) == 1
    assert run_steps(store, [step("asks", body=flaky)], diary).executed == []
    assert not list(store.list_torn())


def test_a_folder_without_its_manifest_is_not_there(store: Store, diary):
    artifact = next(iter(run_steps(store, [step("a", {"text": "t"})], diary).artifacts.values()))
    manifest = (artifact.folder / MANIFEST).read_bytes()
    for cut in (0, 1, len(manifest) // 2, len(manifest) - 2):
        (artifact.folder / MANIFEST).write_bytes(manifest[:cut])
        assert read_artifact(artifact.folder) is None
        assert list(store.list_torn()) == [artifact.folder]
    assert run_steps(store, [step("a", {"text": "t"})], diary).executed == ["s/a"]


def test_a_manifest_whose_files_are_gone_is_not_there(store: Store, diary):
    artifact = next(iter(run_steps(store, [step("a", {"text": "t"})], diary).artifacts.values()))
    (artifact.folder / "text").unlink()
    assert read_artifact(artifact.folder) is None


def test_a_second_run_on_the_store_is_refused_and_names_the_first(store: Store, diary):
    def body(ctx: StepContext[Named, None]) -> None:
        with pytest.raises(StoreError, match=r"process \d+ on"):
            run_steps(store, [step("inner")], diary)
        ctx.out.write_text("text", "t")

    run_steps(store, [step("outer", body=body)], diary)
    assert diary.events == [("started", "s/outer"), ("done", "s/outer")]


def test_an_unwritable_store_is_a_store_error(tmp_path: Path, diary):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="LAKON_STORE"):
        run_steps(Store(tmp_path / "file" / "store"), [step("a")], diary)


def test_a_manifest_says_what_the_key_depends_on(store: Store, diary):
    def body(ctx: StepContext[Named, None]) -> None:
        ctx.out.write("problems", [Problem.of("p", "r")])

    artifact = next(iter(run_steps(store, [step("a", {"k": "v"}, body=body)], diary).artifacts.values()))
    raw = json.loads((artifact.folder / MANIFEST).read_text())
    assert (raw["payload"], raw["rows"], raw["stage"], raw["label"]) == (
        {"values": {"k": "v"}},
        {"problems": 1},
        "s",
        "a",
    )
    assert [entry["path"] for entry in raw["files"]] == ["problems-00000.parquet"]
