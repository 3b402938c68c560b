"""What our trainer costs beside a bare PyTorch loop on the same batches, and beside TRL's defaults.

Usage: python benchmarks/train.py [--steps 20] [--rounds 3] [--base FOLDER] [--batch-tokens 2048]. Prints CPU seconds
for a thousand trained tokens on one core, medians over rounds that take turns, and their ratios; on a GPU also tokens
a second, peak memory and the share of the peak arithmetic (`--peak-tflops`). Without `--base` the student is a small
Llama with the miniature's tokenizer. The first steps are not counted: they pay for what is loaded.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lakon.backends.training.batches import plan_steps
from lakon.backends.training.job import StepLoss, TrainExample, TrainJob
from lakon.backends.training.model import load_tokenizer, quiet_libraries
from lakon.backends.training.optimizers import build_optimizer
from lakon.backends.training.run import train
from lakon.backends.training.tokens import encode_examples
from lakon.miniature.problems import generate
from lakon.miniature.student import base_path
from lakon.miniature.teachers import PROCEDURES

WARM_UP = 5
RATE = 1e-4


class Figures(NamedTuple):
    """One run: of the counted steps, CPU seconds, wall seconds, trained tokens; and the last loss."""

    cpu_s: float
    wall_s: float
    tokens: int
    loss: float
    peak_bytes: int = 0


class Meter:
    """Clocks that start after the first steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.tokens_before = 0

    def count(self, tokens: int) -> None:
        """One more step is done, with so many trained tokens since the start."""
        self.steps += 1
        if self.steps == WARM_UP:
            self.tokens_before = tokens
            self.cpu, self.wall = time.process_time(), time.perf_counter()
        self.tokens = tokens
        self.end = time.process_time(), time.perf_counter()

    def figures(self, loss: float) -> Figures:
        """What was counted."""
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        tokens = self.tokens - self.tokens_before
        return Figures(self.end[0] - self.cpu, self.end[1] - self.wall, tokens, loss, peak)


