"""What a model is made of: from a table of known models, or counted on a model without memory.

A model on PyTorch's meta device has the sizes of its tensors and none of their numbers: its counts are exact, for any
class that transformers knows. Importing torch takes seconds, so what was counted is kept, by the digest of the
`config.json`. Nothing is fetched.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from lakon.core.digest import digest
from lakon.core.model_shape import MatrixKind, ModelShape, shape_of_row

KNOWN_SHAPES = Path(__file__).parent / "known_shapes.toml"
_COUNTING = 1
"""Raise it when shapes are counted differently: kept counts of an earlier number are not used."""
_NORM = re.compile(r"(RMS|Layer)Norm", re.IGNORECASE)


class FoundShape(NamedTuple):
    """A model's shape, or why there is none."""

    shape: ModelShape | None
    source: str
    """Where it comes from, or what is missing: the rest of a sentence about the model."""


def find_shape(name: str, folder: str) -> FoundShape:
    """The shape of the model `name`, which lies in `folder` if there is such a folder; never from the network."""
    known = read_known_shapes().get(name)
    if known is not None:
        return FoundShape(known, "known by its name")
    config = Path(folder) / "config.json"
    if not Path(folder).is_dir():
        fetched = _fetched_config(name)
        if fetched is None:
            return FoundShape(None, "neither a folder nor a known model, nor fetched before")
        config = fetched
    if not config.is_file():
        return FoundShape(None, "a folder without config.json")
    return _counted(config)


@functools.cache
def read_known_shapes() -> dict[str, ModelShape]:
    """Name to shape of the models that are known without their files."""
    table = tomllib.loads(KNOWN_SHAPES.read_text(encoding="utf-8"))
    shapes: dict[str, ModelShape] = {}
    for name, row in table.items():
        shapes |= dict.fromkeys((name, *row.get("also", ())), shape_of_row(row["shape"]))
    return shapes


def _fetched_config(name: str) -> Path | None:
    """The `config.json` of a model of the hub that was fetched before, if there is one."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # the name of a folder that is not there
        return None
    return Path(path) if isinstance(path, str) else None


def _counted(config: Path) -> FoundShape:
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return FoundShape(None, f"a model whose config.json cannot be read ({error})")
    kept = _cache_folder() / f"{digest([_COUNTING, text])}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return FoundShape(shape_of_row(json.loads(kept.read_text(encoding="utf-8"))), "counted from its config.json")
    try:
        shape = count_shape(str(config.parent))
    except Exception as error:  # transformers raises whatever a config makes it stumble over
        return FoundShape(None, f"a model that transformers cannot make ({str(error).splitlines()[0][:160]})")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs seconds, nothing else
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(shape.as_row()), encoding="utf-8")
    return FoundShape(shape, "counted from its config.json")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lakon" / "model-shapes"


def count_shape(folder: str) -> ModelShape:
    """The shape of the model whose `config.json` lies in `folder`. Raises what transformers raises for a config that it
    cannot make a model of, and ImportError where it is not installed."""
    from transformers import AutoConfig

    return count_config(AutoConfig.from_pretrained(folder, local_files_only=True))


def count_config(config: Any) -> ModelShape:
    """The shape of the model that a transformers config describes, counted on the meta device."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    text = model.config.get_text_config()
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    blocks = _blocks(model, torch.nn.ModuleList)
    matrices = _matrices(blocks, torch.nn.Linear)
    experts = sum(weight.numel() for name, weight in blocks.named_parameters() if _is_expert(name))
    parameters = _size(model)
    in_head = 0 if head is None or head.weight is embedding else head.weight.numel()
    active, available = _experts(text)
    windows = _windows(text, blocks)
    mamba = next((block for block in blocks.modules() if hasattr(block, "A_log")), None)
    return ModelShape(
        model_class=type(model).__name__,
        layers=len(blocks),
        hidden=text.hidden_size,
        intermediate=_intermediate(text, experts),
        heads=text.num_attention_heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        vocabulary=embedding.shape[0],
        attention_layers=_count(blocks, _has_attention),
        window=getattr(text, "sliding_window", None) or 0 if windows else 0,
        window_layers=windows,
        mlp_layers=_count(blocks, _has_mlp),
        expert_layers=_count(blocks, _has_experts),
        active_experts=active if experts else 0,
        mamba_layers=_count(blocks, _has_mamba),
        mamba_projection=0 if mamba is None else mamba.in_proj.out_features,
        mamba_inner=0 if mamba is None else mamba.out_proj.in_features,
        norms=sum(1 for module in blocks.modules() if _is_norm(module, text.hidden_size)),
        gated=any(kind.name in ("gate_proj", "gate_up_proj") for kind in matrices) or _has_gated_experts(blocks),
        has_query_key_norm=any(name.endswith("q_norm") for name, _ in blocks.named_modules()),
        embedding=embedding.numel(),
        head=in_head,
        matrices=matrices,
        experts=experts,
        used_experts=round(experts * active / available) if experts else 0,
        rest=parameters - embedding.numel() - in_head - experts - sum(kind.parameters for kind in matrices),
        largest_block=max(map(_size, blocks)),
    )


