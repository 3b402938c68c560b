"""Small random models with the real classes and configurations of the students that people train.

Each takes the miniature's tokenizer, so that its vocabulary fits, and has every kind of layer of the model it stands
for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakon.miniature.student import base_path

_SHAPE: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def write_student(kind: str, folder: Path) -> Path:
    """A random model of that kind, and the miniature's tokenizer, in `folder`."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    tokens = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    BUILDERS[kind](tokens).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _llama(tokens: dict[str, int]) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_SHAPE, **tokens, tie_word_embeddings=False))


def _mistral_nemo(tokens: dict[str, int]) -> Any:
    """Heads that are wider together than the hidden state, as 32 heads of 128 over 5,120 are not 160."""
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**_SHAPE, **tokens, head_dim=16, sliding_window=None))


def _qwen3(tokens: dict[str, int]) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**_SHAPE, **tokens, head_dim=16, tie_word_embeddings=True))


def _gemma3(tokens: dict[str, int]) -> Any:
    """One layer with a sliding window shorter than the examples, one without."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    kinds = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            **_SHAPE, **tokens, head_dim=16, sliding_window=16, layer_types=kinds, query_pre_attn_scalar=16
        )
    )


def _gpt_oss(tokens: dict[str, int]) -> Any:
    """Mixture of experts, attention sinks, sliding and full layers in turns."""
    from transformers import GptOssConfig, GptOssForCausalLM

    return GptOssForCausalLM(
        GptOssConfig(
            **_SHAPE,
            **tokens,
            head_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
        )
    )


def _nemotron_h(tokens: dict[str, int]) -> Any:
    """The pattern of Nemotron-Nano-12B-v2 in short: state-space, feed-forward and attention layers, each by itself."""
    from transformers import NemotronHConfig, NemotronHForCausalLM

    shape = {**_SHAPE, "num_hidden_layers": 5}
    return NemotronHForCausalLM(
        NemotronHConfig(
            **shape,
            **tokens,
            hybrid_override_pattern="M-M*-",
            head_dim=16,
            mamba_num_heads=6,
            mamba_head_dim=16,
            n_groups=2,
            ssm_state_size=16,
            chunk_size=16,
        )
    )


BUILDERS: dict[str, Callable[[dict[str, int]], Any]] = {
    "llama": _llama,
    "mistral-nemo": _mistral_nemo,
    "qwen3": _qwen3,
    "gemma3": _gemma3,
    "gpt-oss": _gpt_oss,
    "nemotron-h": _nemotron_h,
}
