"""Study files: what is read, and what a stranger is told when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakon import api
from lakon.core.errors import InputError, LakonError, StudyError
from lakon.study.consistency import run_faults
from lakon.study.load import load_study
from lakon.study.schema import SHIPPED, Study

BASE = """
name = "t"
[problems]
kind = "synthetic"
count = 5
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
[teachers.concise]
kind = "procedural"
procedure = "concise"
[arms.short]
teacher = "concise"
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def faults(path: Path) -> dict[str, str]:
    with pytest.raises(StudyError) as caught:
        load_study(path)
    return {fault.where: f"{fault.found} | {fault.expected} | {fault.remedy}" for fault in caught.value.faults}


def test_a_study_file_equals_the_study_built_in_python(write):
    built = Study.model_validate(
        {
            "name": "t",
            "problems": {"kind": "synthetic", "count": 5},
            "teachers": {n: {"kind": "procedural", "procedure": n} for n in ("verbose", "concise")},
            "arms": {"short": {"teacher": "concise"}},
        }
    )
    assert load_study(write(BASE)) == built


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.toml")])
def test_every_shipped_study_parses_and_plans_offline(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in ("recorded", "endpoints"):
        (tmp_path / "problems.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
        (tmp_path / "traces.jsonl").write_text(
            '{"problem": "1+1?", "thinking": "", "answer_text": "2", "teacher": "first"}\n'
        )
    states = api.plan(name, store=tmp_path / "store")
    assert states[-1].step.stage == "report"
    assert {s.state for s in states} == {"missing", "waiting"}


def test_all_faults_come_at_once_with_near_misses(write):
    text = BASE.replace('"verbose"\n[', '"verbose"\nerror_rte = 0.1\n[').replace(
        'teacher = "concise"', 'teacher = "concize"'
    )
    found = faults(write(text + '[trainning]\nepochs = 1\n[evaluate]\nsamples = 0\nbenchmarks = ["gsm8x"]\n'))
    assert "did you mean 'error_rate'" in found["teachers.verbose.error_rte"]
    assert "did you mean 'training'" in found["trainning"]
    assert "greater than or equal to 1" in found["evaluate.samples"]
    assert "did you mean 'concise'" in found["arms.short.teacher"]


@pytest.mark.parametrize(
    ("addition", "where", "says"),
    [
        ('[arms.x]\nteacher = "nobody"', "arms.x.teacher", "no teacher is called 'nobody'"),
        (
            '[arms.x]\nteacher = "verbose"\nsequence = ["verbose"]',
            "arms.x",
            "exactly one of teacher, mix, sequence, route",
        ),
        ("[arms.x]", "arms.x", "exactly one of"),
        (
            '[arms.x]\nteacher = "verbose"\nstyle = "verbatm"',
            "arms.x.style",
            "'verbatim' or 'answer_only', or package.module:name",
        ),
        ('[arms.x]\nteacher = "verbose"\nstyle = "os.path:isabs"', "arms.x.style", "(reasoning, answer, extracted)"),
        ('[evaluate]\nbaseline = "shrt"', "evaluate.baseline", "did you mean 'short'"),
        ('[evaluate]\nbenchmarks = ["gsm8"]', "evaluate.benchmarks", "did you mean 'gsm8k'"),
        ('[curate]\ntoken_budget = "shor"', "curate.token_budget", "did you mean 'short'"),
        ('[[students]]\nbase = "miniature:base"', "evaluate.benchmarks", "at least one benchmark"),
        ('[run.endpoints.nobody]\nurl = "http://127.0.0.1:1/v1"', "run.endpoints", "no teacher is called 'nobody'"),
        ('[teachers."Bad Name"]\nkind = "procedural"\nprocedure = "verbose"', "teachers.Bad Name", "lower-case"),
        ('[teachers.r]\nkind = "recorded"\npath = "none.jsonl"\ntext_field = "t"', "teachers.r.path", "no file"),
        ('[teachers.r]\nkind = "recorded"\ntext_field = "t"', "teachers.r.path", "no file"),
        ('[teachers.r]\nkind = "recorded"\npath = "none.jsonl"', "teachers.r", "no field or several"),
        ("[training]\nseeds = [0, 1, 0]", "training.seeds", "0 twice"),
        ('[curate.filters]\nlanguage = ["latin"]\nbranching = 0.9', "curate.filters.branching", "unknown field"),
        ('[benchmarks.problems]\nkind = "synthetic"\ncount = 1', "benchmarks.problems", "another name"),
        ('[benchmarks.b]\nkind = "synthetic"\ncount = 1\nmin_steps = 7', "benchmarks.b", "min_steps = 7 above"),
        ("[evaluate]\nsampling = { top_p = 0.0 }", "evaluate.sampling.top_p", "greater than 0"),
        (
            '[curate]\nmatch = ["problems", "tokens"]\ntoken_budget = "x"\n'
            '[arms.x]\nteacher = "verbose"\nmatch = ["problems"]',
            "curate.token_budget",
            "opted out",
        ),
        ('[teachers.r]\nkind = "procedral"', "teachers.r.kind", "did you mean 'procedural'"),
        ('[teachers.r]\nprocedure = "verbose"', "teachers.r", "no field 'kind'"),
        (
            '[teachers.p]\nkind = "procedural"\nprocedure = "verbose"\nprompt = "solve it"',
            "teachers.p.prompt",
            "{problem}",
        ),
        ('[arms.x]\nteacher = "verbose"\nmatch = ["tokens"]', "arms.x.match", "rules of curate.match"),
        ('[verify]\npolicy = "judge"', "verify", "add a table [verify.judge]"),
        ("[verify]\naudit = 9", "verify", "add a table [verify.judge]"),
        ('[verify.judge]\nmodel = "m"', "verify", "a judge that nothing uses"),
        ('[verify.judge]\nmodl = "m"', "verify.judge.modl", "did you mean 'model'"),
        ('[verify]\npolicy = "judge"\njudge = { model = "m", votes = 2 }', "verify.judge.votes", "an odd number"),
        (
            '[verify]\npolicy = "judge"\njudge = { model = "m", template = "{answer}" }',
            "verify.judge.template",
            "no {problem} and no {reference}",
        ),
        ('[verify]\noverrides = "none.jsonl"', "verify.overrides", "no file"),
        ('[run.endpoints.judge]\nurl = "http://127.0.0.1:1/v1"', "run.endpoints", "no teacher is called 'judge'"),
        (
            '[verify]\npolicy = "judge"\njudge = { model = "m" }\n'
            '[teachers.judge]\nkind = "procedural"\nprocedure = "verbose"',
            "teachers.judge",
            "rename the teacher",
        ),
    ],
)
def test_a_fault_is_named_by_place_and_says_what_to_do(write, addition: str, where: str, says: str):
    found = faults(write(f"{BASE}\n{addition}\n"))
    assert where in found, found
    assert says in found[where]


@pytest.mark.parametrize(
    ("addition", "where", "says"),
    [
        ("[curate]\nmatch = []", "curate.match", "[] | at least one value"),
        ('[arms.x]\nteacher = "verbose"\nmatch = []', "arms.x.match", "[] | at least one value"),
        ("[arms.x]\nsequence = []", "arms.x.sequence", "[] | at least one value"),
        ("[training]\nseeds = []", "training.seeds", "[] | at least one value"),
        ("[curate.filters]\nrepetition = true", "curate.filters.repetition", "'true' | a number |"),
        ("[training]\nseeds = [true]", "training.seeds[0]", "'true' | a whole number |"),
        ("[arms.x]\nmix = { verbose = true }", "arms.x.mix.verbose", "'true' | a number |"),
        ('[evaluate]\nsamples = "eight"', "evaluate.samples", "'eight' | a whole number |"),
        ("[evaluate]\nsamples = 2.5", "evaluate.samples", "2.5 | a whole number |"),
        ("[evaluate]\nbase = 3", "evaluate.base", "3 | true or false |"),
        ("[evaluate]\ngroup_by = 3", "evaluate.group_by", "3 | a list |"),
        ("[curate]\nrequire = 3", "curate.require", "3 | 'all' or 'any', or a table |"),
        ("[curate]\nfilters = 3", "curate.filters", "3 | a table |"),
        ("[verify]\noverrides = 3", "verify.overrides", '3 | a text in "quotes" |'),
        ("[run.endpoints.verbose]\nurl = 3", "run.endpoints.verbose.url", '3 | a text in "quotes", or a list |'),
    ],
)
def test_a_value_of_another_type_is_told_in_words_of_the_file(write, addition: str, where: str, says: str):
    found = faults(write(f"{BASE}\n{addition}\n"))
    assert list(found) == [where]
    assert found[where].startswith(says)


STUDENT = '[[students]]\nbase = "miniature:base"\n'


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ('samples = "eight"\nbenchmarks = ["gsm8k"]', "evaluate.samples"),
        ('sampling = { top_p = "x" }\nbenchmarks = ["gsm8k"]', "evaluate.sampling.top_p"),
        ('benchmarks = ["GSM 8k"]', "evaluate.benchmarks[0]"),
        ("benchmarks = 3", "evaluate.benchmarks"),
    ],
)
def test_a_broken_field_brings_no_false_fault_about_its_section(write, broken: str, where: str):
    assert set(faults(write(f"{BASE}{STUDENT}[evaluate]\n{broken}\n"))) == {where}


