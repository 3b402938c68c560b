"""Students of every architecture: trained from an artifact in both layouts, with adapters, killed and gone on, sampled.

What only a GPU's kernels can do is skipped with its reason.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from small_students import BUILDERS, write_student  # noqa: E402

from lakon.backends.checkpoint.sampling import Model, Sampled, load, sample  # noqa: E402
from lakon.backends.training.job import AdapterSettings, StepLoss, TrainJob, TrainResult  # noqa: E402
from lakon.backends.training.leakage import measure_leakage  # noqa: E402
from lakon.backends.training.worker import JobFile, train_from_file  # noqa: E402
from lakon.core.errors import InputError  # noqa: E402
from lakon.core.messages import build_messages  # noqa: E402

pytestmark = pytest.mark.slow

KINDS = tuple(BUILDERS)
LEAKS = ("gpt-oss", "nemotron-h")
"""Students whose packed examples see each other on a processor."""
ON_PROCESSOR = {"gpt-oss": "eager"}
"""The attention that is taken where sdpa was wanted and the architecture has none."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {kind: write_student(kind, folder / kind) for kind in KINDS}


def job_for(folder: Path, base: Path, **changes: Any) -> TrainJob:
    settings: dict[str, Any] = {
        "base": str(base),
        "out": str(folder / "model"),
        "work": str(folder / "work"),
        "epochs": 3,
        "batch_tokens": 500,
        "max_length": 256,
        "warmup_steps": 2,
        "optimizer": "adamw",
        "learning_rate": 3e-3,
        "attention": "sdpa",
    }
    return TrainJob(**{**settings, **changes})


def fit(job: TrainJob, examples: str) -> TrainResult:
    return train_from_file(JobFile(job=job, examples=examples))


def losses_of(result: TrainResult) -> list[float]:
    return [loss.loss for loss in result.losses]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def answers(model: Model, prompts: list[str], temperature: float) -> list[Sampled]:
    messages = [build_messages(prompt) for prompt in prompts]
    return sample(model, messages, range(len(prompts)), temperature=temperature, top_p=1.0, max_tokens=20)


@pytest.fixture(scope="module", params=KINDS)
def trained(
    request: pytest.FixtureRequest,
    bases: dict[str, Path],
    examples_folder: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, TrainJob, TrainResult]:
    kind: str = request.param
    job = job_for(tmp_path_factory.mktemp(kind), bases[kind])
    return kind, job, fit(job, examples_folder)


def test_a_student_learns_and_says_which_attention_it_was_trained_with(
    trained: tuple[str, TrainJob, TrainResult],
) -> None:
    kind, _, result = trained
    assert result.n_examples == 24
    assert losses_of(result)[-1] < losses_of(result)[0] - 0.5
    assert result.settings["attention"] == ON_PROCESSOR.get(kind, "sdpa")


def test_what_was_trained_is_sampled_alike_alone_in_a_batch_and_by_the_library(
    trained: tuple[str, TrainJob, TrainResult],
) -> None:
    model = load(trained[1].out)
    prompts = [f"Eli has {n} pens. Eli finds 2. How many pens?" for n in (10, 33)] + ["Eli has 7."] * 2
    together = answers(model, prompts, 1.0)
    assert {reply.n_tokens for reply in together} != {0}
    # Prompts of different length are padded on the left, which no layer may look at.
    for place, prompt in enumerate(prompts):
        (alone,) = sample(model, [build_messages(prompt)], [place], temperature=1.0, top_p=1.0, max_tokens=20)
        assert alone == together[place]
    ids = torch.tensor([model.tokenizer(f"{prompts[0]}\n", add_special_tokens=False)["input_ids"]])
    by_library = model.network.generate(ids, do_sample=False, max_new_tokens=20)[0, ids.shape[1] :]
    text = model.tokenizer.decode(by_library, skip_special_tokens=True)
    assert answers(model, prompts, 0.0)[0].text == text


def test_a_student_keeps_the_configuration_of_its_base(trained: tuple[str, TrainJob, TrainResult]) -> None:
    _, job, _ = trained
    before, after = (json.loads((Path(path) / "config.json").read_text()) for path in (job.base, job.out))
    assert before == after


