"""Token losses against one plain forward pass, whatever the batches, the head and the length."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from lakon.backends.training import token_losses  # noqa: E402
from lakon.backends.training.token_losses import Completion, measure_token_losses, plan_batches  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

TEXTS = [
    Completion(
        f"Eli has {n} pens. Eli finds 2. How many pens?",
        "<think>\n" + f"{n}+2={n + 2}\n" * (1 + n % 5) + f"</think>\n\\boxed{{{n + 2}}}",
    )
    for n in range(10, 24)
]


def plain_losses(base: Path, text: Completion) -> np.ndarray:
    """One text alone, all logits at once."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    prompt = tokenizer(text.prompt + "\n", add_special_tokens=False)["input_ids"]
    taught = [*tokenizer(text.completion, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + taught])).logits[0, len(prompt) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(taught), reduction="none").numpy()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches, and several pieces of logits a text."""
    monkeypatch.setattr(token_losses, "BATCH_TOKENS", 200)
    monkeypatch.setattr(token_losses, "LOGIT_CELLS", 480 * 7)


def test_importing_it_imports_no_heavy_library() -> None:
    code = (
        "import sys, lakon.backends.training.token_losses;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=paths)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("small_pieces")
def test_every_token_has_the_loss_of_a_plain_forward_pass() -> None:
    told: list[tuple[int, int]] = []
    measured = measure_token_losses(str(base_path()), TEXTS, on_batch=lambda n, n_tokens: told.append((n, n_tokens)))
    for text, losses, n_tokens in zip(TEXTS, measured.losses, measured.n_tokens, strict=True):
        expected = plain_losses(base_path(), text)
        assert losses is not None
        assert losses.shape == expected.shape == (n_tokens,)
        np.testing.assert_allclose(losses, expected, atol=2e-5)
    assert len(told) > 2
    assert (sum(n for n, _ in told), sum(n for _, n in told)) == (len(TEXTS), sum(measured.n_tokens))


def test_training_starts_at_the_loss_that_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from lakon.backends.training.job import TrainExample, TrainJob
    from lakon.backends.training.run import train

    measured = measure_token_losses(str(base_path()), TEXTS)
    pooled = np.concatenate([losses for losses in measured.losses if losses is not None]).mean()
    job = TrainJob(
        base=str(base_path()),
        out=str(tmp_path / "model"),
        work=str(tmp_path / "work"),
        epochs=1,
        batch_tokens=9999,
        max_length=999,
    )
    result = train(job, [TrainExample(text.prompt, text.completion) for text in TEXTS])
    assert result.losses[0].loss == pytest.approx(float(pooled), rel=1e-4)


def test_a_text_that_is_longer_than_the_context_has_no_losses() -> None:
    long = Completion("Eli has pens?", "7" * 1030)
    measured = measure_token_losses(str(base_path()), [long, TEXTS[0]])
    assert measured.context == 1024
    assert measured.losses[0] is None
    assert measured.losses[1] is not None
    assert measured.n_tokens[0] == 1031


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("kind", ["Gemma2", "Granite", "Qwen3", "GPT2"])
def test_what_a_model_does_to_its_logits_is_done_here_too(kind: str, tmp_path: Path) -> None:
    """Gemma 2 caps its logits and Granite scales them; a head alone would give other losses."""
    build_random_model(kind, tmp_path)
    measured = measure_token_losses(str(tmp_path), TEXTS[:4])
    for text, losses in zip(TEXTS, measured.losses, strict=False):
        assert losses is not None
        np.testing.assert_allclose(losses, plain_losses(tmp_path, text), atol=2e-4)


def build_random_model(kind: str, folder: Path) -> None:
    """A tiny model of that class, with the miniature's tokenizer, written to `folder`."""
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": 480,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.5,
    }
    if kind == "Gemma2":
        sizes |= {"final_logit_softcapping": 2.0, "query_pre_attn_scalar": 16}
    if kind == "Granite":
        sizes = {name: size for name, size in sizes.items() if name != "head_dim"} | {"logits_scaling": 3.0}
    if kind == "GPT2":
        sizes = {"vocab_size": 480, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512}
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**sizes, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model_class = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    getattr(transformers, model_class)(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base_path()).save_pretrained(folder)


def test_batches_are_bounded_by_their_tokens_and_hold_every_text_once() -> None:
    lengths = [5, 90, 7, 30, 30, 31, 200, 1]
    batches = list(plan_batches(lengths, 100))
    assert sorted(index for batch in batches for index in batch) == list(range(8))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 100 or len(batch) == 1 for batch in batches)
    assert [6] in batches


def test_a_long_text_is_measured_with_few_logits_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_losses, "LOGIT_CELLS", 24_000)
    seen: list[torch.Size] = []
    cross_entropy = torch.nn.functional.cross_entropy

    def watched(logits: Any, *args: Any, **options: Any) -> Any:
        seen.append(logits.shape)
        return cross_entropy(logits, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", watched)
    measure_token_losses(str(base_path()), [Completion("Eli has pens?", "7" * 900)])
    assert max(n_tokens * vocabulary for n_tokens, vocabulary in seen) <= 24_000
    assert sum(n_tokens for n_tokens, _ in seen) == 901
