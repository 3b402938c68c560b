"""Training for real on a model small enough for a test: what is learnt from, in which order, and how
repeatably.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from lakon.backends.training.checks import check_report_to  # noqa: E402
from lakon.backends.training.job import AdapterSettings, StepLoss, TrainExample, TrainJob, TrainResult  # noqa: E402
from lakon.backends.training.optimizers import orthogonalise, takes_bf16  # noqa: E402
from lakon.backends.training.run import train  # noqa: E402
from lakon.core.errors import InputError  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

Trained = tuple[Path, TrainResult, list[tuple[StepLoss, int]]]

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
        work=str(out.with_name(f"{out.name}-work")),
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
    told: list[tuple[StepLoss, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = train(job_for(out), EXAMPLES, on_step=lambda *step: told.append(step))
    return out, result, told


def test_importing_the_adapters_imports_no_heavy_library() -> None:
    code = (
        "import sys, lakon.backends.training.run, lakon.backends.training.launch, lakon.backends.chat_format;"
        "import lakon.backends.checkpoint.sampling;"
        "print([name for name in ('torch', 'transformers', 'trl', 'datasets') if name in sys.modules])"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=paths)
    assert done.stdout.strip() == "[]"


def test_training_lowers_the_loss_and_reports_every_step(trained: Trained) -> None:
    _, result, told = trained
    assert [loss.step for loss, _ in told] == list(range(1, result.n_steps + 1))
    assert [(loss, result.n_steps) for loss in result.losses] == told
    assert result.losses[-1].loss < 0.7 * result.losses[0].loss
    assert (result.n_examples, result.dropped) == (24, [])


def test_a_processor_trains_in_float32_though_it_could_in_bfloat16(trained: Trained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert not takes_bf16("cpu")
    assert orthogonalise(torch.randn(1, 4, 4)).dtype == torch.float32
    if not torch.cuda.is_available():
        assert trained[1].settings["precision"] == "fp32"


def test_only_completions_and_their_end_are_counted(trained: Trained) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    taught = sum(len(tokenizer(one.completion, add_special_tokens=False)["input_ids"]) + 1 for one in EXAMPLES)
    assert trained[1].n_tokens == 2 * taught


def test_the_loss_is_the_mean_over_completion_tokens_alone(trained: Trained, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one = EXAMPLES[0]
    result = train(job_for(tmp_path / "out", epochs=1), [one])
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
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert json.loads((out / "generation_config.json").read_text())["do_sample"] is True
    assert set(result.versions) >= {"torch", "transformers", "trl"}


def test_the_same_job_twice_writes_the_same_bytes_and_another_seed_others(trained: Trained, tmp_path: Path) -> None:
    again = train(job_for(tmp_path / "again"), EXAMPLES)
    train(job_for(tmp_path / "other", seed=1), EXAMPLES)
    assert again.losses == trained[1].losses
    assert digest(tmp_path / "again") == digest(trained[0])
    assert digest(tmp_path / "other") != digest(trained[0])


def test_adamw_trains_too_and_long_examples_are_reported_not_cut(tmp_path: Path) -> None:
    long = TrainExample(EXAMPLES[0].prompt, "7" * 300)
    result = train(job_for(tmp_path / "out", optimizer="adamw", epochs=3), [EXAMPLES[0], long, EXAMPLES[1]])
    assert (result.dropped, result.n_examples, result.n_steps) == ([1], 2, 3)
    assert result.losses[-1].loss < result.losses[0].loss


def test_a_job_without_a_usable_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_length"):
        train(job_for(tmp_path / "out", max_length=5), EXAMPLES)


# -- how a step is computed changes no step --------------------------------------------------------------------------


def losses_of(result: TrainResult) -> list[float]:
    return [loss.loss for loss in result.losses]


@pytest.mark.parametrize(
    "changes",
    [
        {"micro_batch_tokens": 64},
        {"micro_batch_tokens": 100, "layout": "packed"},
        {"attention": "sdpa"},
        {"activation_checkpointing": True, "micro_batch_tokens": 100},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_parts_packing_and_recomputing_give_the_losses_of_one_pass(
    trained: Trained, tmp_path: Path, changes: dict[str, object]
) -> None:
    # One step holds the same examples in both layouts here, since the budget holds all of them.
    whole = {"batch_tokens": 4_096, "epochs": 6}
    plain = train(job_for(tmp_path / "plain", **whole), EXAMPLES)
    other = train(job_for(tmp_path / "other", **whole, **changes), EXAMPLES)
    assert other.n_steps == plain.n_steps == 6
    assert losses_of(other) == pytest.approx(losses_of(plain), rel=1e-4)
    assert other.n_tokens == plain.n_tokens
    assert other.settings["layout"] == changes.get("layout", "padded")


def test_bfloat16_weights_learn_like_float32_ones(tmp_path: Path) -> None:
    whole = {"optimizer": "adamw", "learning_rate": 1e-4, "epochs": 8}
    full = losses_of(train(job_for(tmp_path / "fp32", precision="fp32", **whole), EXAMPLES))
    for precision in ("bf16", "mixed"):
        low = train(job_for(tmp_path / precision, precision=precision, **whole), EXAMPLES)
        assert low.settings["precision"] == precision
        assert losses_of(low) == pytest.approx(full, rel=0.05)
    assert full[-1] < 0.5 * full[0]


def test_adapters_are_merged_or_kept(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    settings = {"optimizer": "adamw", "learning_rate": 5e-3, "epochs": 6}
    merged = train(job_for(tmp_path / "merged", adapter=AdapterSettings(), **settings), EXAMPLES)
    kept = train(job_for(tmp_path / "kept", adapter=AdapterSettings(merge=False), **settings), EXAMPLES)
    assert losses_of(merged) == losses_of(kept)
    assert losses_of(merged)[-1] < 0.7 * losses_of(merged)[0]
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    assert not (tmp_path / "kept" / "model.safetensors").exists()
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = []
    for name in ("merged", "kept"):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logits.append(AutoModelForCausalLM.from_pretrained(tmp_path / name)(input_ids=ids).logits)
    assert torch.allclose(logits[0], logits[1], atol=1e-4)


def test_adapters_on_layers_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="adapters cannot be put on this model"):
        train(job_for(tmp_path / "out", adapter=AdapterSettings(targets=("nowhere",))), EXAMPLES)


def test_qlora_without_a_gpu_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="no GPU"):
        train(job_for(tmp_path / "out", adapter=AdapterSettings(method="qlora")), EXAMPLES)


@pytest.mark.parametrize(("name", "found"), [("learning_rate", "is decided by a field"), ("no_such_thing", "unknown")])
def test_extra_settings_are_those_of_trl_that_no_field_decides(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        train(job_for(tmp_path / "out", extra={name: 1}), EXAMPLES)


def test_losses_are_not_sent_by_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakon.backends.training.checks.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="names tensorboard, and the package tensorboard is not installed"):
        check_report_to(("tensorboard",))


def test_attention_that_is_not_installed_is_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("flash_attn"):
        pytest.skip("FlashAttention is installed")
    with pytest.raises(InputError, match=r"flash_attention_2.*cannot be used here"):
        train(job_for(tmp_path / "out", attention="flash_attention_2"), EXAMPLES)


def test_an_extra_setting_reaches_trl(trained: Trained, tmp_path: Path) -> None:
    dft = train(job_for(tmp_path / "out", extra={"loss_type": "dft"}), EXAMPLES)
    assert losses_of(dft)[0] < losses_of(trained[1])[0]


# -- killed and gone on ------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands in for a kill in the process at hand."""


