"""Models as a command line names them: a URL, a folder, a name on the hub, each with a name of its own if it likes.

`NAME=MODEL` names one; `URL#MODEL` says which of the models that a server has is meant.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lakon.core.errors import InputError, near_miss

_LIST_S = 20.0
_MOST_BYTES = 4_000_000
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


class EvaluatedAuthor(NamedTuple):
    """One author as the study will have it."""

    name: str
    table: dict[str, Any]
    """`[evaluate.authors.NAME]`."""
    url: str | None = None
    """Where it is served, for `run.endpoints`."""


def read_authors(words: Sequence[str], *, key: str | None) -> list[EvaluatedAuthor]:
    """Each model that was named, under a name of its own. `key` is what servers want to see, not what is written down.

    Raises `InputError` for what is no model, and for a server whose only model cannot be told.
    """
    authors: list[EvaluatedAuthor] = []
    for word in words:
        given, _, model = word.rpartition("=") if _has_name(word) else ("", "", word)
        author = _read_author(model, key)
        name = make_name(given or author.name, taken=[each.name for each in authors])
        authors.append(author._replace(name=name))
    return authors


def _has_name(word: str) -> bool:
    """Whether it begins with `NAME=`: a URL may hold an equals sign of its own."""
    return re.match(r"^[\w. -]+=", word) is not None


def _read_author(model: str, key: str | None) -> EvaluatedAuthor:
    if model.startswith(("http://", "https://")):
        url, _, named = model.partition("#")
        url = url.rstrip("/")
        served = named or _only_model(url, key)
        return EvaluatedAuthor(served.rstrip("/").rpartition("/")[2], {"kind": "endpoint", "model": served}, url)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                f"a folder {model!r} without config.json", "a model's folder", "name the folder that has its weights"
            )
        return EvaluatedAuthor(folder.resolve().name, {"kind": "checkpoint", "path": str(folder.resolve())})
    if model == "miniature:base" or _HUB_ID.match(model):
        name = model.rpartition("/")[2].replace(":", "-")
        return EvaluatedAuthor(name, {"kind": "checkpoint", "path": model})
    raise InputError(
        f"{model!r}, which is no URL, no folder and no name on the hub",
        "http://HOST/v1, http://HOST/v1#MODEL, a folder with a model, or OWNER/MODEL",
        "correct it; NAME=MODEL gives it a name of its own",
    )


def make_name(text: str, *, taken: Sequence[str]) -> str:
    """A name as studies take them: lower case, digits, dots, dashes, and one that nothing has yet."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:56] or "model"
    name, n = plain, 2
    while name in taken:
        name, n = f"{plain}-{n}", n + 1
    return name


def _only_model(url: str, key: str | None) -> str:
    """The one model that a server lists."""
    try:
        names = _list_models(url, key)
    except urllib.error.HTTPError as error:
        todo = "name the key's variable with --key-env" if error.code in (401, 403) else "name the model: URL#MODEL"
        raise InputError(f"{url}/models gives HTTP {error.code}", "a list of models", todo) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"no answer from {url}/models: {error}",
            "a running OpenAI-compatible server",
            "start the server, or correct the URL; it ends in /v1",
        ) from error
    if len(names) == 1:
        return names[0]
    if not names:
        raise InputError(f"a server at {url} that lists no model", "one model", "name it: URL#MODEL")
    raise InputError(f"a server at {url} that has {len(names)} models", near_miss("", names), "name one: URL#MODEL")


def _list_models(url: str, key: str | None) -> list[str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/models", headers=headers), timeout=_LIST_S) as reply:
        body = orjson.loads(reply.read(_MOST_BYTES))
    rows = body.get("data", []) if isinstance(body, dict) else []
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    return [name for name in ids if isinstance(name, str)]
