"""What training each student takes, in the plan, as JSON, and as a fault where it cannot fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakon import api
from lakon.backends.checkpoint.shape import read_known_shapes
from lakon.core.errors import Fault
from lakon.core.records import ExampleLengths
from lakon.pipeline.student_cost import StudentCost
from lakon.pipeline.training_setup import make_setup, measure_lengths, state_lengths
from lakon.stages.train.memory import TrainingSetup, estimate_memory
from lakon.study.load import parse_study
from lakon.study.schema import SHIPPED, Study

LLAMA = "meta-llama/Llama-3.1-8B"
H100 = {"peak_tflops": 989, "memory_gb": 80}


def study(base: str = LLAMA, *, compute: dict[str, Any] | None = None, **tables: Any) -> Study:
    run: dict[str, Any] = {"prices": {"v": {"tokens_per_trace": 1000}}, **tables.pop("run", {})}
    if compute is not None:
        run["compute"] = compute
    return parse_study(
        {
            "name": "t",
            "tokenizer": "words",
            "problems": {"kind": "synthetic", "count": 100},
            "teachers": {"v": {"kind": "procedural", "procedure": "verbose"}},
            "arms": {"a": {"teacher": "v"}},
            "students": [{"base": base, "name": "s"}],
            "decontaminate": {"enabled": False},
            "benchmarks": {"b": {"kind": "synthetic", "count": 5}},
            "evaluate": {"benchmarks": ["b"]},
            "training": {"epochs": 2, **tables.pop("training", {})},
            "run": run,
            **tables,
        }
    )


def cost(of: Study, tmp_path: Path) -> StudentCost:
    (found,) = api.bill(of, store=tmp_path / "store").students
    return found


def memory_faults(of: Study) -> list[Fault]:
    return [fault for fault in api.check(of) if "run.compute.memory_gb" in fault.expected]


# -- setups ----------------------------------------------------------------------------------------------------


def test_what_a_study_leaves_open_is_as_on_gpus_where_it_states_some_and_as_on_a_cpu_else():
    on_gpus = TrainingSetup(precision="bf16", activation_checkpointing=True, pass_tokens=32_768)
    assert make_setup(study(compute=H100)) == on_gpus
    on_a_cpu = TrainingSetup(precision="fp32", on_gpu=False, activation_checkpointing=False, pass_tokens=32_768)
    assert make_setup(study()) == on_a_cpu
    several = make_setup(study(run={"training": {"processes": 4, "nodes": 2}}))
    assert (several.gpus, several.precision) == (8, "bf16")


def test_a_pass_holds_the_longest_example_and_some_thousand_tokens_at_least():
    assert make_setup(study(training={"max_length": 512})).pass_tokens == 8192
    assert make_setup(study(training={"max_length": 512, "batch_tokens": 2048})).pass_tokens == 2048
    assert make_setup(study(), longest=20_000).pass_tokens == 20_000
    small = study(training={"max_length": 512}, run={"training": {"micro_batch_tokens": 1024}})
    assert make_setup(small).pass_tokens == 1024


def test_stated_fields_are_taken_as_they_are():
    stated = study(
        compute=H100,
        training={
            "precision": "mixed",
            "optimizer": "muon",
            "adapter": {"method": "lora", "rank": 4, "targets": ["q"]},
        },
        run={"training": {"activation_checkpointing": False}},
    )
    setup = make_setup(stated)
    assert (setup.precision, setup.optimizer, setup.activation_checkpointing) == ("mixed", "muon", False)
    assert (setup.adapter, setup.rank, setup.targets) == ("lora", 4, ("q",))


def test_lengths_of_a_built_arm_count_repeats_epochs_and_prompts_and_leave_long_ones_out():
    def example(n_tokens: int, repeats: int) -> ExampleLengths:
        return ExampleLengths("a", "p", "t", 0, repeats, n_tokens, 9)

    short = study(training={"max_length": 200})
    lengths = measure_lengths([example(90, 1), example(40, 3), example(500, 1)], short)
    assert lengths.completions == 2 * (90 + 3 * 40)
    assert lengths.passed.tokens == 2 * (100 + 3 * 50)
    assert lengths.passed.squares == 2 * (100**2 + 3 * 50**2)
    assert lengths.longest == 100
    assert state_lengths(100, 1000, short).passed.mean_square == 1000


# -- plan ------------------------------------------------------------------------------------------------------


def test_a_plan_compares_the_studys_own_gpus_with_others(tmp_path: Path):
    found = cost(study(compute=H100, run={"training": {"processes": 4}}), tmp_path)
    shape = read_known_shapes()[LLAMA]
    assert (found.parameters, found.source, found.is_assumed) == (shape.parameters, "known by its name", False)
    assert [(each.gpus, each.nodes, each.is_own) for each in found.layouts] == [
        (1, 1, False),
        (4, 1, True),
        (8, 1, False),
        (64, 8, False),
    ]
    for each in found.layouts:
        setup = TrainingSetup(precision="bf16", gpus=each.gpus, pass_tokens=32_768)
        assert each.memory == estimate_memory(shape, setup)
        assert each.fits == (each.total <= 80e9)
    one, *_, many = (each.hours["train/a"] for each in found.layouts)
    assert one is not None
    assert many == pytest.approx(one / 64)


def test_without_stated_gpus_memory_is_known_and_hours_are_not(tmp_path: Path):
    (only,) = cost(study(), tmp_path).layouts
    assert (only.gpus, only.is_own, only.fits, only.hours) == (1, True, None, {"train/a": None})


def test_a_stated_count_stands_for_a_model_that_is_neither_here_nor_known(tmp_path: Path):
    unknown = cost(study("some/model", compute=H100), tmp_path)
    assert (unknown.parameters, unknown.layouts) == (None, [])
    assert "run.compute.parameters" in unknown.source
    stated = cost(study("some/model", compute={**H100, "parameters": {"s": 7e9}}), tmp_path)
    assert (stated.parameters, stated.is_assumed) == (7_000_000_000, True)
    assert "run.compute.parameters" in stated.source


def test_what_a_trainer_of_ones_own_takes_is_not_estimated(tmp_path: Path):
    own = study(compute=H100, run={"training": {"command": ["train.sh", "{job}"]}})
    bill = api.bill(own, store=tmp_path / "store")
    assert bill.students == []
    assert bill.works["train/a"].gpu_hours is None


def test_weights_in_four_bits_are_compared_on_one_gpu(tmp_path: Path):
    found = cost(study(compute=H100, training={"adapter": {"method": "qlora"}}), tmp_path)
    assert [each.gpus for each in found.layouts] == [1]


def test_a_built_arm_is_measured(tmp_path: Path):
    small = study("miniature:base", compute=H100, curate={"count": 20})
    api.run(small, store=tmp_path / "store", until="curate", reports=tmp_path)
    bill = api.bill(small, store=tmp_path / "store")
    states = {state.step.name: state.artifact for state in bill.states}
    artifact = states["curate/a"]
    assert artifact is not None
    examples = list(artifact.read("examples", ExampleLengths))
    work = bill.works["train/a"]
    assert (work.rows, work.at_most) == (len(examples), False)
    assert work.tokens == 2 * sum(each.n_tokens * each.repeats for each in examples)
    assert work.longest == max(each.n_prompt + each.n_tokens + 1 for each in examples)
    assert bill.students[0].training.endswith("8,192 tokens a pass")


# -- check -----------------------------------------------------------------------------------------------------


def test_check_refuses_what_cannot_fit_and_names_what_would():
    (fault,) = memory_faults(study(compute={**H100, "memory_gb": 40}))
    assert fault.where == "students.s"
    assert "8.03B parameters" in fault.found
    assert "full AdamW in bf16" in fault.found
    setup = TrainingSetup(precision="bf16", pass_tokens=32_768)
    total = estimate_memory(read_known_shapes()[LLAMA], setup).total
    assert f"{total / 1e9:,.0f} GB on one GPU" in fault.found
    assert fault.expected == "at most 40 GB (run.compute.memory_gb)"
    assert fault.remedy.startswith("what would fit: full on ")
    assert "LoRA on 1 GPU takes " in fault.remedy
    assert fault.level == "fault"


def test_check_says_nothing_where_it_fits_or_nothing_is_known():
    assert memory_faults(study(compute=H100, run={"training": {"processes": 8}})) == []
    assert memory_faults(study(compute={"peak_tflops": 989})) == []
    assert memory_faults(study("some/model", compute={**H100, "memory_gb": 1})) == []
    assert memory_faults(study(compute={**H100, "memory_gb": 1}, run={"training": {"command": ["x"]}})) == []


def test_the_paper_fits_as_it_is_shipped_and_not_on_one_gpu_of_24_gb(tmp_path: Path):
    assert memory_faults(parse(tmp_path, {})) == []
    faults = memory_faults(parse(tmp_path, {"memory_gb = 80": "memory_gb = 24", "processes = 8": "processes = 1"}))
    assert [fault.where for fault in faults] == ["students.nemotron-nano", "students.mistral-nemo"]
    for fault in faults:
        assert "shorter examples: full on 8 GPUs and" in fault.remedy
        assert "larger GPUs: full on 8 GPUs takes" in fault.remedy
        assert "QLoRA on 1 GPU" in fault.remedy


def parse(tmp_path: Path, changes: dict[str, str]) -> Study:
    from lakon.study.load import load_study

    text = (SHIPPED / "paper.toml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "paper.toml").write_text(text, encoding="utf-8")
    return load_study(tmp_path / "paper.toml")


# -- the command line ------------------------------------------------------------------------------------------


def lakon(*args: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-m", "lakon", *args], capture_output=True, text=True, cwd=cwd, check=True)
    return done.stdout


def test_the_plan_of_the_paper_prints_memory_and_hours_for_8_and_64_gpus(tmp_path: Path):
    said = lakon("plan", "paper", cwd=tmp_path)
    assert "training nemotron-nano: 12.3 billion parameters (known by its name); full AdamW in bf16" in said
    lines = [line for line in said.splitlines() if " GB each" in line]
    assert [line.split(":")[0].strip() for line in lines] == ["8 GPUs (run.training)", "64 GPUs on 8 nodes"] * 2
    assert all("weights " in line and "activations " in line and " hours (" in line for line in lines)


def test_the_json_of_a_plan_has_every_part(tmp_path: Path):
    (first, _) = json.loads(lakon("plan", "paper", "--json", cwd=tmp_path))["students"]
    assert (first["student"], first["parameters"]) == ("nemotron-nano", 12_310_001_152)
    assert "--nproc-per-node=8" in first["starts_as"]
    layout = first["layouts"][0]
    assert set(layout) == {"gpus", "nodes", "is_own", "memory", "total", "fits", "hours"}
    memory = layout["memory"]
    states = memory["weights"] + memory["gradients"] + memory["optimizer"]
    assert layout["total"] == states + memory["passing"] + memory["reserve"]
    assert set(layout["hours"]) == {"train/nemotron-nano.r1", "train/nemotron-nano.gpt-oss"}


@pytest.mark.parametrize("name", ["paper", "miniature"])
def test_a_plan_of_known_models_imports_no_torch(name: str, tmp_path: Path):
    code = (
        "import sys; from lakon import api\n"
        f"api.bill({name!r}, store='s'); api.check({name!r})\n"
        "print([each for each in ('torch', 'transformers') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"