def test_the_sound_parts_of_a_broken_study_are_looked_at_too(write, tmp_path: Path, monkeypatch):
    (tmp_path / "p.jsonl").write_text('{"problem": "1+1?", "answer": "???"}\n{"problem": "1+2?", "answer": "3"}\n')
    (tmp_path / "t.jsonl").write_text('{"problem": "1+1?", "output": "2"}\n')
    files = BASE.replace('kind = "synthetic"\ncount = 5', 'kind = "jsonl"\npath = "p.jsonl"')
    teacher = '[teachers.{0}]\nkind = "recorded"\npath = "t.jsonl"\ntext_field = "{1}"\n'
    text = (
        files
        + teacher.format("r", "outptu")
        + teacher.format("s", "outptu").replace("[teachers.s]", "[teachers.s]\nsamples = 0")
    )
    path = write(f'{text}[training]\nepochs = "x"\n[teachers.e]\nkind = "endpoint"\nmodel = "m"\n')
    monkeypatch.chdir("/")
    found = api.check(path)
    assert [(fault.where.partition(":")[0], fault.level) for fault in found] == [
        ("teachers.s.samples", "fault"),
        ("training.epochs", "fault"),
        ("run.endpoints.e", "fault"),
        ("problems", "warning"),
        ("teachers.r.text_field", "fault"),  # of `s` nothing is said: what its fault is about is not known
    ]


