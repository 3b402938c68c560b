"""The study: a composition of the stages' specs. `Study` says what is computed; `Run` says where and how fast.

Nothing of `Run` is ever part of a key. Read next: `loading.py`, which reads TOML and lists every fault at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lakon.core.spec import Name, Spec
from lakon.stages.curate.arms import Arm
from lakon.stages.curate.pool import Curate
from lakon.stages.evaluate.evaluate import Evaluate
from lakon.stages.generate.specs import EndpointTeacher, RecordedTeacher, Teacher
from lakon.stages.problems.decontaminate import Decontaminate
from lakon.stages.problems.sources import NoProblems, ProblemSource
from lakon.stages.train.train import Student, Training, TrainingRun
from lakon.stages.verify.verify import Verify
from lakon.study.benchmarks import BENCHMARKS

JUDGE = "judge"
"""The judge's name where endpoints and prices are given, beside those of the teachers."""
SHIPPED = Path(__file__).parent / "shipped"


class Endpoint(Spec):
    """Where a teacher is served. Never part of any key."""

    url: str | tuple[str, ...]
    """One base URL ending in `/v1`, or several that share the load."""
    api_key_env: str | None = None
    """The environment variable that holds the key; the key itself never stands in a study."""
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    """Most requests in flight."""
    timeout_s: Annotated[float, Field(gt=0)] = 3600
    """For one request, from its start to the last byte."""
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120
    """Without a byte, once a stream has begun."""
    retries: Annotated[int, Field(ge=0)] = 6
    """Further attempts at a request that failed in a way that may pass."""
    stream: bool = False
    """Read replies as they are generated, so that a silent server is noticed early."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """The server's limit, if it has one."""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """The server's limit, if it has one: prompt and completion tokens."""

    @field_validator("url")
    @classmethod
    def _whole_urls(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for url in [value] if isinstance(value, str) else value:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"found {url!r}; expected http://... or https://...; write the whole URL")
        return value

    @property
    def urls(self) -> list[str]:
        """All base URLs."""
        return [self.url] if isinstance(self.url, str) else list(self.url)


class Price(Spec):
    """Stated rates for the plan. Never part of any key."""

    input_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Money for a million prompt tokens."""
    output_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Money for a million generated tokens."""
    tokens_per_trace: Annotated[float, Field(gt=0)] | None = None
    """Expected tokens of one trace, until a pilot or the ledger knows better."""

    @property
    def states_money(self) -> bool:
        """Whether it says what tokens cost: zero is a price, silence is none."""
        return bool(self.model_fields_set & {"input_per_million", "output_per_million"})


class Spending(Spec):
    """The most that the study's endpoints may take, all runs together. Never part of any key."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Prompt and completion tokens."""
    money: Annotated[float, Field(gt=0)] | None = None
    """In the currency of `run.prices`."""


class Compute(Spec):
    """Stated rates of the GPUs that train and sample students, for the plan. Never part of any key."""

    peak_tflops: Annotated[float, Field(gt=0)]
    """Of one GPU, dense, in the precision of training."""
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the peak that training reaches; operations that activation checkpointing repeats count as well."""
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Of one GPU, in 10^9 bytes: `lakon check` refuses a training that cannot fit."""
    gpus: tuple[Annotated[int, Field(ge=1)], ...] = (1, 8, 64)
    """Numbers of GPUs that `lakon plan` compares, beside that of `run.training`."""
    gpus_per_node: Annotated[int, Field(ge=1)] = 8
    """GPUs of one machine, where more are compared."""
    sampled_tokens_per_s: Annotated[float, Field(gt=0)] | None = None
    """Of one GPU, all sequences together."""
    money_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """Of one GPU."""
    parameters: dict[Name, Annotated[float, Field(gt=0)]] = {}
    """Student to its number of parameters, where its config is neither here nor known."""


