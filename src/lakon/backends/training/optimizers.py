"""Muon for matrices and AdamW for everything else, as one optimizer object.

Why not `torch.optim.Muon`: it orthogonalises one matrix at a time and always in bfloat16, which costs 25
times more than float32 on a CPU without AVX512-BF16 (a 192 x 192 product: 5 ms against 0.2 ms). This one
stacks matrices of one shape and uses bfloat16 only where the hardware has it; otherwise the rule is the
same (Nesterov momentum, five Newton-Schulz steps, update scaled to AdamW's size, decoupled weight decay).

Imports torch at the top: import this module inside functions only.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
_EPSILON = 1e-7


def takes_bf16(device: torch.device | str) -> bool:
    """Whether training on this device is in bfloat16 unless it is told otherwise: on a GPU that multiplies it natively.

    Never on a CPU, though some have instructions for it: the same study gives the same figures on all of them.
    """
    return torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def build_optimizer(
    kind: str, model: torch.nn.Module, *, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimizer of that name over the model's trainable parameters; vectors and embeddings are never
    decayed.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    embeddings = {id(weight) for weight in _embedding_weights(model)}
    matrices = [weight for _, weight in named if weight.ndim == 2 and id(weight) not in embeddings]
    chosen = {id(weight) for weight in matrices}
    others = [weight for _, weight in named if id(weight) not in chosen]
    if kind == "muon":
        return MuonAdamW(matrices, others, learning_rate=learning_rate, weight_decay=weight_decay)
    if kind == "adamw":
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    raise ValueError(f"found optimizer {kind!r}, expected 'adamw' or 'muon'")


class MuonAdamW(torch.optim.Optimizer):
    """Muon on the matrices it is given, AdamW on the rest, under one learning rate."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        learning_rate: float,
        weight_decay: float = 0.05,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        groups = [
            {"params": list(matrices), "muon": True, "weight_decay": weight_decay},
            {"params": list(others), "muon": False, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": learning_rate, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if group["muon"]:
                self._step_muon(weights, group)
            else:
                self._step_adamw(weights, group)
        return loss

    def _step_muon(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for weight in weights:
            by_shape.setdefault(tuple(sorted(weight.shape)), []).append(weight)
        for alike in by_shape.values():
            directions = orthogonalise(torch.stack([self._momentum(weight, group) for weight in alike]))
            for weight, direction in zip(alike, directions, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                scale = 0.2 * math.sqrt(max(weight.shape))
                weight.add_(_lying(direction, weight).to(weight.dtype), alpha=-group["lr"] * scale)

    def _momentum(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """The Nesterov look-ahead gradient, turned so that its rows are the shorter side."""
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        buffer, gradient = state["momentum"], weight.grad
        assert gradient is not None
        buffer.lerp_(gradient, 1 - group["momentum"])
        return _lying(gradient.lerp(buffer, group["momentum"]), weight)

    def _step_adamw(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        fast, slow = group["betas"]
        for weight in weights:
            state, gradient = self.state[weight], weight.grad
            assert gradient is not None
            if not state:
                state.update(n_steps=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
            state["n_steps"] += 1
            state["mean"].lerp_(gradient, 1 - fast)
            state["square"].mul_(slow).addcmul_(gradient, gradient, value=1 - slow)
            unbiased = (state["square"] / (1 - slow ** state["n_steps"])).sqrt_().add_(1e-8)
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.addcdiv_(state["mean"], unbiased, value=-group["lr"] / (1 - fast ** state["n_steps"]))


def orthogonalise(stack: Tensor) -> Tensor:
    """Each matrix of a stack with its singular values pushed towards one (Newton-Schulz); rows are the
    short side.
    """
    native = takes_bf16(stack.device)
    x = stack.to(torch.bfloat16 if native else torch.float32)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_EPSILON)
    # Iterating on the small Gram matrix halves the work for wide matrices, but squares their condition
    # number, which bfloat16 cannot hold.
    if not native and 2 * x.shape[-2] <= x.shape[-1]:
        return _iterate_gram(x)
    a, b, c = _COEFFICIENTS
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def _iterate_gram(x: Tensor) -> Tensor:
    """The same iteration, with its polynomials multiplied up first and applied to the wide matrix once."""
    a, b, c = _COEFFICIENTS
    gram = x @ x.mT
    product = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device).expand_as(gram)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    return product @ x


def _lying(matrix: Tensor, weight: Tensor) -> Tensor:
    """Turn between a weight's own orientation and the lying one; its own inverse."""
    return matrix.mT if weight.shape[0] > weight.shape[1] else matrix


def _embedding_weights(model: torch.nn.Module) -> list[Tensor]:
    tables = [module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return tables if head is None else [*tables, head.weight]
