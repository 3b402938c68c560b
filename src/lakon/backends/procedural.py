"""A function as an author: `(prompt, rng, error_rate) -> (reasoning, answer)`. Free, and the same every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from lakon.core.digest import derive_seed
from lakon.core.messages import read_prompt
from lakon.core.protocols import Payload, Reply, Request

Procedure = Callable[[str, random.Random, float], tuple[str, str]]


class ProceduralAuthor:
    """Writes traces by calling a procedure with a random stream for each request."""

    paid = False
    may_retry = False

    def __init__(self, procedure: Procedure, name: str, *, error_rate: float, seed: int) -> None:
        self._procedure, self._error_rate, self._seed = procedure, error_rate, seed
        self.identity: object = {"procedure": name, "error_rate": error_rate, "seed": seed}

    def ask(
        self,
        requests: Sequence[Request],
        put: Callable[[str, Payload], None],
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Answer the last user message of every request; a procedure that cannot makes that one row an error."""
        for request in requests:
            put(request.key, self._answer(request))

    def _answer(self, request: Request) -> Payload:
        rng = random.Random(derive_seed(self._seed, request.key))
        try:
            reasoning, answer = self._procedure(read_prompt(request.messages), rng, self._error_rate)
        except ValueError as error:
            return {"error": f"the procedure refused: {error}"}
        return {"reasoning": reasoning, "answer": answer}

    def parse(self, payload: Payload) -> Reply:
        """The reply as it was written."""
        if "error" in payload:
            return Reply(error=str(payload["error"]))
        return Reply(reasoning=str(payload["reasoning"]), answer=str(payload["answer"]), finish_reason="stop")