class Serving(Spec):
    """A server that samples students, bases and models in folders. Never part of any key: who sampled stands in the
    facts of the traces."""

    server: Literal["vllm", "sglang", "transformers", "command"]
    """`command` is one of your own."""
    command: tuple[str, ...] = ()
    """An OpenAI-compatible server of your own: `{model}` is the folder, `{name}` the name to serve it under, `{port}`
    the port on the loopback."""
    python: str | None = None
    """The interpreter that has the server, where it has an environment of its own."""
    tensor_parallel: Annotated[int, Field(ge=1)] = 1
    """GPUs that hold one copy of a model."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """Copies of a model that share its requests."""
    max_length: Annotated[int, Field(ge=16)] | None = None
    """Most tokens of a prompt and its answer; the model's own limit unless given."""
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    """Most requests in flight at one replica."""
    start_s: Annotated[float, Field(gt=0)] = 900
    """How long a server may take until it answers."""
    api: Literal["completions", "chat"] | None = None
    """`completions` sends prompts as the tokens that students were trained with; `chat` lets the server render them.
    `completions` unless given, and `chat` for `transformers`."""
    seeded: bool = False
    """Send each sample's own seed. It costs time, and vLLM on a CPU dies of it when a prompt is read in parts."""
    extra: tuple[str, ...] = ()
    """Further words of its command."""
    environment: dict[str, str] = {}
    """Further variables of its environment; no keys: they would stand in the study."""

    @model_validator(mode="after")
    def _own_command(self) -> Serving:
        if (self.server == "command") != bool(self.command):
            raise ValueError(
                f"found server = {self.server!r} {'without a' if not self.command else 'and a'} command; expected a "
                'command with server = "command", and only there; state both or neither'
            )
        if self.command and not any("{port}" in word for word in self.command):
            raise ValueError("found a command without {port}; expected the port that it is to listen on; put it there")
        return self


class Run(Spec):
    """Where and how fast; nothing here is ever hashed."""

    store: str | None = None
    """The store's folder, relative to the study: one store, wherever the study is run from. Without it the store is
    `.lakon` in the working folder; `--store` and `LAKON_STORE` come first."""
    engine: Literal["local"] = "local"
    """Where students are trained and sampled: worker processes on this machine."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Worker processes; one a core unless given."""
    endpoints: dict[Name, Endpoint] = {}
    """Where each endpoint teacher, and the `judge`, is served, by its name."""
    prices: dict[Name, Price] = {}
    """What each of them costs, by its name."""
    budget: Spending = Spending()
    """Ends the run before it is exceeded; it can be raised and the run goes on."""
    compute: Compute | None = None
    """For the plan's GPU hours; without it the plan states tokens alone."""
    serving: Serving | None = None
    """What samples students, bases and models in folders: without it, worker processes do, which is for tiny models."""
    training: TrainingRun = TrainingRun()
    """On how many GPUs and how students are trained."""


