"""How far the estimated memory of a training is from what it takes: small models of real classes, on a CPU.

    python benchmarks/memory.py            all cases, a table at the end
    python benchmarks/memory.py llama      those whose name holds the word

Each case is a process of its own, which trains two steps on random tokens, with the loss that TRL uses. Measured is the
growth of its resident memory from before the model is made to the peak (VmHWM of Linux). The estimate is
`estimate_memory` as on a CPU, so a ratio of 1 is exact and one below 1 leaves room.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

from lakon.stages.train.memory import MemoryEstimate, TrainingSetup, estimate_memory

MB = 1_000_000


@dataclass(frozen=True)
class Case:
    """One model and how it is trained."""

    name: str
    config: dict[str, Any]
    setup: TrainingSetup


FULL = TrainingSetup(precision="fp32", on_gpu=False, pass_tokens=1024, activation_checkpointing=True)
WIDE = {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64}
LLAMA = {"model_type": "llama", **WIDE, "intermediate_size": 1536, "vocab_size": 2048, "tie_word_embeddings": False}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
MODELS = {
    "llama": LLAMA,
    "llama-tied": {**LLAMA, "vocab_size": 4096, "tie_word_embeddings": True},
    "qwen3": {**LLAMA, "model_type": "qwen3"},
    "mistral": {**LLAMA, "model_type": "mistral", "num_key_value_heads": 8, "sliding_window": None},
    "gemma3": {**LLAMA, "model_type": "gemma3_text", "tie_word_embeddings": True},
    "gpt-oss": {
        **LLAMA,
        "model_type": "gpt_oss",
        "intermediate_size": 512,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    },
}
WAYS = {
    "checkpointed": FULL,
    "kept": replace(FULL, activation_checkpointing=False),
    "bf16": replace(FULL, precision="bf16"),
    "lora": replace(FULL, adapter="lora", rank=16),
}


def cases() -> list[Case]:
    """One model trained in every way, and every model in one."""
    ways = [Case(f"llama {way}", LLAMA, WAYS[way]) for way in WAYS]
    others = [Case(f"{model} kept", MODELS[model], WAYS["kept"]) for model in MODELS if model != "llama"]
    short = Case("llama 256 tokens", LLAMA, replace(FULL, pass_tokens=256))
    return [*ways, short, *others, Case("gpt-oss checkpointed", MODELS["gpt-oss"], FULL)]


def measure(case: Case) -> tuple[int, MemoryEstimate]:
    """The peak of this process above what it took before the model, and the estimate, in bytes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from lakon.backends.checkpoint.shape import count_config

    kind = case.config["model_type"]
    sizes = {key: value for key, value in case.config.items() if key != "model_type"}
    config = AutoConfig.for_model(kind, **sizes)
    shape = count_config(config)
    setup = case.setup
    small = AutoConfig.for_model(kind, **{**sizes, "num_hidden_layers": 2})
    # What libraries take once they are loaded is not the training's.
    _train(AutoModelForCausalLM.from_config(small), replace(setup, pass_tokens=32), add_fused_lm_head)
    gc.collect()
    before = _resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # VmHWM starts again
    attention = "eager" if kind == "gpt_oss" else "sdpa"
    dtype = torch.bfloat16 if setup.precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
    _train(model, setup, add_fused_lm_head)
    return _resident("VmHWM") - before, estimate_memory(shape, setup)


def _train(model: Any, setup: TrainingSetup, add_loss: Any) -> None:
    import torch

    add_loss(model)
    if setup.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if setup.adapter is not None:
        _adapt(model, setup.rank)
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, foreach=True)  # as on a GPU
    for _ in range(2):
        tokens = torch.randint(0, model.config.vocab_size, (1, setup.pass_tokens))
        log_probs = model(input_ids=tokens, labels=tokens, fused_lm_head=True).log_probs
        (-log_probs.float().mean()).backward()
        optimizer.step()
    # A second pass before the step, as with accumulation: gradients stand beside all activations.
    model(input_ids=tokens, labels=tokens, fused_lm_head=True).log_probs.float().mean().backward()


def _adapt(model: Any, rank: int) -> None:
    """LoRA on all linear layers of the blocks."""
    import torch

    class Adapted(torch.nn.Module):
        def __init__(self, frozen: Any) -> None:
            super().__init__()
            self.frozen = frozen
            self.down = torch.nn.Linear(frozen.in_features, rank, bias=False)
            self.up = torch.nn.Linear(rank, frozen.out_features, bias=False)

        def forward(self, x: Any) -> Any:
            return self.frozen(x) + self.up(self.down(x))

    for weight in model.parameters():
        weight.requires_grad_(False)
    model.enable_input_require_grads()
    for block in model.model.layers:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is torch.nn.Linear:
                    setattr(parent, name, Adapted(child))


def _resident(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{field}:"))


def main() -> None:
    """Print the table, or in a process of its own the figures of one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", nargs="?", default="", help="run the cases whose name holds it")
    parser.add_argument("--one", help="measure this case in this process and print JSON")
    options = parser.parse_args()
    if options.one is not None:
        case = next(case for case in cases() if case.name == options.one)
        measured, estimate = measure(case)
        print(json.dumps([measured, estimate.total, estimate.activations, estimate.passing]))
        return
    print(f"{'case':<24} {'measured MB':>11} {'estimated MB':>12} {'of it passing':>13} {'measured/estimated':>18}")
    for case in cases():
        if options.word not in case.name:
            continue
        # Tensors of 64 kB and more go back to the system when they are freed, so that resident memory follows them.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        command = [sys.executable, "-W", "ignore", __file__, "--one", case.name]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            print(f"{case.name:<24} {done.stderr.strip().splitlines()[-1][:90]}")
            continue
        measured, estimated, _, passing = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{case.name:<24} {measured / MB:>11,.0f} {estimated / MB:>12,.0f} {passing / MB:>13,.0f}"
            f" {measured / estimated:>18.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
