"""Shapes of models: counted ones equal real models, known ones equal their configs, and counting happens once."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lakon.backends.checkpoint import shape as shapes
from lakon.backends.checkpoint.shape import KNOWN_SHAPES, count_config, find_shape, read_known_shapes
from lakon.core.model_shape import shape_of_row
from lakon.stages.train.memory import TrainingSetup, estimate_memory

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 300,
    "num_hidden_layers": 3,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
MAMBA = {"mamba_num_heads": 8, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 2, "conv_kernel": 4}
TINY: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **SMALL, "tie_word_embeddings": False},
    "llama tied": {"model_type": "llama", **SMALL, "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", **SMALL, "sliding_window": 32, "tie_word_embeddings": False},
    "qwen3": {"model_type": "qwen3", **SMALL, "tie_word_embeddings": True},
    "gemma": {"model_type": "gemma3_text", **SMALL},
    "gpt-oss": {"model_type": "gpt_oss", **SMALL, **EXPERTS, "sliding_window": 8},
    "nemotron": {"model_type": "nemotron_h", **SMALL, **MAMBA, "hybrid_override_pattern": "M-*-M"},
}


def config_of(sizes: dict[str, Any]) -> Any:
    return transformers.AutoConfig.for_model(
        sizes["model_type"], **{name: value for name, value in sizes.items() if name != "model_type"}
    )


@pytest.mark.parametrize("name", TINY)
def test_counts_on_the_meta_device_are_those_of_a_real_model(name: str):
    model = transformers.AutoModelForCausalLM.from_config(config_of(TINY[name]))
    shape = count_config(config_of(TINY[name]))
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    assert shape.model_class == type(model).__name__
    assert shape.embedding == 300 * 64
    assert shape.head == (0 if model.config.tie_word_embeddings else 300 * 64)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not model.get_output_embeddings()]
    assert shape.in_matrices == sum(m.weight.numel() for m in linear)
    assert shape_of_row(json.loads(json.dumps(shape.as_row()))) == shape


def test_blocks_are_told_apart():
    nemotron = count_config(config_of(TINY["nemotron"]))
    assert (nemotron.layers, nemotron.mamba_layers, nemotron.mlp_layers, nemotron.attention_layers) == (5, 2, 2, 1)
    assert (nemotron.gated, nemotron.mamba_inner, nemotron.norms) == (False, 128, 5)
    experts = count_config(config_of(TINY["gpt-oss"]))
    assert (experts.expert_layers, experts.mlp_layers, experts.active_experts) == (3, 0, 2)
    assert experts.used_experts == experts.experts // 2
    assert (experts.window, experts.window_layers) == (8, 2), "every second layer, from the first"
    assert count_config(config_of(TINY["mistral"])).window_layers == 3
    assert count_config(config_of(TINY["qwen3"])).has_query_key_norm
    assert count_config(config_of(TINY["gemma"])).norms == 12


@pytest.mark.parametrize("name", sorted(tomllib.loads(KNOWN_SHAPES.read_text(encoding="utf-8"))))
def test_a_known_shape_is_what_its_config_makes_and_has_the_published_size(name: str):
    row = tomllib.loads(KNOWN_SHAPES.read_text(encoding="utf-8"))[name]
    counted = count_config(config_of(row["config"]))
    assert counted == read_known_shapes()[name]
    assert row["source"]
    if "published" in row:
        assert counted.parameters == pytest.approx(row["published"], rel=5e-4)


def test_the_miniatures_own_base_is_known():
    from lakon.miniature.student import base_path

    assert shapes.count_shape(str(base_path())) == read_known_shapes()["miniature:base"]


# -- what autograd keeps ---------------------------------------------------------------------------------------


def kept_bytes(sizes: dict[str, Any], layers: int, dtype: Any, tokens: int) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights not counted."""
    model: Any = transformers.AutoModelForCausalLM.from_config(
        config_of({**sizes, "num_hidden_layers": layers}), dtype=dtype, attn_implementation="sdpa"
    )
    model.train()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.base_model(input_ids=torch.randint(0, 300, (1, tokens)), use_cache=False).last_hidden_state
    assert output.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(("name", "most_off"), [("llama", 0), ("mistral", 0), ("qwen3", 0), ("gemma", 0.12)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_estimated_activations_of_a_block_are_what_autograd_keeps(name: str, most_off: float, precision: Any):
    """To the byte where norms are as in Llama; Gemma's stay in float32, and fewer of their outputs are kept."""
    tokens, sizes = 128, {**TINY[name], "sliding_window": None} if name == "mistral" else TINY[name]
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    setup = TrainingSetup(precision=precision, activation_checkpointing=False, pass_tokens=tokens)
    kept = kept_bytes(sizes, 4, dtype, tokens) - kept_bytes(sizes, 2, dtype, tokens)
    shape, less = (count_config(config_of({**sizes, "num_hidden_layers": layers})) for layers in (4, 2))
    estimated = estimate_memory(shape, setup).activations - estimate_memory(less, setup).activations
    assert estimated == pytest.approx(kept, rel=most_off)


# -- finding a shape -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tmp_path / "model"
    config_of(TINY["llama"]).save_pretrained(model)
    return model


def test_a_config_is_counted_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = find_shape("mine", str(folder))
    assert first.shape is not None
    assert first.shape.parameters == count_config(config_of(TINY["llama"])).parameters

    def forbidden(folder: str) -> None:
        raise AssertionError("counted again")

    monkeypatch.setattr(shapes, "count_shape", forbidden)
    assert find_shape("another name", str(folder)) == first


def test_another_config_is_counted_anew(folder: Path):
    first = find_shape("mine", str(folder)).shape
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(text.replace('"intermediate_size": 160', '"intermediate_size": 320'))
    second = find_shape("mine", str(folder)).shape
    assert first is not None
    assert second is not None
    assert second.parameters == first.parameters + 3 * 3 * 160 * 64


def test_a_damaged_note_of_a_count_is_counted_again(folder: Path, tmp_path: Path):
    first = find_shape("mine", str(folder))
    (note,) = (tmp_path / "cache" / "lakon" / "model-shapes").iterdir()
    note.write_text("{", encoding="utf-8")
    assert find_shape("mine", str(folder)) == first


@pytest.mark.parametrize(
    ("config", "says"),
    [(None, "without config.json"), ("{", "cannot make"), ('{"model_type": "nothing-known"}', "cannot make")],
)
def test_what_cannot_be_counted_says_why(config: str | None, says: str, folder: Path):
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(config, encoding="utf-8")
    found = find_shape("mine", str(folder))
    assert found.shape is None
    assert says in found.source


def test_what_is_neither_here_nor_known_has_no_shape():
    found = find_shape("nobody/nothing", "nobody/nothing")
    assert found.shape is None
    assert "neither a folder nor a known model" in found.source