def killed_after(step: int) -> Callable[[StepLoss, int], None]:
    def on_step(loss: StepLoss, _: int) -> None:
        if loss.step == step:
            raise Killed

    return on_step


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw"}, {"precision": "bf16"}], ids=str)
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bytes(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    undisturbed = train(job_for(tmp_path / "whole", **settings), EXAMPLES)
    job = job_for(tmp_path / "killed", checkpoint_minutes=0.0, **settings)
    for step in (2, 5):
        with pytest.raises(Killed):
            train(job, EXAMPLES, on_step=killed_after(step))
    steps: list[int] = []
    result = train(job, EXAMPLES, on_step=lambda loss, _: steps.append(loss.step))
    assert steps == list(range(5, undisturbed.n_steps + 1))
    assert result.settings["went_on_from"] == 4
    assert result.losses == undisturbed.losses
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_a_torn_checkpoint_is_passed_over_and_one_of_other_work_is_not_looked_at(tmp_path: Path) -> None:
    undisturbed = train(job_for(tmp_path / "whole"), EXAMPLES)
    job = job_for(tmp_path / "killed", checkpoint_minutes=0.0, keep_checkpoints=3)
    with pytest.raises(Killed):
        train(job, EXAMPLES, on_step=killed_after(5))
    folders = sorted((Path(job.work) / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["step-00000002", "step-00000003", "step-00000004"]
    part = next(folders[-1].glob("*.distcp"))
    part.write_bytes(part.read_bytes()[:-7])
    (folders[-2] / "state.json").unlink()
    shutil.copytree(job.work, tmp_path / "other-work")
    result = train(job, EXAMPLES)
    assert result.settings["went_on_from"] == 2
    assert result.losses == undisturbed.losses
    other = train(replace(job, learning_rate=5e-4, work=str(tmp_path / "other-work")), EXAMPLES)
    assert other.settings["went_on_from"] == 0


def test_losses_are_on_the_disk_as_they_come(tmp_path: Path) -> None:
    job = job_for(tmp_path / "out")
    lines: list[int] = []

    def on_step(loss: StepLoss, n_steps: int) -> None:
        rows = [json.loads(line) for line in (Path(job.work) / "losses.jsonl").read_text().splitlines()]
        assert rows[-1] == [*loss, n_steps]
        lines.append(len(rows))

    result = train(job, EXAMPLES, on_step=on_step)
    assert lines == list(range(1, result.n_steps + 1))


def test_held_out_loss_of_each_style_is_measured_on_the_way_and_changes_nothing(
    trained: Trained, tmp_path: Path
) -> None:
    same = EXAMPLES[:4]
    other = [one._replace(completion="0 is " + one.completion) for one in same]
    result = train(job_for(tmp_path / "out", held_out_every=2), EXAMPLES, held_out={"same": same, "other": other})
    assert [(loss.step, loss.style) for loss in result.held_out] == [
        (step, style) for step in range(0, result.n_steps + 1, 2) for style in ("same", "other")
    ]
    assert result.losses == trained[1].losses
    first, last = result.held_out[0], result.held_out[-2]
    assert last.loss < first.loss
    assert first.tokens_seen == 0
    assert first.n_tokens == result.held_out[1].n_tokens - 4 * 3
