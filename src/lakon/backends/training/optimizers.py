"""Muon for matrices and AdamW for everything else, as one optimizer object.

Why not `torch.optim.Muon`: it orthogonalises one matrix at a time and always in bfloat16, which costs 25
times more than float32 on a CPU without AVX512-BF16 (a 192 x 192 product: 5 ms against 0.2 ms). This one
stacks matrices of one shape and uses bfloat16 only where the hardware has it; otherwise the rule is the
same (Nesterov momentum, five Newton-Schulz steps, update scaled to AdamW's size, decoupled weight decay).

Weights in bfloat16 are updated by stochastic rounding (Zamirai et al. 2020, arXiv 2010.06192): a usual update at a
learning rate of 1e-5 is far below half of a bfloat16 step, and rounded to the nearest it would be lost each time.

Imports torch at the top: import this module inside functions only.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate

from lakon.backends.training.matrices import find_matrices

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
_EPSILON = 1e-7
_STACKED = 1 << 27
"""Numbers that are orthogonalised together at the most: half a gigabyte in float32, and a few times that while it is
worked on. A single larger weight is taken alone."""


def takes_bf16(device: torch.device | str) -> bool:
    """Whether training on this device is in bfloat16 unless it is told otherwise: on a GPU that multiplies it natively.

    Never on a CPU, though some have instructions for it: the same study gives the same figures on all of them.
    """
    return torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def build_optimizer(
    kind: str,
    model: torch.nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    rounding_seed: int | None = None,
) -> torch.optim.Optimizer:
    """The optimizer of that name over the model's trainable parameters; vectors and embeddings are never decayed, and
    of experts each matrix counts by itself. `rounding_seed` is that of the stochastic rounding of bfloat16 weights;
    None where there are none.
    """
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    multiply = {id(weight) for weight in find_matrices(model).values()}
    matrices = [weight for weight in trainable if id(weight) in multiply]
    others = [weight for weight in trainable if id(weight) not in multiply]
    if kind not in ("adamw", "muon"):
        raise ValueError(f"found optimizer {kind!r}, expected 'adamw' or 'muon'")
    if kind == "adamw" and rounding_seed is None:
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=(0.9, 0.98))
    return MuonAdamW(
        matrices,
        others,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        muon=kind == "muon",
        rounding_seed=rounding_seed or 0,
    )


class MuonAdamW(torch.optim.Optimizer):
    """Muon on the matrices it is given (or AdamW with decay, without `muon`), AdamW on the rest, under one learning
    rate. Weights may be sharded over processes.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        learning_rate: float,
        weight_decay: float = 0.05,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
        muon: bool = True,
        rounding_seed: int = 0,
    ) -> None:
        groups = [
            {"params": list(matrices), "muon": muon, "weight_decay": weight_decay},
            {"params": list(others), "muon": False, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        defaults = {"lr": learning_rate, "momentum": momentum, "fast": betas[0], "slow": betas[1], "n_steps": 0}
        super().__init__(groups, defaults)
        self._rounding_seed = rounding_seed

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            group["n_steps"] += 1
            weights = [weight for weight in group["params"] if weight.grad is not None]
            rounding = self._rounding(weights, group["n_steps"], number)
            if group["muon"]:
                self._step_muon(weights, group, rounding)
            else:
                self._step_adamw(weights, group, rounding)
        return loss

    def _rounding(self, weights: list[Tensor], step: int, group: int) -> torch.Generator | None:
        """The random numbers that updates of this step are rounded with; a function of the step, so that a run that
        goes on from a checkpoint rounds as one that was never killed.
        """
        if not weights or weights[0].dtype != torch.bfloat16:
            return None
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        seed = ((self._rounding_seed * 1_000_003 + step) * 1_009 + group) * 10_007 + rank
        return torch.Generator(device=_local(weights[0]).device).manual_seed(seed % 2**63)

    def _step_muon(self, weights: list[Tensor], group: dict[str, Any], rounding: torch.Generator | None) -> None:
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for weight in weights:
            by_shape.setdefault((*weight.shape[:-2], *sorted(weight.shape[-2:])), []).append(weight)
        for shape, alike in by_shape.items():
            at_once = max(1, _STACKED // math.prod(shape))
            for start in range(0, len(alike), at_once):
                self._step_alike(alike[start : start + at_once], group, rounding)

    def _step_alike(self, weights: list[Tensor], group: dict[str, Any], rounding: torch.Generator | None) -> None:
        """Muon's step of weights of one shape, or of stacks of such matrices."""
        stack = torch.stack([self._momentum(weight, group) for weight in weights])
        directions = orthogonalise(stack.flatten(0, -3)).view(stack.shape)
        for weight, direction in zip(weights, directions, strict=True):
            scale = group["lr"] * 0.2 * math.sqrt(max(weight.shape[-2:]))
            update = _shard_like(_lying(direction, weight), weight)
            _update(_local(weight), update, -scale, 1 - group["lr"] * group["weight_decay"], rounding)

    def _momentum(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """The Nesterov look-ahead gradient, whole, turned so that its rows are the shorter side."""
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        gradient = weight.grad
        assert gradient is not None
        buffer, gradient = state["momentum"], gradient.to(weight.dtype)
        buffer.lerp_(gradient, 1 - group["momentum"])
        return _lying(_whole(gradient.lerp(buffer, group["momentum"])), weight)

    def _step_adamw(self, weights: list[Tensor], group: dict[str, Any], rounding: torch.Generator | None) -> None:
        fast, slow, step = group["fast"], group["slow"], group["n_steps"]
        for weight in weights:
            state = self.state[weight]
            assert weight.grad is not None
            if not state:
                state.update(mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
            gradient, mean, square = _local(weight.grad), _local(state["mean"]), _local(state["square"])
            gradient = gradient.to(mean.dtype)
            mean.lerp_(gradient, 1 - fast)
            square.mul_(slow).addcmul_(gradient, gradient, value=1 - slow)
            spread = (square.float() / (1 - slow**step)).sqrt_().add_(1e-8)
            kept = 1 - group["lr"] * group["weight_decay"]
            _update(_local(weight), mean.float() / spread, -group["lr"] / (1 - fast**step), kept, rounding)


def _update(weight: Tensor, update: Tensor, scale: float, kept: float, rounding: torch.Generator | None) -> None:
    """`weight = kept * weight + scale * update`, rounded at random where the weight is in bfloat16."""
    if rounding is None:
        weight.mul_(kept).add_(update.to(weight.dtype), alpha=scale)
        return
    exact = (weight.float() * kept).add_(update, alpha=scale)
    # A float32 without its lower 16 bits is a bfloat16: a random number below 2**16 carries into the upper ones with
    # a chance that is what they would lose.
    bits = exact.view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, generator=rounding, device=bits.device, dtype=torch.int32)
    rounded = (bits + noise).bitwise_and_(-(1 << 16)).view(torch.float32)
    weight.copy_(torch.where(torch.isfinite(exact), rounded, exact))


def _local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, sharing its memory; an unsharded one as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _shard_like(whole: Tensor, weight: Tensor) -> Tensor:
    """This process's part of a tensor that every process has whole."""
    if not isinstance(weight, DTensor):
        return whole
    mesh = weight.device_mesh
    everywhere = DTensor.from_local(whole, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return everywhere.redistribute(mesh, weight.placements).to_local()


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
    return matrix.mT if weight.shape[-2] > weight.shape[-1] else matrix
