"""The optimizers: Muon against the reference iteration, and bfloat16 weights that lose no update."""

import pytest

torch = pytest.importorskip("torch")

from lakon.backends.training.optimizers import (  # noqa: E402
    MuonAdamW,
    build_optimizer,
    orthogonalise,
)
from lakon.miniature.student import base_path  # noqa: E402


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


def adamw_after(weight: "torch.Tensor", gradients: list["torch.Tensor"], **settings: object) -> "torch.Tensor":
    model = torch.nn.Linear(*weight.shape[::-1], bias=False, dtype=weight.dtype)
    with torch.no_grad():
        model.weight.copy_(weight)
    optimizer = build_optimizer("adamw", model, learning_rate=1e-5, weight_decay=0.1, **settings)  # type: ignore[arg-type]
    for gradient in gradients:
        model.weight.grad = gradient.to(weight.dtype)
        optimizer.step()
    return model.weight.detach()


def test_adamw_of_our_own_is_that_of_torch():
    torch.manual_seed(0)
    weight, gradients = torch.randn(8, 16), [torch.randn(8, 16) for _ in range(5)]
    theirs = adamw_after(weight, gradients)
    ours = adamw_after(weight, gradients, rounding_seed=0)
    assert torch.allclose(theirs, ours, atol=1e-7)


def test_small_updates_of_bfloat16_weights_add_up():
    """An update of 1e-5 is far below half a step of bfloat16 at 1: rounded to the nearest, nothing would ever move."""
    torch.manual_seed(0)
    weight = torch.ones(64, 64, dtype=torch.bfloat16)
    moved = adamw_after(weight, [torch.ones(64, 64)] * 200, rounding_seed=3).float().mean()
    exact = adamw_after(weight.float(), [torch.ones(64, 64)] * 200).mean()
    assert 1 - float(exact) > 1e-3
    assert float(moved) == pytest.approx(float(exact), abs=2e-4)
    unrounded = weight.clone()
    for _ in range(200):
        unrounded -= 1e-5
    assert bool((unrounded == 1).all())


def test_rounding_at_random_depends_on_its_seed_alone():
    gradients = [torch.randn(16, 16, generator=torch.Generator().manual_seed(n)) for n in range(20)]
    weight = torch.full((16, 16), 0.7, dtype=torch.bfloat16)
    one, same, other = (adamw_after(weight, gradients, rounding_seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
