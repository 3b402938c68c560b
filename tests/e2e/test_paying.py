"""What is paid for, against a real server: samples until the first correct one, the cheaper teacher first, a pilot
that is kept, and a budget that is never exceeded."""

from __future__ import annotations

import collections
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e_study import ONE, asked_study, cli_in, questions
from e2e_study import write_problems as write
from faults import FaultServer

from lakon import api
from lakon.core.errors import BudgetSpent, InputError, StudyError
from lakon.core.records import Exclusion, Trace
from lakon.store.artifacts import Artifact
from lakon.store.ledger import ledger
from lakon.store.ledger.frames import HEADER_BYTES, MAGIC
from lakon.study.load import load_study

N = 12
PROMPT_TOKENS = 7


def study_in(folder: Path, tables: str, run: str) -> Path:
    return asked_study(folder, tables, run, questions(N))


def number(body: dict[str, Any]) -> int:
    """Which problem a request is about."""
    return int(body["messages"][-1]["content"].split()[0].removeprefix("q"))


def right_at(nth: dict[int, int]) -> Any:
    """A reply that is right when its problem is asked for the nth time, and wrong before; 30 tokens each."""
    return lambda body, n: (f"\\boxed{{{number(body) if n >= nth[number(body)] else 'x+77'}}}", 30)


def run(study: Path, **more: Any) -> Any:
    return api.run(study, store=study.parent / "store", reports=study.parent / "reports", **more)


def artifact(study: Path, step: str) -> Artifact:
    states = {s.step.name: s.artifact for s in api.plan(load_study(study), store=study.parent / "store")}
    found = states[step]
    assert found is not None
    return found


def asked(server: FaultServer) -> collections.Counter[int]:
    return collections.Counter(number(body) for body in server.seen)


def test_samples_are_drawn_until_the_first_correct_one(tmp_path: Path):
    nth = {
        i: 1 + i % 4 for i in range(N)
    }  # every fourth problem would be right at the fourth: beyond the three samples
    with FaultServer(answers=right_at(nth)) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}", concurrency = 3 }}'
        study = study_in(tmp_path, ONE.format(extra='samples = 3\nuntil = "correct"', cap=99), endpoint)
        run(study)
        assert asked(server) == {i: min(3, nth[i]) for i in range(N)}
        rows = collections.Counter(t.problem_id for t in artifact(study, "generate/one").read("traces", Trace))
        assert sorted(rows.values()) == sorted(min(3, n) for n in nth.values())
        assert "drew samples until the first correct one" in (tmp_path / "reports/asked/report.md").read_text()
        server.seen.clear()
        (artifact(study, "generate/one").folder / "manifest.json").unlink()
        run(study)
        assert not server.seen, "the ledger has every sample, right and wrong"