def test_a_run_that_is_killed_goes_on_to_the_same_losses(
    trained: tuple[str, TrainJob, TrainResult], examples_folder: str, tmp_path: Path
) -> None:
    _, job, undisturbed = trained

    class Killed(Exception):
        pass

    def die(loss: StepLoss, _: int) -> None:
        if loss.step == 3:
            raise Killed

    again = job_for(tmp_path, Path(job.base), checkpoint_minutes=0.0)
    with pytest.raises(Killed):
        train_from_file(JobFile(job=again, examples=examples_folder), die)
    result = fit(again, examples_folder)
    assert result.settings["went_on_from"] == 2
    assert result.losses == undisturbed.losses
    digests = {
        hashlib.sha256((Path(out) / "model.safetensors").read_bytes()).hexdigest() for out in (job.out, again.out)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_in_parts_is_the_step_in_one(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path, kind: str
) -> None:
    """With Muon, so that stacks of experts go through it; recomputed activations must change nothing, either."""
    settings: dict[str, Any] = {"optimizer": "muon", "batch_tokens": 4_096, "epochs": 3}
    whole = fit(job_for(tmp_path / "whole", bases[kind], **settings), examples_folder)
    parts = {"micro_batch_tokens": 100, "activation_checkpointing": True}
    other = fit(job_for(tmp_path / "parts", bases[kind], **settings, **parts), examples_folder)
    assert whole.n_steps == other.n_steps == 3
    assert losses_of(other) == pytest.approx(losses_of(whole), rel=1e-4)


# -- packing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LEAKS])
def test_students_that_keep_packed_examples_apart_learn_the_same_packed(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path, kind: str
) -> None:
    settings: dict[str, Any] = {"batch_tokens": 4_096, "epochs": 3}
    padded = fit(job_for(tmp_path / "padded", bases[kind], layout="padded", **settings), examples_folder)
    packed = fit(job_for(tmp_path / "packed", bases[kind], layout="packed", **settings), examples_folder)
    assert packed.settings["layout"] == "packed"
    assert float(packed.settings["leakage"]) < 1e-3
    assert losses_of(packed) == pytest.approx(losses_of(padded), rel=1e-4)


@pytest.mark.parametrize("kind", LEAKS)
def test_students_that_cannot_be_packed_are_refused_or_padded(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = {"gpt-oss": "packed examples see each other", "nemotron-h": "takes no packed examples: `causal_conv1d_fn`"}
    with pytest.raises(InputError, match=says[kind]):
        fit(job_for(tmp_path / "packed", bases[kind], layout="packed"), examples_folder)
    assert not (tmp_path / "packed" / "model").exists()
    monkeypatch.setattr("lakon.backends.training.run.prefers_packing", lambda: True)
    result = fit(job_for(tmp_path / "auto", bases[kind], epochs=1), examples_folder)
    assert result.settings["layout"] == "padded"
    assert says[kind] in str(result.settings["padded_because"])


def positions_alone(items: list[dict[str, list[int]]]) -> dict[str, Any]:
    """Packs rows and tells the documents apart by their positions alone, as earlier releases of the library did."""
    ids = [token for item in items for token in item["input_ids"]]
    positions = [place for item in items for place in range(len(item["input_ids"]))]
    return {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions]), "labels": torch.tensor([ids])}


@pytest.mark.parametrize("kind", KINDS)
def test_a_leak_between_packed_documents_is_found_where_there_is_one(bases: dict[str, Path], kind: str) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bases[kind])
    documents = [*range(10, 58)], [*range(60, 100)]
    leakage = measure_leakage(model, documents, positions_alone, "fp32")
    assert leakage.is_leak == (kind in LEAKS)
    assert leakage.largest > 0.1 if kind in LEAKS else leakage.largest < 1e-4


def kernels() -> Iterator[str]:
    """What the state-space layers need for packing and this machine lacks."""
    if not torch.cuda.is_available():
        yield "a GPU"
    yield from (name for name in ("mamba_ssm", "causal_conv1d") if importlib.util.find_spec(name) is None)