JUDGED = """
[verify]
policy = "rules-then-judge"
judge = { model = "m" }
[run.endpoints.judge]
url = "http://127.0.0.1:1/v1"
api_key_env = "LAKON_TEST_JUDGE_KEY"
[run.prices.judge]
output_per_million = 1.0
"""


def test_a_judges_endpoint_and_price_stand_beside_those_of_teachers(write, monkeypatch):
    monkeypatch.setenv("LAKON_TEST_JUDGE_KEY", "k")
    study = load_study(write(BASE + JUDGED))
    assert run_faults(study) == []
    monkeypatch.delenv("LAKON_TEST_JUDGE_KEY")
    (fault,) = run_faults(study)
    assert (fault.where, "LAKON_TEST_JUDGE_KEY" in fault.found) == ("run.endpoints.judge", True)
    (fault,) = run_faults(load_study(write(BASE + JUDGED.partition("[run.endpoints")[0])))
    assert (fault.where, fault.found) == ("run.endpoints.judge", "no endpoint")


def test_a_fault_of_the_judge_brings_no_false_one_about_its_endpoint(write):
    found = faults(write(BASE + JUDGED.replace('model = "m"', 'model = "m", votes = 4')))
    assert set(found) == {"verify.judge.votes"}


def test_bad_rulings_are_faults_of_the_study_line_by_line(write, tmp_path: Path):
    (tmp_path / "mine.jsonl").write_text('{"trace_id": "t"}\n\n[]\n', encoding="utf-8")
    found = faults(write(BASE + '[verify]\noverrides = "mine.jsonl"\n[arms.x]\nteacher = "nobody"\n'))
    assert set(found) == {"mine.jsonl:1", "mine.jsonl:3", "arms.x.teacher"}