def test_a_dearer_teacher_is_asked_only_what_the_cheaper_one_got_right(tmp_path: Path):
    cheap_wrong = {1, 5, 6}
    tables = ONE.format(extra="", cap=99) + ONE.format(extra='if_correct = "one"', cap=99).replace("one]", "two]")
    tables = tables.replace('model = "m"\nif_correct', 'model = "dear"\nif_correct') + '[arms.a]\nteacher = "two"\n'

    def answers(body: dict[str, Any], n: int) -> tuple[str, int]:
        wrong = body["model"] == "m" and number(body) in cheap_wrong
        return f"\\boxed{{{'x+77' if wrong else number(body)}}}", 10 if body["model"] == "m" else 50

    with FaultServer(answers=answers, models=("m", "dear")) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}\nendpoints.two = {{ url = "{server.url}" }}'
        study = study_in(tmp_path, tables, endpoint)
        run(study)
        dear = {number(body) for body in server.seen if body["model"] == "dear"}
    assert dear == set(range(N)) - cheap_wrong
    left = list(artifact(study, "curate/pool").read("exclusions", Exclusion))
    assert [e.rule for e in left] == ["teacher_incorrect"] * 3, "the second teacher is not to blame"
    page = (tmp_path / "reports/asked/report.md").read_text()
    assert "two was not asked 3 problems that one had not got right" in page
    assert "saved about 150 tokens" in page
    assert "is not to be set beside one's" in page
    summary = " ".join((tmp_path / "reports/asked/summary.txt").read_text().split())
    assert "is not to be set beside one's" in summary
    assert re.search(r"the two teacher reaches 100\.0% \[[^]]*\] on 9 problems", summary)
    assert "sampling of students" not in page


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_never_exceeded_and_can_be_raised(tmp_path: Path, concurrency: int):
    budget, cap = 450, 99
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1)), delay_s=0.01) as server:
        endpoint = (
            f'endpoints.one = {{ url = "{server.url}", concurrency = {concurrency} }}\nbudget = {{ tokens = {budget} }}'
        )
        study = study_in(tmp_path, ONE.format(extra="", cap=cap), endpoint)
        stopped = cli_in(tmp_path)("run", "s.toml", "--store", "store", expect=3)
        spent = len(server.seen) * (30 + PROMPT_TOKENS)
        assert budget - cap - 100 < spent <= budget
        assert "run.budget" in stopped.stderr
        assert "raise run.budget" in stopped.stderr
        with pytest.raises(BudgetSpent):
            run(study)
        assert len(server.seen) * (30 + PROMPT_TOKENS) == spent, "a spent budget asks nothing"
        run(study, overrides={"run.budget.tokens": "5000"})
        assert asked(server) == dict.fromkeys(range(N), 1)


def write_problems(folder: Path, *prompts: str) -> None:
    """In place of those of `study_in`; the answer is always 4."""
    write(folder, ((prompt, "4") for prompt in prompts))


def test_rows_that_were_cut_off_are_asked_again_under_a_larger_cap_and_new_problems_alone_are_new(tmp_path: Path):
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as server:

        def asked_under(cap: int, *prompts: str) -> list[tuple[str, int]]:
            server.seen.clear()
            study = study_in(tmp_path, ONE.format(extra="", cap=cap), f'endpoints.one = {{ url = "{server.url}" }}')
            write_problems(tmp_path, *prompts)
            run(study)
            return sorted((body["messages"][-1]["content"], body["max_tokens"]) for body in server.seen)

        prompts = ["q1 is short", "q2 is short", "length is not"]
        assert asked_under(50, *prompts) == [("length is not", 50), ("q1 is short", 50), ("q2 is short", 50)]
        assert asked_under(50, *prompts) == []
        assert asked_under(80, *prompts) == [("length is not", 80)]
        assert asked_under(80, *prompts, "q3 is new") == [("q3 is new", 80)]


def test_a_reply_is_read_in_another_way_without_being_asked_again(tmp_path: Path):
    with FaultServer(answers=lambda body, n: ("On and on.", 30)) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}'
        found: list[set[tuple[str, str]]] = []
        for extra in ("", "prefills_think = true"):
            study = study_in(tmp_path, ONE.format(extra=extra, cap=99), endpoint)
            run(study)
            found.append({(t.reasoning, t.answer) for t in artifact(study, "generate/one").read("traces", Trace)})
        assert found == [{("", "On and on.")}, {("On and on.", "")}]
        assert len(server.seen) == N


def test_a_served_model_other_than_asked_is_said_in_the_report(tmp_path: Path):
    with FaultServer() as server:
        study = study_in(tmp_path, ONE.format(extra="", cap=99), f'endpoints.one = {{ url = "{server.url}" }}')
        write_problems(tmp_path, "4", "other_model 1", "other_model 2")
        run(study)
    page = (tmp_path / "reports/asked/report.md").read_text()
    assert "one was asked as m; its server says that these answered: m-turbo-quantized (2 traces)." in page