class Study(Spec):
    """A whole study. `load_study("x.toml")` equals the `Study(...)` one would build in Python."""

    name: Name
    """Stands in the report's folder and in the status."""
    title: str = ""
    """The report's heading."""
    description: str = ""
    """One paragraph under it."""
    caveats: tuple[str, ...] = ()
    """What the study is not, in whole sentences; they stand on top of its report."""
    seed: int = 0
    """What every sample, shuffle and bootstrap is derived from."""
    tokenizer: str | None = None
    """The one tokenizer in which all authors are counted: `words`, `miniature`, a folder or a hub id. The first
    student's own unless given; `words` when there is no student."""
    prompt: str = "{problem}"
    """What models are shown; `{problem}` stands for the problem's text. Students are shown it in training and in
    evaluation; endpoints and checkpoints that teach are, unless they state a `prompt` of their own."""
    problems: ProblemSource = NoProblems()
    """What teachers are asked; a study without teachers has none."""
    decontaminate: Decontaminate = Decontaminate()
    """Problems that copy one of a benchmark of the study are left out before any teacher is asked."""
    teachers: dict[Name, Teacher] = {}
    """Who writes the traces, by name. Without any the study only evaluates `evaluate.authors`."""
    verify: Verify = Verify()
    """How answers are graded."""
    curate: Curate = Curate()
    """What may be compared, and how arms are made comparable."""
    arms: dict[Name, Arm] = {}
    """Training sets by name; without students they are only built."""
    students: tuple[Student, ...] = ()
    """Base models; each is fine-tuned on every arm."""
    training: Training = Training()
    """How students are fine-tuned."""
    benchmarks: dict[Name, ProblemSource] = {}
    """Benchmarks of the study's own, beside the known ones."""
    evaluate: Evaluate = Evaluate()
    """On what students are evaluated, and how."""
    run: Run = Run()
    """Where and how fast; part of no key."""

    @field_validator("teachers")
    @classmethod
    def _inherit_the_prompt(cls, value: dict[str, Teacher], info: ValidationInfo) -> dict[str, Teacher]:
        """A model that teaches is shown what students are shown. Procedures read the bare problem, so they are not."""
        prompt = info.data.get("prompt", "{problem}")
        return {
            name: teacher.model_copy(update={"prompt": prompt})
            if teacher.inherits_prompt and "prompt" not in teacher.model_fields_set
            else teacher
            for name, teacher in value.items()
        }

    @property
    def served(self) -> dict[str, EndpointTeacher]:
        """Who is asked at an endpoint, by its name under `run.endpoints`: teachers, evaluated authors, the judge."""
        asked = {**self.evaluate.authors, **self.teachers}
        teachers = {name: t for name, t in asked.items() if isinstance(t, EndpointTeacher)}
        return teachers if self.verify.judge is None else {**teachers, JUDGE: self.verify.judge.as_teacher()}

    @property
    def recorded(self) -> dict[str, RecordedTeacher]:
        """Teachers whose traces exist already."""
        return {name: t for name, t in self.teachers.items() if isinstance(t, RecordedTeacher)}

    @property
    def authors(self) -> dict[str, Teacher]:
        """Who answers the benchmarks beside bases and students: each as it is asked there."""
        spec, asked = self.evaluate, dict[str, Teacher]()
        for name in spec.teachers:
            if name in self.teachers:
                same = {"samples": spec.samples, "if_correct": None}
                own = {"sampling": spec.sampling, "until": None, "prompt": self.prompt}
                fields = type(self.teachers[name]).model_fields
                asked[name] = self.teachers[name].model_copy(
                    update={**same, **{field: value for field, value in own.items() if field in fields}}
                )
        for name, author in spec.authors.items():
            as_students = {"samples": spec.samples, "sampling": spec.sampling}
            if author.inherits_prompt:
                as_students["prompt"] = self.prompt
            fields, stated = type(author).model_fields, author.model_fields_set
            asked[name] = author.model_copy(
                update={field: v for field, v in as_students.items() if field in fields and field not in stated}
            )
        return asked

    def benchmark(self, name: str) -> ProblemSource:
        """The source of a benchmark: the study's own, else the known one."""
        return self.benchmarks[name] if name in self.benchmarks else BENCHMARKS[name]

    @property
    def is_decontaminated(self) -> bool:
        """Whether problems are compared with those of benchmarks."""
        return self.decontaminate.enabled and bool(self.evaluate.benchmarks) and self.has_problems

    @property
    def has_problems(self) -> bool:
        """Whether there are problems that teachers are asked."""
        return not isinstance(self.problems, NoProblems)

    @property
    def counting(self) -> str:
        """The common tokenizer's name."""
        if self.tokenizer is not None:
            return self.tokenizer
        if self.students:
            return self.students[0].base
        models = [author.model_folder for author in self.evaluate.authors.values() if author.model_folder is not None]
        return models[0] if models and not self.teachers else "words"


def asking_order(teachers: Mapping[str, Teacher]) -> list[str]:
    """The teachers' names, each after the one that it waits for. Those in a circle are left out."""
    order: list[str] = []
    waiting = list(teachers)
    while ready := [
        name for name in waiting if teachers[name].if_correct is None or teachers[name].if_correct in order
    ]:
        order += ready
        waiting = [name for name in waiting if name not in ready]
    return order


def resolve_defaults(study: Study) -> dict[str, Any]:
    """The whole study with its defaults, as plain values: what stands beside every artifact."""
    return cast("dict[str, Any]", _without_folders(study.model_dump(mode="json", exclude={"run"})))


def _without_folders(value: Any) -> Any:
    """Where files lie on this machine is nobody's business: of an absolute path the last part is kept."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in cast("list[Any]", value)]
    return Path(value).name if isinstance(value, str) and value.startswith("/") and "\n" not in value else value
