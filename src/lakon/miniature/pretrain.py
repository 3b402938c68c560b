"""Makes the base that ships with the package: a student that has met the verbose style and little else.

Pre-training on the verbose style is what lets the paper's loss pattern appear by itself: a verbose
fine-tune starts low and stays flat, a concise one starts high and falls. The recipe counts steps, never
seconds, so it means the same on any machine. A bare loop, since every token is
trained on and the schedule is its own.
"""

import json
import platform
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakon.backends.chat_format import encode_prompt, render_completion, split_completion
from lakon.core.messages import build_messages
from lakon.miniature.problems import WordProblem, generate
from lakon.miniature.student import build_model, build_tokenizer
from lakon.miniature.teachers import PROCEDURES

OnStep = Callable[[int, int, float], None]
"""Told the step, of how many, and its loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the shipped base, apart from the seed."""

    problems: int = 12_000
    min_steps: int = 2
    max_steps: int = 6
    equation_lines: int = 12_000
    equations_per_line: int = 7
    steps: int = 1_400
    batch_tokens: int = 1_536
    learning_rate: float = 3e-3
    warmup_steps: int = 30
    constant_share: float = 0.7
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0


def pretrain(out: Path, *, seed: int = 0, steps: int | None = None, on_step: OnStep | None = None) -> dict[str, Any]:
    """Train a base from nothing, save it into `out` with a `recipe.json`, and return that record."""
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    started = time.perf_counter()
    problems, lines = _texts(recipe, seed)
    tokenizer = build_tokenizer([*_tokenizer_texts(problems, seed), *lines])
    model = build_model(tokenizer, seed=seed)
    losses = _train(model, _encode(tokenizer, problems, lines, seed), recipe, seed, on_step)
    seconds = time.perf_counter() - started
    out.mkdir(parents=True, exist_ok=True)
    _save(model, tokenizer, out)
    record = {
        "recipe": asdict(recipe),
        "seed": seed,
        "parameters": model.num_parameters(),
        "seconds": round(seconds, 1),
        "versions": _versions(),
        "figures": _measure(out),
        "loss": [[step, round(loss, 4)] for step, loss in losses],
    }
    (out / "recipe.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _texts(recipe: Recipe, seed: int) -> tuple[list[WordProblem], list[str]]:
    spread = {"min_steps": recipe.min_steps, "max_steps": recipe.max_steps}
    problems = list(generate(recipe.problems, seed=seed, split="pretrain", **spread))
    rng = random.Random(f"equations/{seed}")
    lines: list[str] = []
    for _ in range(recipe.equation_lines):
        lines.append(" ".join(_equation(rng) for _ in range(recipe.equations_per_line)))
    return problems, lines


def _equation(rng: random.Random) -> str:
    operator = rng.choice("++--*/")
    if operator in "+-":
        amount = rng.randint(2, 12)
        before = rng.randint(0, 99 - amount) if operator == "+" else rng.randint(amount, 99)
        return f"{before}{operator}{amount}={before + amount if operator == '+' else before - amount}."
    factor = rng.choice((2, 3))
    small = rng.randint(1, 99 // factor)
    return f"{small}*{factor}={small * factor}." if operator == "*" else f"{small * factor}/{factor}={small}."


def _tokenizer_texts(problems: list[WordProblem], seed: int) -> Iterator[str]:
    """Prompts and both styles, so that neither style is cheaper merely because the tokenizer knows it
    better.
    """
    rng = random.Random(f"tokenizer/{seed}")
    for problem in problems[:1_000]:
        yield problem.prompt + "\n"
        for procedure in PROCEDURES.values():
            yield render_completion(*procedure(problem.prompt, rng, 0.0))


def _encode(tokenizer: Any, problems: list[WordProblem], lines: list[str], seed: int) -> list[list[int]]:
    rng = random.Random(f"teacher/{seed}")
    rows: list[list[int]] = []
    for problem in problems:
        completion = render_completion(*PROCEDURES["verbose"](problem.prompt, rng, 0.0))
        ids = tokenizer(completion, add_special_tokens=False)["input_ids"]
        rows.append([*encode_prompt(tokenizer, build_messages(problem.prompt)), *ids, tokenizer.eos_token_id])
    rows.extend([*ids, tokenizer.eos_token_id] for ids in tokenizer(lines, add_special_tokens=False)["input_ids"])
    return rows


def _train(
    model: Any, rows: list[list[int]], recipe: Recipe, seed: int, on_step: OnStep | None
) -> list[tuple[int, float]]:
    import torch

    from lakon.backends.training.optimizers import build_optimizer

    optimizer = build_optimizer("muon", model, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batches = _batches(rows, recipe.batch_tokens, random.Random(f"batches/{seed}"))
    losses: list[tuple[int, float]] = []
    model.train()
    for step in range(1, recipe.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, recipe)
        ids, mask = _pad(next(batches))
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        targets = ids.masked_fill(mask == 0, -100)[:, 1:]
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == 1:
            losses.append((step, loss.item()))
        if on_step is not None:
            on_step(step, recipe.steps, loss.item())
    return losses


def _rate(step: int, recipe: Recipe) -> float:
    """Warm-up, then constant, then linear to zero."""
    decay_from = recipe.constant_share * recipe.steps
    return min(1.0, step / recipe.warmup_steps, (recipe.steps - step + 1) / max(1.0, recipe.steps - decay_from))


def _batches(rows: list[list[int]], budget: int, rng: random.Random) -> Iterator[list[list[int]]]:
    """Rows of like length, about `budget` tokens a batch, for ever; every row once before any row twice."""
    while True:
        order = sorted(rows, key=lambda row: (len(row), rng.random()))
        batches: list[list[list[int]]] = [[]]
        for row in order:
            if batches[-1] and (len(batches[-1]) + 1) * len(row) > budget:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        yield from batches


def _pad(rows: list[list[int]]) -> tuple[Any, Any]:
    import torch

    sequence = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(sequence, batch_first=True)
    return ids, torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in sequence], batch_first=True)


def _save(model: Any, tokenizer: Any, out: Path) -> None:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(out)
        tokenizer.save_pretrained(out, save_jinja_files=False)
    finally:
        if shown:
            logging.enable_progress_bar()


def _measure(base: Path, *, n_problems: int = 64, n_samples: int = 8) -> dict[str, float]:
    """The average accuracy and length of the base on held-out problems, at the temperature studies use."""
    from lakon.backends.checkpoint.sampling import load, sample

    problems = list(generate(n_problems, seed=1, min_steps=2, max_steps=6, split="held-out"))
    repeated = [problem for problem in problems for _ in range(n_samples)]
    sampled = sample(
        load(str(base)),
        [build_messages(problem.prompt) for problem in repeated],
        list(range(len(repeated))),
        temperature=0.6,
        top_p=0.95,
        max_tokens=320,
    )
    right = sum(
        split_completion(one.text)[1].endswith(f"\\boxed{{{problem.answer}}}")
        for problem, one in zip(repeated, sampled, strict=True)
    )
    return {
        "n_problems": n_problems,
        "n_samples": n_samples,
        "avg_accuracy": round(right / len(repeated), 4),
        "mean_tokens": round(sum(one.n_tokens for one in sampled) / len(repeated), 1),
    }


def _versions() -> dict[str, str]:
    import tokenizers
    import torch
    import transformers

    libraries = {library.__name__: str(library.__version__) for library in (torch, transformers, tokenizers)}
    return {"python": platform.python_version(), **libraries}