def test_failed_rows_are_asked_again_by_the_next_runs_until_their_retries_are_spent(tmp_path: Path):
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as server:
        # What is spent counts once, although the step that finished is asked again: the budget has room for just this.
        endpoint = f'endpoints.one = {{ url = "{server.url}", retries = 0 }}\nbudget = {{ tokens = 550 }}'
        study = study_in(tmp_path, ONE.format(extra="", cap=99), endpoint)
        prompts = [*(f"q{i} is fine" for i in range(8)), "status500*1 at first", "status400 for ever"]
        write_problems(tmp_path, *prompts)

        def asked_by_a_run() -> list[str]:
            server.seen.clear()
            run(study)
            return sorted(body["messages"][-1]["content"] for body in server.seen)

        def states() -> dict[str, str]:
            return {s.step.name: s.state for s in api.plan(load_study(study), store=tmp_path / "store")}

        assert asked_by_a_run() == sorted(prompts)
        assert states()["generate/one"] == "owed"
        assert "1 owed" in (plan := cli_in(tmp_path)("plan", "s.toml", "--store", "store").stdout)
        assert "2 traces owed, 8 in the ledger" in plan
        server.seen.clear()
        api.report(study, store=tmp_path / "store", reports=tmp_path / "reports")
        assert not server.seen, "a report asks nothing"
        server.stop()
        gone = cli_in(tmp_path)("run", "s.toml", "--store", "store", "--reports", "reports")
        assert "kept   generate/one: its failed rows are not retried" in gone.stderr, "no fault: all is there"
        server.start()
        assert asked_by_a_run() == ["status400 for ever", "status500*1 at first"]
        assert asked_by_a_run() == ["status400 for ever"]
        assert states()["generate/one"] == "cached"
        assert asked_by_a_run() == []
        errors = [t.error for t in artifact(study, "generate/one").read("traces", Trace) if t.error]
        assert errors == ["bad_request: the server says 400 about m"]


@contextmanager
def two_endpoints(folder: Path, more: str = "") -> Iterator[tuple[Path, FaultServer, FaultServer]]:
    """A study that has run but for a row of the first teacher that failed; the second one, who comes after, is gone."""
    tables = ONE.format(extra="", cap=99) + ONE.format(extra='if_correct = "one"', cap=99).replace("one]", "two]")
    with (
        FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as first,
        FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as second,
    ):
        endpoints = (
            f'endpoints.one = {{ url = "{first.url}", retries = 0 }}\nendpoints.two = {{ url = "{second.url}" }}'
        )
        study = study_in(folder, tables + more, endpoints)
        write_problems(folder, "q1 is fine", "status500*1 at first")
        run(study)
        first.seen.clear()
        second.stop()
        yield study, first, second


def test_failed_rows_are_left_when_asking_them_would_come_to_an_endpoint_that_is_not_there(tmp_path: Path):
    with two_endpoints(tmp_path) as (study, first, second):
        said = cli_in(tmp_path)("run", "s.toml", "--store", "store", "--reports", "reports").stderr
        assert "kept   generate/one: its failed rows are not retried: run.endpoints.two" in said
        assert first.seen == []
        second.start()
        run(study)
        assert [body["messages"][-1]["content"] for body in first.seen] == ["status500*1 at first"]
        assert {body["messages"][-1]["content"] for body in second.seen} == {"q1 is fine", "status500*1 at first"}


@pytest.mark.parametrize("mode", ["retry", "force"])
def test_an_endpoint_that_is_gone_is_said_before_any_other_is_asked_again(tmp_path: Path, mode: Any):
    with two_endpoints(tmp_path, '[arms.a]\nteacher = "two"\n') as (study, first, second):
        with pytest.raises(StudyError, match=r"run\.endpoints\.two"):
            run(study, mode=mode)
        assert first.seen == []
        run(study, mode="force", steps=("verify",))  # asks nobody, so nobody need be there
        second.start()
        run(study, mode=mode)
        assert [body["messages"][-1]["content"] for body in first.seen] == ["status500*1 at first"]
        second.stop()
        run(study, mode="force")  # all replies are in the ledgers
        assert len(first.seen) == 1


