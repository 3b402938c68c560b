"""Examples in a store, and small models, that the tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakon.core.records import Example
from lakon.store.artifacts import Store


def example(n: int, **changes: Any) -> Example:
    fields: dict[str, Any] = {
        "arm": "sums",
        "problem_id": str(n),
        "trace_id": f"t{n}",
        "teacher": "t",
        "style": "sums",
        "prompt": f"Eli has {n} pens. Eli finds 2. How many pens?",
        "completion": f"<think>\n{n}+2={n + 2}\n</think>\n\\boxed{{{n + 2}}}",
    }
    return Example(**{**fields, **changes})


@pytest.fixture(scope="session")
def examples_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An artifact with 24 examples."""
    key = "e" * 40
    out = Store(tmp_path_factory.mktemp("store")).begin("curate", "sums", key)
    out.write("examples", [example(n) for n in range(10, 34)])
    made = out.commit(stage="curate", label="sums", version=1, key=key, payload={}, inputs={})
    return str(made.folder)


@pytest.fixture(scope="session")
def untied_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama with the miniature's tokenizer whose head is not its embedding."""
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from lakon.miniature.student import base_path

    folder = tmp_path_factory.mktemp("untied")
    tokenizer = AutoTokenizer.from_pretrained(base_path())
    config = LlamaConfig(
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
