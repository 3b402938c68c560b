"""The kinds of teachers, and what each answers for itself: who asks need not know which kind it has before it.

To add a kind: a class here, a line in `Teacher`, and an author in `pipeline/authors.py`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from lakon.core.spec import Name, PluginPath, Sampling, Spec
from lakon.stages.problems import presets

_Samples = Annotated[int, Field(ge=1, le=1024)]


class TeacherSpec(Spec):
    """What every teacher has, with honest defaults for what only some kinds have."""

    is_served: ClassVar[bool] = False
    """Whether it is asked at an endpoint: it has a URL, perhaps a key and a price, and a ledger."""
    is_recorded: ClassVar[bool] = False
    """Whether its traces exist already."""
    inherits_prompt: ClassVar[bool] = False
    """Whether it is shown the study's prompt unless it states one of its own."""
    may_be_on_hub: ClassVar[bool] = False
    """Whether its path may be the name of a model on the hub."""
    uses_seed: ClassVar[bool] = False
    """Whether what it writes depends on the study's seed."""

    samples: _Samples = 1
    """Traces for each problem."""
    if_correct: Name | None = None
    """Another teacher, a cheaper one: this one is asked only for the problems which that one got right. The corpus is
    the same where every teacher must be right, and the rest is not paid for."""

    @property
    def template(self) -> str:
        """What it is shown; `{problem}` stands for the problem's text."""
        return "{problem}"

    @property
    def draws(self) -> Sampling:
        """How it is sampled."""
        return Sampling()

    @property
    def system_message(self) -> str:
        """What it is told before the prompt; empty for nothing."""
        return ""

    @property
    def stops_when_correct(self) -> bool:
        """Whether a problem's samples are drawn one after the other until one is right."""
        return False

    @property
    def asked_model(self) -> str | None:
        """The model that its endpoint is asked for."""
        return None

    @property
    def model_folder(self) -> str | None:
        """The folder or hub id of the model that is sampled in this process's workers."""
        return None

    @property
    def traces_path(self) -> str | None:
        """The file or folder that its traces are read from."""
        return None


class _Asked(TeacherSpec):
    until: Literal["correct"] | None = None
    """`correct`: draw a problem's samples one after the other until the first that is right, at most `samples`."""
    prompt: str = "{problem}"
    """What the teacher is shown; `{problem}` stands for the problem's text. A model that states none is shown the
    study's `prompt`."""

    @property
    def template(self) -> str:
        """As it is stated."""
        return self.prompt

    @property
    def stops_when_correct(self) -> bool:
        """As it is stated."""
        return self.until == "correct"


class ProceduralTeacher(_Asked):
    """A function that writes traces: `(prompt, rng, error_rate) -> (reasoning, answer)`."""

    uses_seed = True
    kind: Literal["procedural"] = "procedural"
    """A function."""
    procedure: Literal["verbose", "concise"] | PluginPath
    """One of the miniature's own, or one of your own."""
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of traces whose final answer is wrong."""


class RecordedTeacher(TeacherSpec):
    """Traces that exist already, in files or in the data set that the problems come from."""

    is_recorded = True
    kind: Literal["recorded"] = "recorded"
    """Traces that exist."""
    path: str | None = None
    """A JSONL file, a Parquet file or a folder of Parquet shards, relative to the study; unless given, the rows
    of the problems' own source."""
    preset: Annotated[str | None, Field(exclude=True)] = None
    """A public data set whose fields fill what is left out here: `nemotron-v1`, `s1k-1.1` ...
    (`lakon fields presets`)."""
    where: dict[str, str] = {}
    """Only rows in which these fields have these values."""
    problem_field: str = "problem"
    """The field whose text equals the problem's prompt."""
    reasoning_field: str | None = None
    """Where the reasoning stands, beside an `answer_field`."""
    answer_field: str | None = None
    """Where the answer text stands apart from the reasoning."""
    text_field: str | None = None
    """Reasoning and answer in one text (`<think>` tags, harmony channels): used when there is no `answer_field`."""
    messages_field: str | None = None
    """A chat, as a list or as JSON text: the assistant's last message is the trace, its reasoning in any form that
    endpoints have (`reasoning_content`, `<think>` tags, parts ...)."""
    prefills_think: bool = False
    """Texts begin inside the thinking, without an opening tag."""
    finish_field: str | None = None
    """The finish reason: `length` is truncated."""
    tokens_field: str | None = None
    """The provider's count of completion tokens."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The cap the traces were made with; a row whose provider count reaches it is a truncated one."""

    @property
    def traces_path(self) -> str | None:
        """As it is stated; None for the rows of the problems' own source."""
        return self.path

    @property
    def named_fields(self) -> dict[str, str]:
        """The dotted paths that are read, by the names under which the study states them; `where` apart."""
        stated = self.model_dump(include={name for name in type(self).model_fields if name.endswith("_field")})
        return {name: path for name, path in stated.items() if path is not None}

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths that are read."""
        return (*self.named_fields.values(), *self.where)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: object) -> object:
        return presets.of_traces(raw)

    @model_validator(mode="after")
    def _some_text(self) -> RecordedTeacher:
        named = (self.answer_field or self.reasoning_field, self.text_field, self.messages_field)
        if sum(field is not None for field in named) != 1 or (self.reasoning_field and not self.answer_field):
            raise ValueError(
                "found no field or several for its text; expected answer_field (and reasoning_field), or text_field, "
                "or messages_field; name where its text stands"
            )
        return self


class EndpointTeacher(_Asked):
    """A model behind an OpenAI-compatible endpoint; its URL and key's variable stand in `run.endpoints`."""

    is_served = True
    inherits_prompt = True
    kind: Literal["endpoint"] = "endpoint"
    """A server."""
    model: str
    """The model's name, as the server knows it."""
    api: Literal["chat", "responses"] = "chat"
    """`/chat/completions` or `/responses`."""
    system: str | None = None
    """A system message."""
    prefills_think: bool = False
    """The server's chat template writes the opening think tag, so that replies begin inside of it."""
    seeded: bool = False
    """Send each sample's own seed, for servers that honour it."""
    sampling: Sampling = Sampling()
    """How it is sampled."""

    @property
    def draws(self) -> Sampling:
        """As it is stated."""
        return self.sampling

    @property
    def system_message(self) -> str:
        """As it is stated."""
        return self.system or ""

    @property
    def asked_model(self) -> str | None:
        """As it is stated."""
        return self.model

    def identity(self) -> dict[str, object]:
        """Who writes, for the keys of calls: the model and what it is told; never a URL."""
        who: dict[str, object] = {"model": self.model, "system": self.system, "api": self.api}
        return {**who, "seeded": True} if self.seeded else who


class CheckpointTeacher(_Asked):
    """A model in a local folder (or on the hub), sampled in this process's workers."""

    inherits_prompt = True
    may_be_on_hub = True
    uses_seed = True
    kind: Literal["checkpoint"] = "checkpoint"
    """A local model."""
    path: str
    """The model's folder, relative to the study, or its hub id."""
    sampling: Sampling = Sampling()
    """How it is sampled."""

    @property
    def draws(self) -> Sampling:
        """As it is stated."""
        return self.sampling

    @property
    def model_folder(self) -> str | None:
        """As it is stated."""
        return self.path


Teacher = Annotated[
    ProceduralTeacher | RecordedTeacher | EndpointTeacher | CheckpointTeacher, Field(discriminator="kind")
]