def test_a_failed_row_is_no_reason_to_pay_again_for_all_that_a_lost_ledger_held(tmp_path: Path):
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as server:
        study = study_in(
            tmp_path, ONE.format(extra="", cap=99), f'endpoints.one = {{ url = "{server.url}", retries = 0 }}'
        )
        write_problems(tmp_path, "status500*1 at first", *(f"q{i} is fine" for i in range(8)))
        run(study)
        server.seen.clear()
        shutil.rmtree(tmp_path / "store" / "ledger")
        said = cli_in(tmp_path)("run", "s.toml", "--store", "store", "--reports", "reports").stderr
        assert (
            "the ledger of one no longer holds 8 replies that finished steps use; retrying would pay for them again"
            in said
        )
        assert server.seen == []
        run(study, mode="retry")
        assert len(server.seen) == 9


@pytest.mark.parametrize("until", ["", 'samples = 2\nuntil = "correct"'])
def test_a_settled_reply_that_cannot_be_read_any_more_is_asked_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: str
):
    monkeypatch.setattr(ledger, "CHECKED_WHOLE", 0)
    monkeypatch.setattr(ledger, "CHECKED_TAIL", 200)
    each = 30 + PROMPT_TOKENS
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}", concurrency = 1 }}'
        study = study_in(tmp_path, ONE.format(extra=until, cap=99), endpoint)
        run(study)
        (path,) = (tmp_path / "store" / "ledger").glob("*.ledger")
        content = bytearray(path.read_bytes())
        content[len(MAGIC) + HEADER_BYTES + 5] ^= 255  # within the first body, far before the tail
        path.write_bytes(content)
        server.seen.clear()
        (artifact(study, "generate/one").folder / "manifest.json").unlink()
        run(study)
        assert [number(body) for body in server.seen] == [0]
        made = artifact(study, "generate/one")
        assert [trace.error for trace in made.read("traces", Trace)] == [None] * N
        assert (made.manifest.facts["errors"], made.manifest.facts["owed"]) == (0, 0)
        took = made.manifest.facts["prompt_tokens"], made.manifest.facts["completion_tokens"]
        assert sum(int(str(n)) for n in took) == (N + 1) * each, "the reply that is lost was paid, too"
        server.seen.clear()
        (made.folder / "manifest.json").unlink()
        run(study)
        assert server.seen == []


def test_what_a_damaged_reply_took_is_still_spent_when_the_store_was_tidied(tmp_path: Path):
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}\nbudget = {{ tokens = 2000 }}'
        study = study_in(tmp_path, ONE.format(extra="", cap=99), endpoint)
        run(study)
        (path,) = (tmp_path / "store" / "ledger").glob("*.ledger")
        data = path.read_bytes()
        path.write_bytes(data.replace(b"boxed", b"b!xed", 1))
        (artifact(study, "generate/one").folder / "manifest.json").unlink()
        api.gc(store=tmp_path / "store")
        assert path.stat().st_size < len(data)
        facts = json.loads(cli_in(tmp_path)("plan", "s.toml", "--store", "store", "--json").stdout)
        assert facts["lost"] == {"one": 1}
        assert facts["budget"][0]["spent"] == N * (30 + PROMPT_TOKENS)
        server.seen.clear()
        run(study)
        assert len(server.seen) == 1


@pytest.mark.parametrize("part", ["header", "body"])
def test_failed_rows_and_damaged_records_are_told_with_what_becomes_of_them(tmp_path: Path, part: str):
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 30)) as server:
        study_in(tmp_path, ONE.format(extra="", cap=99), f'endpoints.one = {{ url = "{server.url}" }}')
        write_problems(tmp_path, "q1 is fine", "q2 is fine", "status400 once more")
        call = cli_in(tmp_path)
        first = call("run", "s.toml", "-q")
        assert "warning: 1 row of one failed (bad_request): asked again by the next run" in first.stderr
        (path,) = (tmp_path / ".lakon" / "ledger").glob("*.ledger")
        data = path.read_bytes()
        at = data.index(b"boxed") if part == "body" else len(MAGIC) + HEADER_BYTES - 10
        path.write_bytes(data[:at] + b"!" + data[at + 1 :])
        (made,) = (tmp_path / ".lakon" / "generate").glob("*/manifest.json")
        made.unlink()
        told = "1 record of one's ledger failed its checksum: it is asked again"
        planned = call("plan", "s.toml")
        assert told in planned.stdout
        assert "2 traces owed" in planned.stdout
        assert json.loads(call("plan", "s.toml", "--json").stdout)["lost"] == {"one": 1}
        server.seen.clear()
        again = json.loads(call("run", "s.toml", "--json").stdout)
        assert len(server.seen) == 2, "the row that failed and the record that was damaged"
        assert told in again["notes"]
        assert told not in call("plan", "s.toml").stdout, "a sound record is there now"
        call("run", "s.toml", "-q")
        assert "not asked again" not in call("run", "s.toml", "-q").stderr, "told once, by the run that gave up"