# -- blocks ----------------------------------------------------------------------------------------------------


def _blocks(model: Any, list_class: type) -> Any:
    """The list of modules with most parameters: the decoder's blocks."""
    return max((module for module in model.modules() if isinstance(module, list_class)), key=_size)


def _size(module: Any) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _matrices(blocks: Any, linear: type) -> tuple[MatrixKind, ...]:
    counts: dict[tuple[str, int, int], int] = {}
    for name, module in blocks.named_modules():
        if isinstance(module, linear) and not _is_expert(name):
            key = (name.rpartition(".")[2], *module.weight.shape)
            counts[key] = counts.get(key, 0) + 1
    return tuple(MatrixKind(*key, count) for key, count in counts.items())


def _is_expert(name: str) -> bool:
    return "experts" in name.split(".")


def _is_norm(module: Any, hidden: int) -> bool:
    weight = getattr(module, "weight", None)
    return bool(_NORM.search(type(module).__name__)) and weight is not None and tuple(weight.shape) == (hidden,)


def _count(blocks: Any, has: Any) -> int:
    return sum(1 for block in blocks if has(block))


def _has_attention(block: Any) -> bool:
    return any("Attention" in type(module).__name__ for module in block.modules())


def _has_mamba(block: Any) -> bool:
    return any(hasattr(module, "A_log") for module in block.modules())


def _has_experts(block: Any) -> bool:
    return any(_is_expert(name) for name, _ in block.named_modules())


def _has_mlp(block: Any) -> bool:
    return any(name.endswith("down_proj") and not _is_expert(name) for name, _ in block.named_modules())


def _has_gated_experts(blocks: Any) -> bool:
    return any(_is_expert(name) and "gate" in name for name, _ in blocks.named_parameters())


# -- configs ---------------------------------------------------------------------------------------------------


def _experts(text: Any) -> tuple[int, int]:
    """Experts that a token passes in one block, and how many there are."""
    active = getattr(text, "num_experts_per_tok", None) or 1
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    available = next((n for name in names if (n := getattr(text, name, None))), active)
    return active, available


def _intermediate(text: Any, experts: int) -> int:
    """The width of the MLP, or of one expert where there are experts; 0 where the config does not say."""
    of_experts = getattr(text, "moe_intermediate_size", None) if experts else None
    return of_experts or getattr(text, "intermediate_size", None) or 0


def _windows(text: Any, blocks: Any) -> int:
    """How many blocks look back a window only."""
    if not getattr(text, "sliding_window", None):
        return 0
    types = getattr(text, "layer_types", None)
    return sum(1 for kind in types if kind == "sliding_attention") if types else _count(blocks, _has_attention)
