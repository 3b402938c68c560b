"""Sampling for real: equal to the library where that can be checked, and independent of the batch where it
must be.
"""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from lakon.backends.chat_format import encode_prompt, render_completion, render_prompt, split_completion  # noqa: E402
from lakon.backends.checkpoint.sampling import Model, _choose, load, sample  # noqa: E402
from lakon.core.messages import build_messages  # noqa: E402
from lakon.miniature.problems import generate  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

PROMPTS = [build_messages(one.prompt) for one in generate(10, seed=0, min_steps=2, max_steps=6, split="held-out")]
WARM = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 24}


@pytest.fixture(scope="module")
def model() -> Model:
    return load(str(base_path()))


def test_greedy_sampling_equals_the_library(model: Model) -> None:
    encoded = model.tokenizer(
        [render_prompt(model.tokenizer, prompt) for prompt in PROMPTS],
        add_special_tokens=False,
        return_tensors="pt",
        return_token_type_ids=False,
        padding=True,
        padding_side="left",
    )
    generated = model.network.generate(
        **encoded, do_sample=False, temperature=None, top_p=None, top_k=None, max_new_tokens=40
    )
    expected = model.tokenizer.batch_decode(generated[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    own = sample(model, PROMPTS, range(len(PROMPTS)), temperature=0, top_p=1.0, max_tokens=40)
    assert [one.text for one in own] == expected


def test_a_sample_does_not_depend_on_its_batch(model: Model) -> None:
    together = sample(model, PROMPTS, range(len(PROMPTS)), **WARM)
    alone = [sample(model, [prompt], [seed], **WARM)[0] for seed, prompt in enumerate(PROMPTS)]
    assert together == alone


def test_seeds_decide_the_sample(model: Model) -> None:
    texts = [one.text for one in sample(model, PROMPTS[:1] * 12, [5] * 6 + list(range(6)), **WARM)]
    assert len(set(texts[:6])) == 1
    assert len(set(texts[6:])) > 1


def test_a_long_enough_reply_stops_and_a_short_limit_cuts(model: Model) -> None:
    whole = sample(model, PROMPTS, range(10), temperature=0.6, top_p=0.95, max_tokens=400)
    assert {one.finish_reason for one in whole} == {"stop"}
    assert not any("<eos>" in one.text for one in whole)
    assert all(split_completion(one.text)[2] for one in whole)
    cut = sample(model, PROMPTS[:3], range(3), temperature=0.6, top_p=0.95, max_tokens=7)
    assert {(one.finish_reason, one.n_tokens) for one in cut} == {("length", 7)}
    assert all(full.text.startswith(part.text) for full, part in zip(whole, cut, strict=False))


def test_seeds_must_match_prompts_and_nothing_asked_is_nothing_answered(model: Model) -> None:
    assert sample(model, [], [], **WARM) == []
    with pytest.raises(ValueError, match="one seed for each conversation"):
        sample(model, PROMPTS, [1], **WARM)


def test_a_checkpoint_is_kept_until_its_files_change(model: Model, tmp_path: Path) -> None:
    assert load(str(base_path())) is model
    copy = shutil.copytree(base_path(), tmp_path / "copy")
    first = load(str(copy))
    assert load(str(copy)) is first
    (copy / "config.json").touch()
    assert load(str(copy)) is not first


def test_choosing_follows_the_trimmed_distribution() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.15, 0.25]]))
    aims = [(index + 0.5) / 1000 for index in range(1000)]
    rows = logits.expand(1000, -1)
    counts = torch.bincount(_choose(rows, aims, 1.0, 1.0), minlength=4).tolist()
    assert counts == pytest.approx([100, 500, 150, 250], abs=1)
    trimmed = torch.bincount(_choose(rows, aims, 1.0, 0.7), minlength=4).tolist()
    assert trimmed == pytest.approx([0, 667, 0, 333], abs=1)
    assert set(_choose(rows, aims, 0, 0.7).tolist()) == {1}
    two = torch.bincount(_choose(rows, aims, 1.0, 1.0, 2), minlength=4)
    assert int((two > 0).sum()) == 2
    assert int(two[1]) == max(two.tolist())
    share = torch.softmax(rows[0], dim=-1).topk(2).values
    assert abs(int(two[1]) / len(aims) - float(share[0] / share.sum())) < 0.02


def test_choosing_looks_beyond_the_head_when_the_mass_lies_there() -> None:
    flat = torch.zeros(1, 500).expand(500, -1)
    chosen = _choose(flat, [(index + 0.5) / 500 for index in range(500)], 1.0, 1.0)
    assert sorted(chosen.tolist()) == list(range(500))


def test_any_text_can_be_asked(model: Model) -> None:
    text = "ünï 漢字 <think> \\boxed{12} 😀  x<y\\z\n"
    assert model.tokenizer.decode(model.tokenizer(text)["input_ids"]) == text
    assert len(sample(model, [build_messages(text)], [0], **WARM)) == 1


def test_the_tags_and_the_box_are_ordinary_tokens(model: Model) -> None:
    text = "<think>\n44+7=51\n</think>\n\\boxed{51}"
    ids = model.tokenizer(text)["input_ids"]
    assert model.tokenizer.decode(ids, skip_special_tokens=True) == text
    assert not set(ids) & set(model.tokenizer.all_special_ids)
    digits = model.tokenizer("44+751")["input_ids"]
    assert len(digits) == 6


def test_prompts_are_rendered_by_the_template_or_the_default(model: Model) -> None:
    assert render_prompt(model.tokenizer, build_messages("a b")) == "a b\n"
    assert encode_prompt(model.tokenizer, build_messages("a b")) == model.tokenizer("a b\n")["input_ids"]
    plain = SimpleNamespace(chat_template=None, bos_token=None)
    assert render_prompt(plain, build_messages("a b", "Be brief.")) == "Be brief.\na b\n"


def test_a_default_prompt_begins_as_the_tokenizer_would() -> None:
    class Opening:
        chat_template, bos_token, bos_token_id = None, "<s>", 1

        def __call__(self, text: str) -> dict[str, list[int]]:
            return {"input_ids": [1, *text.encode()]}

    assert render_prompt(Opening(), build_messages("a")) == "<s>a\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\na\n</think>\nb", ("a", "b", True)),
        ("a\n</think>\nb", ("a", "b", True)),
        ("<think>\na and", ("a and", "", False)),
        ("b", ("", "b", True)),
        ("", ("", "", True)),
    ],
)
def test_completions_are_split(text: str, expected: tuple[str, str, bool]) -> None:
    assert split_completion(text) == expected


def test_rendering_and_splitting_are_inverse() -> None:
    assert split_completion(render_completion("a", "b")) == ("a", "b", True)
    assert render_completion("", "b") == "b"


def test_a_prompt_that_fills_the_context_costs_its_neighbours_nothing(model: Model) -> None:
    long = build_messages("Eli has 44 pens. " * 400)
    alone = sample(model, PROMPTS[:2], range(2), **WARM)
    mixed = sample(model, [PROMPTS[0], long, PROMPTS[1]], [0, 9, 1], **WARM)
    assert [mixed[0], mixed[2]] == alone
    assert (mixed[1].text, mixed[1].finish_reason) == ("", "length")
