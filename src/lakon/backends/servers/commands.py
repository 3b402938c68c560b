"""How each server is started, and which of its paths is asked. vLLM's and transformers' commands were tried; sglang's
is from its documentation, since it wants a GPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal, NamedTuple

ServerKind = Literal["vllm", "sglang", "transformers", "command"]
ServedApi = Literal["completions", "chat"]


class ServerSettings(NamedTuple):
    """What a study's `run.serving` says, as plain values."""

    kind: ServerKind
    command: tuple[str, ...] = ()
    python: str | None = None
    tensor_parallel: int = 1
    replicas: int = 1
    max_length: int | None = None
    extra: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    concurrency: int = 64
    start_s: float = 900.0
    api: ServedApi = "completions"
    seeded: bool = False


class ServedName(NamedTuple):
    """What is loaded, and under which name it is asked."""

    folder: str
    """A folder or a name on the hub."""
    name: str
    adapter: str | None = None
    """A folder of adapters on top of it."""
    rank: int | None = None
    """Of the adapters."""


def read_served_name(folder: str) -> ServedName:
    """A folder as a server takes it: adapters that were not merged are served on their base."""
    adapter = Path(folder) / "adapter_config.json"
    place = Path(folder)
    name = place.parent.name if place.name == "model" else place.name  # a student's folder is named by its artifact
    if not adapter.is_file():
        return ServedName(folder, name)
    stated = json.loads(adapter.read_text(encoding="utf-8"))
    return ServedName(str(stated["base_model_name_or_path"]), name, folder, int(stated.get("r", 16)))


def make_command(settings: ServerSettings, served: ServedName, port: int) -> list[str]:
    """The command that serves a model on a port of the loopback."""
    python = settings.python or sys.executable
    match settings.kind:
        case "vllm":
            words = _vllm(python, settings, served, port)
        case "sglang":
            words = _sglang(python, settings, served, port)
        case "transformers":
            program = str(Path(python).with_name("transformers"))
            words = [program, "serve", served.folder, "--host", "127.0.0.1", "--port", str(port)]
        case "command":
            values = {
                "{model}": served.adapter or served.folder,
                "{name}": served.name,
                "{port}": str(port),
                "{tensor_parallel}": str(settings.tensor_parallel),
            }
            words = [_fill(word, values) for word in settings.command]
    return [*words, *settings.extra]


def show_command(settings: ServerSettings) -> str:
    """The command with names in the places of what is known only when it is started, and of folders of this machine."""
    words = make_command(settings, ServedName("MODEL", "NAME"), 0)
    return " ".join([Path(words[0]).name, *words[1:]]).replace("--port 0", "--port PORT")


def _vllm(python: str, settings: ServerSettings, served: ServedName, port: int) -> list[str]:
    words = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", served.folder]
    words += ["--served-model-name", served.name if served.adapter is None else f"{served.name}-base"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    # A generation config in the folder would set top_k and others for requests that leave them out.
    words += ["--generation-config", "vllm"]
    if settings.tensor_parallel > 1:
        words += ["--tensor-parallel-size", str(settings.tensor_parallel)]
    if settings.max_length is not None:
        words += ["--max-model-len", str(settings.max_length)]
    if served.adapter is not None:
        words += ["--enable-lora", "--lora-modules", f"{served.name}={served.adapter}"]
        words += ["--max-lora-rank", str(served.rank)]
    if _dtype(served.folder) == "float32" and "--dtype" not in settings.extra:
        words += ["--dtype", "float32"]  # vLLM would round these weights to bfloat16
    return words


def _sglang(python: str, settings: ServerSettings, served: ServedName, port: int) -> list[str]:
    words = [python, "-m", "sglang.launch_server", "--model-path", served.folder, "--served-model-name", served.name]
    words += ["--host", "127.0.0.1", "--port", str(port), "--sampling-defaults", "openai"]
    if settings.tensor_parallel > 1:
        words += ["--tp", str(settings.tensor_parallel)]
    if settings.max_length is not None:
        words += ["--context-length", str(settings.max_length)]
    if served.adapter is not None:
        words += ["--lora-paths", f"{served.name}={served.adapter}"]
    return words


def _dtype(folder: str) -> str | None:
    """The type of the weights, as the model's config states it."""
    config = Path(folder) / "config.json"
    if not config.is_file():
        return None
    stated = json.loads(config.read_text(encoding="utf-8"))
    return stated.get("dtype") or stated.get("torch_dtype")


def _fill(word: str, values: dict[str, str]) -> str:
    for place, value in values.items():
        word = word.replace(place, value)
    return word