class Moody(FaultServer):
    """Every reply has the fault of the moment."""

    mood = "ok"

    async def _misbehave(self, request: Any, body: dict[str, Any], prompt: str) -> Any:
        return await super()._misbehave(request, body, f"{self.mood} {prompt}")


def test_a_failed_top_up_costs_nothing_that_was_paid_for_and_is_owed(tmp_path: Path):
    def traces() -> list[tuple[str | None, str | None]]:
        return [(t.finish_reason, t.error) for t in artifact(study, "generate/one").read("traces", Trace)]

    with Moody() as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}", retries = 0 }}'
        study, server.mood = study_in(tmp_path, ONE.format(extra="", cap=40), endpoint), "length"
        run(study)
        study_in(tmp_path, ONE.format(extra="", cap=99), endpoint)
        server.mood = "status500"
        note = "12 rows of one failed (server): asked again by the next run"
        assert note in run(study).notes
        assert len(server.seen) == 2 * N
        assert traces() == [("length", None)] * N, "cut off is what they still are"
        api.gc(store=tmp_path / "store")
        (artifact(study, "generate/one").folder / "manifest.json").unlink()
        server.mood = "ok"
        study_in(tmp_path, ONE.format(extra="", cap=40), endpoint)
        run(study)
        assert len(server.seen) == 2 * N, "what was paid for under the smaller cap is there"
        study_in(tmp_path, ONE.format(extra="", cap=99), endpoint)
        run(study)
        assert len(server.seen) == 3 * N
        assert traces() == [("stop", None)] * N
        assert run(study).executed == []


def test_what_is_owed_is_an_upper_bound_until_the_problems_are_read(tmp_path: Path):
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:
        study = study_in(tmp_path, ONE.format(extra="", cap=99), f'endpoints.one = {{ url = "{server.url}" }}')
        plan, bound = (lambda: cli_in(tmp_path)("plan", "s.toml", "--store", "store").stdout), "are upper bounds"
        run(study)
        for stage in ("problems", "generate"):
            shutil.rmtree(tmp_path / "store" / stage)
        assert f"to ask for: at most {N} traces" in (said := plan())
        assert bound in said
        run(study, until="problems")
        assert f"0 traces owed, {N} in the ledger" in (said := plan())
        assert bound not in said


def test_status_says_why_a_run_ended(tmp_path: Path):
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}\nbudget = {{ tokens = 300 }}'
        study_in(tmp_path, ONE.format(extra="", cap=40), endpoint)
        cli_in(tmp_path)("run", "s.toml", "-q", expect=3)
        assert "  why: run.budget: " in (said := cli_in(tmp_path)("status", "s.toml").stdout)
        assert "tokens are spent" in said
        facts = json.loads(cli_in(tmp_path)("status", "s.toml", "--json").stdout)
        assert (facts["state"], facts["why"][:11]) == ("stopped", "run.budget:")


@pytest.mark.parametrize("status", [403, 404])
def test_a_row_that_alone_is_refused_again_is_still_a_row(tmp_path: Path, status: int):
    with FaultServer() as server:
        study = study_in(
            tmp_path, ONE.format(extra="", cap=99), f'endpoints.one = {{ url = "{server.url}", concurrency = 1 }}'
        )
        write_problems(tmp_path, "4 is fine", *(f"status{status} number {n}" for n in range(4)))
        for n_asked in (5, 4, 4, 0):
            server.seen.clear()
            run(study)
            assert len(server.seen) == n_asked


