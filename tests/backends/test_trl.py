"""Training for real on a model small enough for a test: what is learnt from, in which order, and how
repeatably.
"""

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from lakon.backends.training.optimizers import MuonAdamW, build_optimizer, orthogonalise, takes_bf16  # noqa: E402
from lakon.backends.training.trl import (  # noqa: E402
    Row,
    TrainExample,
    TrainJob,
    TrainResult,
    learning_rate_ratio,
    plan_batches,
    train,
)
from lakon.miniature.student import base_path  # noqa: E402

Trained = tuple[Path, TrainResult, list[tuple[int, int, float, int, float]]]

EXAMPLES = [
    TrainExample(
        f"Eli has {n} pens. Eli finds 2. How many pens?",
        f"<think>\n{n}+2={n + 2}\n</think>\n\\boxed{{{n + 2}}}",
    )
    for n in range(10, 34)
]


def job_for(out: Path, **changes: object) -> TrainJob:
    job = TrainJob(
        base=str(base_path()),
        out=str(out),
        examples=EXAMPLES,
        epochs=2,
        batch_tokens=300,
        max_length=256,
        warmup_steps=2,
    )
    return replace(job, **changes)  # pyright: ignore[reportArgumentType]


def digest(out: Path) -> str:
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("trained")
    told: list[tuple[int, int, float, int, float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = train(job_for(out), lambda *step: told.append(step))
    return out, result, told


def test_importing_the_adapters_imports_no_heavy_library() -> None:
    code = (
        "import sys, lakon.backends.training.trl, lakon.backends.checkpoint.sampling, lakon.backends.chat_format;"
        "print([name for name in ('torch', 'transformers', 'trl', 'datasets') if name in sys.modules])"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=paths)
    assert done.stdout.strip() == "[]"


def test_training_lowers_the_loss_and_reports_every_step(trained: Trained) -> None:
    _, result, told = trained
    assert [step for step, *_ in told] == list(range(1, result.n_steps + 1))
    assert [(loss.step, loss.loss, loss.tokens_seen) for loss in result.losses] == [(s, x, n) for s, _, x, n, _ in told]
    assert result.losses[-1].loss < 0.7 * result.losses[0].loss
    assert (result.n_examples, result.dropped) == (24, [])


def test_a_processor_trains_in_float32_though_it_could_in_bfloat16(trained: Trained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert not takes_bf16("cpu")
    assert orthogonalise(torch.randn(1, 4, 4)).dtype == torch.float32
    if not torch.cuda.is_available():
        assert trained[1].precision == "fp32"


def test_only_completions_and_their_end_are_counted(trained: Trained) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    taught = sum(len(tokenizer(one.completion, add_special_tokens=False)["input_ids"]) + 1 for one in EXAMPLES)
    assert trained[1].n_tokens == 2 * taught


def test_the_loss_is_the_mean_over_completion_tokens_alone(trained: Trained, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one = EXAMPLES[0]
    result = train(job_for(tmp_path, examples=[one], epochs=1))
    tokenizer, model = (kind.from_pretrained(base_path()) for kind in (AutoTokenizer, AutoModelForCausalLM))
    prompt = tokenizer(one.prompt + "\n", add_special_tokens=False)["input_ids"]
    taught = tokenizer(one.completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + taught])).logits[0, len(prompt) - 1 : -1]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(taught)).item()
    assert result.losses[0].loss == pytest.approx(expected, rel=1e-4)


def test_the_student_folder_holds_a_model_and_a_tokenizer_and_nothing_else(trained: Trained) -> None:
    out, result, _ = trained
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert json.loads((out / "generation_config.json").read_text())["do_sample"] is True
    assert set(result.versions) >= {"torch", "transformers", "trl"}


def test_the_same_job_twice_writes_the_same_bytes_and_another_seed_others(trained: Trained, tmp_path: Path) -> None:
    again = train(job_for(tmp_path / "again"))
    train(job_for(tmp_path / "other", seed=1))
    assert again.losses == trained[1].losses
    assert digest(tmp_path / "again") == digest(trained[0])
    assert digest(tmp_path / "other") != digest(trained[0])


def test_adamw_trains_too_and_long_examples_are_reported_not_cut(tmp_path: Path) -> None:
    long = TrainExample(EXAMPLES[0].prompt, "7" * 300)
    result = train(job_for(tmp_path, examples=[EXAMPLES[0], long, EXAMPLES[1]], optimizer="adamw", epochs=3))
    assert (result.dropped, result.n_examples, result.n_steps) == ([1], 2, 3)
    assert result.losses[-1].loss < result.losses[0].loss


def test_a_job_without_a_usable_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_length"):
        train(job_for(tmp_path, max_length=5))


def row(length: int, phase: int = 0, repeats: int = 1) -> Row:
    return Row(start=0, n_tokens=length, n_prompt=0, phase=phase, repeats=repeats)


def test_batches_hold_their_token_budget_padding_counted() -> None:
    rows = [row(length) for length in range(5, 80)] + [row(500)]
    plan = plan_batches(rows, epochs=1, batch_tokens=200, seed=0)
    assert sorted(index for batch in plan for index in batch) == list(range(len(rows)))
    assert all(len(batch) == 1 or len(batch) * max(rows[index].n_tokens for index in batch) <= 200 for batch in plan)


def test_phases_follow_one_another_with_all_their_epochs() -> None:
    rows = [row(10, phase=index % 2) for index in range(20)]
    phases = [rows[batch[0]].phase for batch in plan_batches(rows, epochs=3, batch_tokens=20, seed=0)]
    assert phases == [0] * 15 + [1] * 15


def test_repeats_are_counted_within_each_epoch_and_spread_over_passes() -> None:
    rows = [row(10, repeats=3), row(10, repeats=1), row(10, repeats=2)]
    plan = plan_batches(rows, epochs=2, batch_tokens=100, seed=0)
    assert Counter(index for batch in plan for index in batch) == {0: 6, 1: 2, 2: 4}
    assert [sorted(batch) for batch in plan] == [[0, 1, 2], [0, 2], [0]] * 2


def test_plans_depend_on_the_seed_alone() -> None:
    rows = [row(10) for _ in range(30)]
    one, same, other = (plan_batches(rows, epochs=1, batch_tokens=30, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("cosine", 0.525, 0.05), ("linear", 0.525, 0.05), ("constant", 1.0, 1.0)]
)
def test_learning_rates_by_hand(tmp_path: Path, schedule: str, middle: float, last: float) -> None:
    job = job_for(tmp_path, schedule=schedule, warmup_steps=4)
    assert [learning_rate_ratio(job, step, 24) for step in (0, 3)] == [0.25, 1.0]
    assert learning_rate_ratio(job, 14, 24) == pytest.approx(middle)
    assert learning_rate_ratio(job, 24, 24) == pytest.approx(last)


@pytest.mark.parametrize("shape", [(4, 24, 24), (4, 16, 64)])
def test_orthogonalising_equals_the_reference_iteration(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    stack = torch.randn(shape)
    x = stack / stack.norm(dim=(-2, -1), keepdim=True)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalise(stack).float(), x, atol=2e-2)


def test_muon_takes_the_matrices_and_leaves_the_embeddings() -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base_path())
    optimizer = build_optimizer("muon", model, learning_rate=1e-3, weight_decay=0.05)
    assert isinstance(optimizer, MuonAdamW)
    matrices, others = (group["params"] for group in optimizer.param_groups)
    assert len(matrices) == 21
    assert {tuple(weight.shape) for weight in others} == {
        tuple(model.get_input_embeddings().weight.shape),
        (192,),
    }
    with pytest.raises(ValueError, match="expected 'adamw' or 'muon'"):
        build_optimizer("sgd", model, learning_rate=1e-3, weight_decay=0.0)
