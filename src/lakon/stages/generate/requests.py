"""The requests that a step stands for, and the keys of their calls.

Invariant: a key is made of the problem, of who is asked how, and of the sample's index, never of the token cap. Keys
are on disks: whoever changes how they are made asks everything again that was paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from lakon.core.digest import derive_seed, digest
from lakon.core.messages import Message, build_messages
from lakon.core.protocols import Request
from lakon.core.records import Problem
from lakon.core.spec import Sampling


def render_template(template: str, problem: Problem) -> str:
    """The prompt for a problem. Only `{problem}` is replaced: other braces are LaTeX."""
    return problem.prompt if template == "{problem}" else template.replace("{problem}", problem.prompt)


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """Every request that a step stands for, sample 0 of all problems first; each is made when it is looked at, so that
    a step may pass over those of two million problems. `who` says who is asked."""

    problems: Callable[[], Iterable[Problem]]
    """The problems in order, as often as they are asked for."""
    n_problems: int
    identity: object
    template: str
    sampling: Sampling
    samples: int
    system: str = ""
    """The system message; empty is none."""

    def __len__(self) -> int:
        return self.n_problems * self.samples

    def __iter__(self) -> Iterator[Request]:
        who = digest(self._who())
        opening = build_messages("", self.system)[:-1]  # one system message, which all requests share
        for index in range(self.samples):
            for problem in self.problems():
                key = digest([problem.problem_id, who, index])
                yield Request(
                    key=key,
                    problem_id=problem.problem_id,
                    messages=(*opening, Message("user", render_template(self.template, problem))),
                    sample_index=index,
                    seed=derive_seed(key),
                    max_tokens=self.sampling.max_tokens,
                )

    def _who(self) -> list[object]:
        """Who is asked, and how: what all keys have in common. An endpoint's identity names its own system message, so
        that it is not said twice."""
        who: list[object] = [self.identity, self.template, self.sampling.identity()]
        if self.system and self.system != _named_system(self.identity):
            who.append(self.system)
        return who


def _named_system(identity: object) -> object:
    """The system message that an author's identity names."""
    return cast("Mapping[str, object]", identity).get("system") if isinstance(identity, Mapping) else None


def list_requests(
    problems: Iterable[Problem], identity: object, *, template: str, sampling: Sampling, samples: int, system: str = ""
) -> list[Request]:
    """Every request that a step stands for, in a list."""
    listed = list(problems)
    return list(RequestPlan(lambda: listed, len(listed), identity, template, sampling, samples, system))