def main() -> None:
    """Run the ways in turn and print the table."""
    options = arguments()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # threads that wait for one another on a busy machine cost CPU seconds of their own
    ways: dict[str, Callable[..., Figures]] = {"lakon": lakon, "bare loop": bare_loop, "TRL's defaults": trl_defaults}
    results: dict[str, list[Figures]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as place:
        base = options.base or build_base(Path(place) / "base")
        for round_number in range(options.rounds):
            for name, way in ways.items():
                with quiet_libraries():
                    results[name].append(way(base, Path(place) / f"{name}-{round_number}", options))
    print_table(results, options.peak_tflops, base)


def print_table(results: dict[str, list[Figures]], peak_tflops: float | None, base: str) -> None:
    """Medians, and ratios within each round."""
    bare = results["bare loop"]
    print(f"{'':<16}{'CPU s / 1,000 tokens':>22}{'to bare loop':>14}{'tokens/s':>12}{'last loss':>11}")
    for name, rounds in results.items():
        cost = statistics.median(1000 * each.cpu_s / each.tokens for each in rounds)
        pairs = zip(rounds, bare, strict=True)
        ratio = statistics.median((each.cpu_s / each.tokens) / (other.cpu_s / other.tokens) for each, other in pairs)
        rate = statistics.median(each.tokens / each.wall_s for each in rounds)
        print(f"{name:<16}{cost:>22.3f}{ratio:>14.2f}{rate:>12,.0f}{rounds[-1].loss:>11.4f}")
        if rounds[-1].peak_bytes and peak_tflops:
            used = 6 * parameters(base) * rate / (peak_tflops * 1e12)
            print(f"{'':<16}peak memory {rounds[-1].peak_bytes / 1e9:.1f} GB, {used:.0%} of peak arithmetic (6ND)")


# -- the three ways ----------------------------------------------------------------------------------------------------


def lakon(base: str, place: Path, options: argparse.Namespace) -> Figures:
    """Our trainer."""
    meter, last = Meter(), [0.0]

    def on_step(loss: StepLoss, _: int) -> None:
        meter.count(loss.tokens_seen)
        last[0] = loss.loss

    train(job_for(base, place, options), list(examples(options)), on_step=on_step)
    return meter.figures(last[0])


def bare_loop(base: str, place: Path, options: argparse.Namespace) -> Figures:
    """The same batches through as little code as goes: forward, loss, backward, clip, step."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = load_tokenizer(base)
    encoded = encode_examples(examples(options), tokenizer, max_length=options.max_length, folder=place / "tokens")
    plan = plan_steps(encoded.rows, epochs=1, batch_tokens=options.batch_tokens, seed=0)
    attention = "sdpa" if device == "cuda" or options.max_length > 512 else "eager"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, attn_implementation=attention).to(device)
    model.train()
    rounding = 0 if device == "cuda" else None
    optimizer = build_optimizer("adamw", model, learning_rate=RATE, weight_decay=0.0, rounding_seed=rounding)
    collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)
    meter, seen, loss = Meter(), 0, torch.zeros(())
    for step in plan:
        rows = [index for block in step.blocks for index in block]
        batch = {name: each.to(device) for name, each in collate([encoded.item(index) for index in rows]).items()}
        labels = batch.pop("labels")[:, 1:]
        logits = model(**batch, use_cache=False).logits[:, :-1]
        chosen = labels != -100
        loss = torch.nn.functional.cross_entropy(logits[chosen].float(), labels[chosen])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += int(chosen.sum())
        meter.count(seen)
    return meter.figures(float(loss.detach()))


def trl_defaults(base: str, place: Path, options: argparse.Namespace) -> Figures:
    """`SFTTrainer` as its documentation has it: prompts and completions, eight examples a step, nothing planned."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    tokenizer = load_tokenizer(base)
    rows = [{"prompt": each.prompt + "\n", "completion": each.completion} for each in examples(options)]
    meter, state = Meter(), {"seen": 0, "loss": 0.0}

    class Count(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            meter.count(counted.seen)

    class Counted(SFTTrainer):
        seen = 0

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self.seen += int((inputs["labels"][:, 1:] != -100).sum())
            loss = super().training_step(model, inputs, *args, **kwargs)
            state["loss"] = float(loss)
            return loss

    config = SFTConfig(
        output_dir=str(place),
        max_steps=options.steps,
        learning_rate=RATE,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        activation_checkpointing=True,  # TRL's default, under the name that is not deprecated
        max_length=options.max_length,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        model_init_kwargs={"dtype": torch.bfloat16 if torch.cuda.is_available() else torch.float32},
    )
    counted = Counted(
        model=base, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[Count()]
    )
    counted.train()
    return meter.figures(state["loss"])


# -- what is trained on what -------------------------------------------------------------------------------------------


def job_for(base: str, place: Path, options: argparse.Namespace) -> TrainJob:
    """The job of our trainer, with the batches of the bare loop."""
    return TrainJob(
        base=base,
        out=str(place / "model"),
        work=str(place / "work"),
        epochs=1,
        batch_tokens=options.batch_tokens,
        max_length=options.max_length,
        optimizer="adamw",
        learning_rate=RATE,
        warmup_steps=0,
        schedule="constant",
        weight_decay=0.0,
        layout="padded",
        activation_checkpointing=False,
        threads=torch.get_num_threads(),
    )


def examples(options: argparse.Namespace) -> Iterator[TrainExample]:
    """Word problems with the verbose teacher's solutions, several in one up to the asked length."""
    import random

    draw = random.Random(0)
    each = 220
    joined = max(1, options.max_length // each)
    problems = iter(generate(options.examples * joined, seed=7, min_steps=2, max_steps=6))
    for _ in range(options.examples):
        some = [next(problems) for _ in range(draw.randint(max(1, joined // 2), joined))]
        solved = ["\n".join(PROCEDURES["verbose"](problem.prompt, draw, 0.0)) for problem in some]
        yield TrainExample("\n".join(problem.prompt for problem in some), "\n".join(solved))


def build_base(folder: Path) -> str:
    """A small Llama that knows nothing, with the miniature's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(str(base_path()))
    config = LlamaConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        vocab_size=len(tokenizer),
        max_position_embeddings=65_536,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with quiet_libraries():
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def parameters(base: str) -> int:
    """How many the base has."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)).num_parameters()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="a folder with a model; a small Llama unless given")
    parser.add_argument("--examples", type=int, default=160)
    parser.add_argument("--steps", type=int, default=20, help="of TRL's defaults; the others take one pass")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=2_048)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--peak-tflops", type=float, help="of the GPU, dense, in bfloat16")
    return parser.parse_args()


if __name__ == "__main__":
    main()