def test_two_teachers_with_one_name_are_told_apart_from_other_syntax_errors(write):
    text = BASE + '[teachers.concise]\nkind = "procedural"\nprocedure = "verbose"\n'
    (said,) = faults(write(text)).values()
    assert "two teachers or arms need two names" in said
    (said,) = faults(write("name = ")).values()
    assert "valid TOML" in said


def test_a_missing_file_and_an_unknown_study_propose_what_to_do(tmp_path: Path):
    with pytest.raises(InputError, match="no file"):
        load_study(tmp_path / "none.toml")
    with pytest.raises(InputError, match="did you mean 'miniature'"):
        load_study("minature")


def test_set_changes_only_keys_that_the_file_has():
    study = load_study(
        "miniature", overrides={"training.epochs": "1", "arms.mixed.mix.verbose": "3", "title": "another"}
    )
    assert (study.training.epochs, study.arms["mixed"].mix, study.title) == (1, {"verbose": 3, "concise": 1}, "another")
    with pytest.raises(InputError, match=r"did you mean 'epochs'"):
        load_study("miniature", overrides={"training.epoch": "1"})
    with pytest.raises(InputError, match=r"'run'"):
        load_study("miniature", overrides={"run.workers": "1"})


def test_paths_are_relative_to_the_study_file(tmp_path: Path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
    (tmp_path / "s.toml").write_text(
        BASE.replace('kind = "synthetic"\ncount = 5', 'kind = "jsonl"\npath = "data/p.jsonl"')
    )
    monkeypatch.chdir("/")
    study = load_study(tmp_path / "s.toml")
    assert study.problems.path == str(tmp_path / "data" / "p.jsonl")  # type: ignore[union-attr]


def test_a_key_variable_that_is_not_set_is_a_fault_of_running_not_of_planning(write, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    path = write(
        BASE
        + '[teachers.e]\nkind = "endpoint"\nmodel = "m"\n'
        + '[run.endpoints.e]\nurl = "http://127.0.0.1:1/v1"\napi_key_env = "NO_SUCH_KEY"\n'
    )
    study = load_study(path)
    assert api.plan(study, store=path.parent / "store")
    (fault,) = run_faults(study)
    assert "NO_SUCH_KEY is not set" in fault.found
    with pytest.raises(LakonError, match="NO_SUCH_KEY"):
        api.run(study, store=path.parent / "store")
    assert not (path.parent / "store").exists()


def test_new_copies_a_shipped_study_and_never_overwrites(tmp_path: Path):
    path = api.new(tmp_path / "mine.toml", source="miniature")
    assert load_study(path) == load_study("miniature")
    with pytest.raises(InputError, match="there already"):
        api.new(path)


@pytest.mark.parametrize("verb", [api.check, api.plan, api.status, api.show, api.explain])
def test_changes_of_a_study_that_is_read_already_are_refused_not_ignored(write, verb):
    study = load_study(write(BASE))
    with pytest.raises(LakonError, match="load_study"):
        verb(study, overrides={"problems.count": "3"})
