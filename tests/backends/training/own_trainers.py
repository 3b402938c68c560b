"""Trainers of one's own, as scripts that a test writes into a folder: one that trains, and some that go wrong."""

from __future__ import annotations

import sys
from pathlib import Path

BARE_LOOP = '''
"""Fine-tunes by a bare loop: what a user would write who has no framework at hand."""
import json, pathlib, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, out = map(pathlib.Path, sys.argv[1:3])
job = json.loads((folder / "job.json").read_text())
rows = [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]
tokenizer = AutoTokenizer.from_pretrained(job["base"])
model = AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.float32)
torch.set_num_threads(1)
torch.manual_seed(job["seed"])
optimizer = torch.optim.AdamW(model.parameters(), lr=job["learning_rate"])
losses, seen = [], 0
for step in range(3):
    total, trained = 0.0, 0
    for row in rows[:4]:
        prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        taught = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        ids = torch.tensor([prompt + taught])
        labels = torch.tensor([[-100] * len(prompt) + taught])
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        total, trained = total + float(loss) * len(taught), trained + len(taught)
    optimizer.step()
    optimizer.zero_grad()
    seen += trained
    losses.append({"step": step + 1, "tokens": seen, "loss": total / trained, "learning_rate": job["learning_rate"]})
model.save_pretrained(out)
(out / "losses.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in losses))
(out / "trainer.json").write_text(json.dumps({"name": "bare-loop", "version": "0.3"}))
'''

FAILS = "import sys; print('out of memory on all eight'); sys.exit(3)"

WRITES_NOTHING = "import pathlib, sys; (pathlib.Path(sys.argv[2]) / 'notes.txt').write_text('done')"

OTHER_TEMPLATE = (
    BARE_LOOP
    + """
tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
tokenizer.save_pretrained(out, save_jinja_files=False)
"""
)

OTHER_END = (
    BARE_LOOP
    + """
tokenizer.eos_token = "<unk>"
tokenizer.save_pretrained(out, save_jinja_files=False)
"""
)

TORN_LOSSES = BARE_LOOP + '\n(out / "losses.jsonl").write_text("step 1: 0.7")\n'


def command(folder: Path, script: str) -> tuple[str, ...]:
    """The command that runs a script on a job, as `run.training.command` has it."""
    (folder / "trainer.py").write_text(script, encoding="utf-8")
    return (sys.executable, str(folder / "trainer.py"), "{job}", "{out}")
