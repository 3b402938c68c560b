"""Low-rank adapters on every layer that they can stand on.

Invariant: an adapter stands only where the forward pass uses it. Imports torch and peft inside functions only.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

from lakon.backends.training.job import AdapterSettings
from lakon.backends.training.matrices import find_expert_stacks
from lakon.core.errors import InputError

_READ_BY_KERNELS = "out_proj"
"""The last layer of a state-space mixer: its fused kernel takes the bare weight, so an adapter on it would learn
nothing (peft refuses it, too)."""


def is_adapted(model: Any) -> bool:
    """Whether the model has low-rank adapters."""
    return hasattr(model, "peft_config")


def add_adapters(model: Any, adapter: AdapterSettings, *, seed: int) -> Any:
    """The model with adapters on the layers that are named, or else on all linear layers but the head, those of experts
    too. Raises `InputError` where they cannot stand."""
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            "training.adapter is set, and the package peft is not installed",
            "peft, which adds the adapters",
            "install it: pip install 'lakon[train]'",
            where="train",
        )
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # adapters begin at random
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        **_places(model, adapter),
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers for an attribute by its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            return get_peft_model(model, config)
    except ValueError as error:
        names = _linear_names(model)
        raise InputError(
            f"adapters cannot be put on this model: {str(error)[:200]}",
            f"names of its linear layers, as {', '.join(names[:8])}" if names else "names of its linear layers",
            "correct training.adapter.targets, or leave it out for all of them",
            where="train",
        ) from error


def _places(model: Any, adapter: AdapterSettings) -> dict[str, Any]:
    """Where adapters stand, in peft's terms."""
    if adapter.targets:
        return {"target_modules": list(adapter.targets)}
    stacks = find_expert_stacks(model)
    if stacks and adapter.dropout:
        raise InputError(
            f"training.adapter.dropout is {adapter.dropout:g}, and this model has experts, whose adapters take none",
            "no dropout, or adapters on layers that are no experts",
            "set training.adapter.dropout = 0, or name the layers: training.adapter.targets ="
            f" {_linear_names(model)[:4]}",
            where="train",
        )
    return {
        "target_modules": "all-linear",
        "exclude_modules": [_READ_BY_KERNELS] if _has_state_space(model) else None,
        "target_parameters": stacks or None,
    }


def _has_state_space(model: Any) -> bool:
    return any(hasattr(module, "A_log") and hasattr(module, _READ_BY_KERNELS) for module in model.modules())


def _linear_names(model: Any) -> list[str]:
    """Last parts of the names of the linear layers that can have an adapter."""
    last = {name.rpartition(".")[2] for name, _ in model.named_modules() if name.endswith("proj")}
    return sorted(last - {_READ_BY_KERNELS} if _has_state_space(model) else last)
