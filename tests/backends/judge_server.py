"""A judge on the loopback: a real HTTP server whose replies are a function of the answer that it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from faults import FaultServer, _reply, _send, _status


class JudgeServer(FaultServer):
    """`script(answer, n)` gives the reply's text for the n-th time that this answer is shown (from 0): `...[cut]` is
    one that was cut off, `[500]` a failure of that status."""

    def __init__(self, script: Callable[[str, int], str], **settings: Any) -> None:
        super().__init__(**settings)
        self.script = script
        self.shown: list[str] = []
        """The answer in every request, in order of arrival."""

    async def _misbehave(self, request: web.Request, body: dict[str, Any], prompt: str) -> web.StreamResponse:
        answer = prompt.rpartition("<answer ")[2].partition("\n")[2].rpartition("\n</answer ")[0]
        n = self.shown.count(answer)
        self.shown.append(answer)
        text = self.script(answer, n)
        if text.startswith("[") and text.strip("[]").isdigit():
            return _status(text.strip("[]"), body)
        finish = "length" if text.endswith("[cut]") else "stop"
        return await _send(request, body, _reply(body, text.removesuffix("[cut]"), finish=finish))