def test_a_budget_in_money_counts_both_directions_and_finished_steps(tmp_path: Path):
    rates = "{ input_per_million = 100.0, output_per_million = 1000.0 }"
    each, tables = (PROMPT_TOKENS * 100 + 30 * 1000) / 1e6, ONE.format(extra="", cap=40)
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1)), models=("m", "m2")) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}\nprices.one = {rates}\nbudget = {{ money = 0.45 }}'
        run(study_in(tmp_path, tables, endpoint))
        assert len(server.seen) * each == pytest.approx(0.3684)
        second = ONE.format(extra="", cap=40).replace("one]", "two]").replace('"m"', '"m2"')
        study = study_in(
            tmp_path,
            tables + second,
            f"{endpoint}\n{endpoint.replace('one', 'two').splitlines()[0]}\nprices.two = {rates}",
        )
        with pytest.raises(BudgetSpent, match=r"0\.\d+ is spent"):
            run(study)
        assert 0.3684 < len(server.seen) * each <= 0.45


def test_a_pilot_is_paid_for_once_and_gives_an_interval(tmp_path: Path):
    with FaultServer(answers=lambda body, n: (f"\\boxed{{{number(body)}}}", 100 + 10 * number(body))) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}" }}\nprices.one = {{ output_per_million = 1000.0 }}'
        study = study_in(tmp_path, ONE.format(extra="samples = 2", cap=999), endpoint)
        shown = cli_in(tmp_path)("plan", "s.toml", "--store", "store", "--pilot", "6", "--json")
        piloted = set(asked(server))
        assert len(server.seen) == len(piloted) == 6
        facts = json.loads(shown.stdout)
        (pilot,) = facts["pilot"]
        assert (pilot["asked"], pilot["correct"], pilot["errors"]) == (6, 6, 0)
        work = {row["step"]: row["work"] for row in facts["steps"]}["generate/one"]
        mean = 100 + 10 * sum(piloted) / 6
        assert (work["rows"], work["kept"]) == (2 * N - 6, 6)
        assert work["tokens"] == pytest.approx(18 * mean, abs=1)
        assert work["low"] < work["tokens"] < work["high"]
        assert work["money"] == pytest.approx(work["tokens"] / 1000)
        text = cli_in(tmp_path)("plan", "s.toml", "--store", "store").stdout
        assert "18 traces owed, 6 in the ledger" in text
        run(study)
        assert asked(server) == dict.fromkeys(range(N), 2), "what the pilot asked is not asked again"


def test_a_pilot_and_a_second_teacher_have_only_what_an_interrupted_run_left_of_the_budget(tmp_path: Path):
    each = 90 + PROMPT_TOKENS
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 90), models=("m", "m2")) as server:
        endpoint = f'url = "{server.url}", concurrency = 1'
        endpoints = f"endpoints.one = {{ {endpoint} }}\nbudget = {{ tokens = 650 }}"
        tables = ONE.format(extra="", cap=99)
        study = study_in(tmp_path, tables, endpoints)
        with pytest.raises(BudgetSpent):
            run(study)
        assert 650 - 99 - 100 < (spent := len(server.seen) * each) <= 650
        with pytest.raises(BudgetSpent):
            api.pilot(study, N, store=tmp_path / "store")
        assert len(server.seen) * each == spent, "the pilot asks nothing"
        # Beside a teacher that has spent all of it, another one that has spent nothing starts no request either.
        both = tables.replace("one]", "another]").replace('"m"', '"m2"') + tables
        study = study_in(tmp_path, both, f"endpoints.another = {{ {endpoint} }}\n{endpoints}")
        with pytest.raises(BudgetSpent):
            run(study)
        assert len(server.seen) * each == spent