@pytest.mark.gpu
@pytest.mark.skipif(any(kernels()), reason=f"packed Nemotron-H needs {', '.join(kernels())}")
def test_nemotron_h_is_packed_where_its_kernels_are(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path
) -> None:
    result = fit(job_for(tmp_path, bases["nemotron-h"], layout="packed"), examples_folder)
    assert result.settings["layout"] == "packed"


# -- adapters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_change_every_matrix_but_embedding_and_head_and_are_merged(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path, kind: str
) -> None:
    job = job_for(tmp_path, bases[kind], adapter=AdapterSettings(rank=4), learning_rate=2e-2)
    result = fit(job, examples_folder)
    assert losses_of(result)[-1] < losses_of(result)[0] - 0.1
    before, after = weights(bases[kind]), weights(Path(job.out))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    # A router picks, and the fused kernel of a state-space mixer reads the bare weight of `out_proj`.
    frozen = ("embed", "lm_head", "norm", "bias", "router", "conv1d", "out_proj", "sinks", "A_log", "mixer.D")
    assert changed == {name for name in before if not any(part in name for part in frozen)}
    assert answers(load(job.out), ["Eli has 7."], 0.0)[0].n_tokens > 0


@pytest.mark.parametrize("kind", LEAKS)
def test_adapters_that_are_kept_are_sampled_like_merged_ones(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path, kind: str
) -> None:
    said = []
    for name, merge in (("merged", True), ("kept", False)):
        adapter = AdapterSettings(rank=4, merge=merge)
        job = job_for(tmp_path / name, bases[kind], adapter=adapter, learning_rate=2e-2)
        fit(job, examples_folder)
        said.append(answers(load(job.out), ["Eli has 7."], 0.0))
    assert said[0] == said[1]


def test_adapters_that_would_learn_nothing_are_refused(
    bases: dict[str, Path], examples_folder: str, tmp_path: Path
) -> None:
    adapter = AdapterSettings(targets=("in_proj", "out_proj"))
    with pytest.raises(InputError, match="'out_proj' is incompatible") as refused:
        fit(job_for(tmp_path, bases["nemotron-h"], adapter=adapter), examples_folder)
    assert "out_proj" not in refused.value.fault.expected
    with pytest.raises(InputError, match="this model has experts"):
        fit(job_for(tmp_path, bases["gpt-oss"], adapter=AdapterSettings(dropout=0.1)), examples_folder)


# -- optimizers --------------------------------------------------------------------------------------------------------


def test_each_expert_is_stepped_like_a_matrix_of_its_own() -> None:
    from lakon.backends.training.optimizers import MuonAdamW

    torch.manual_seed(0)
    start, gradients = torch.randn(3, 8, 12), [torch.randn(3, 8, 12) for _ in range(4)]

    def stepped(parts: list[Any]) -> Any:
        params = [torch.nn.Parameter(part.clone()) for part in parts]
        optimizer = MuonAdamW(params, [], learning_rate=1e-2, weight_decay=0.1)
        for gradient in gradients:
            for param, part in zip(params, gradient.split(1) if len(params) > 1 else [gradient], strict=True):
                param.grad = part.reshape(param.shape).clone()
            optimizer.step()
        return torch.stack([param.detach() for param in params]).reshape(start.shape)

    assert torch.allclose(stepped([start]), stepped(list(start)), atol=1e-6)
    assert not torch.allclose(stepped([start]), start)


@pytest.mark.parametrize("kind", LEAKS)
def test_biases_of_experts_and_convolutions_are_no_matrices(bases: dict[str, Path], kind: str) -> None:
    from transformers import AutoModelForCausalLM

    from lakon.backends.training.matrices import find_expert_stacks, find_matrices

    model = AutoModelForCausalLM.from_pretrained(bases[kind])
    last = {name.removesuffix(".weight").rpartition(".")[2] for name in find_matrices(model)}
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    experts = {"router", "gate_up_proj", "down_proj"}
    state_space = {"in_proj", "out_proj", "up_proj", "down_proj"}
    assert last == attention | (experts if kind == "gpt-oss" else state_space)
    stacks = {name.rpartition(".")[2] for name in find_expert_stacks(model)}
    assert stacks == ({"gate_up_proj", "down_proj"} if kind == "gpt-oss" else set())