def test_the_plan_tells_whom_a_sum_leaves_out_and_whether_the_budget_has_room(tmp_path: Path):
    tables = ONE.format(extra="", cap=40) + ONE.format(extra="", cap=40).replace("one]", "deep]")
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:

        def planned(budget: str) -> tuple[str, dict[str, Any]]:
            lines = [f'endpoints.{name} = {{ url = "{server.url}" }}' for name in ("one", "deep")]
            lines += ["prices.one = { input_per_million = 1.0, output_per_million = 1.0 }", f"budget = {budget}"]
            study_in(tmp_path, tables, "\n".join(lines))
            plan = cli_in(tmp_path)("plan", "s.toml", "--store", "store")
            return plan.stdout, json.loads(cli_in(tmp_path)("plan", "s.toml", "--store", "store", "--json").stdout)

        study_in(tmp_path, tables, "\n".join(f'endpoints.{n} = {{ url = "{server.url}" }}' for n in ("one", "deep")))
        api.pilot(tmp_path / "s.toml", 6, store=tmp_path / "store")
        spent, owed = 2 * 6 * (PROMPT_TOKENS + 30), 2 * 6 * (PROMPT_TOKENS + 30)
        text, facts = planned(f"{{ tokens = {spent + owed - 1} }}")
        assert f"budget: {spent} of {spent + owed - 1} tokens (prompt and completion) spent, {owed - 1} left" in text
        assert f"still to spend: about {owed}: over the budget" in text
        assert "6 in the ledger (180 completion tokens)" in text
        assert "0.00022 (0.00022 to 0.00022) in the stated currency (no price for deep: not counted)" in text
        assert f"store: {tmp_path / 'store'}" in text
        (found,) = facts["budget"]
        assert (found["spent"], found["left"], found["owed"], found["fits"]) == (spent, owed - 1, owed, False)
        text, facts = planned(f"{{ tokens = {spent + owed} }}")
        assert text.count(": within the budget") == 1
        assert facts["budget"][0]["fits"] is True


def test_what_is_wrong_with_any_endpoint_is_said_before_the_first_request_to_one(tmp_path: Path):
    tables = "".join(ONE.format(extra="", cap=9).replace("one]", f"{name}]") for name in ("good", "gone", "wrong"))
    tables = tables.replace(
        '[teachers.wrong]\nkind = "endpoint"\nmodel = "m"', '[teachers.wrong]\nkind = "endpoint"\nmodel = "n"'
    )
    with FaultServer(answers=right_at(dict.fromkeys(range(N), 1))) as server:
        urls = {"good": server.url, "gone": "http://127.0.0.1:9/v1", "wrong": server.url}
        study = study_in(tmp_path, tables, "\n".join(f'endpoints.{n} = {{ url = "{url}" }}' for n, url in urls.items()))
        with pytest.raises(StudyError) as caught:
            run(study)
        found = {fault.where.split(":")[0]: fault.found for fault in caught.value.faults}
        assert set(found) == {"run.endpoints.gone", "run.endpoints.wrong"}
        assert "Connect" in found["run.endpoints.gone"]
        assert found["run.endpoints.wrong"] == "no model 'n' here"
        assert server.seen == []
        assert not (tmp_path / "store" / "generate").exists()


def test_a_pilot_needs_an_endpoint(tmp_path: Path):
    tables = '[teachers.v]\nkind = "procedural"\nprocedure = "verbose"\n'
    with pytest.raises(InputError, match="no teacher of the study is an endpoint"):
        api.pilot(study_in(tmp_path, tables, ""), 5, store=tmp_path / "store")


def test_faults_of_asking_are_found_before_anything_is_asked(tmp_path: Path):
    tables = ONE.format(extra='until = "correct"\nif_correct = "two"', cap=9)
    tables += ONE.format(extra='if_correct = "one"', cap=9).replace("one]", "two]")
    study = study_in(
        tmp_path, tables, "budget = { money = 3.0 }\ncompute = { peak_tflops = 9, parameters = { x = 1 } }"
    )
    found = {fault.where: fault.found for fault in api.check(study)}
    assert "waits for" in found["teachers.one.if_correct"]
    assert found["teachers.one.until"] == "`until` with a single sample"
    assert "no price for" in found["run.budget.money"]
    assert "run.compute.parameters" in found
