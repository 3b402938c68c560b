"""Which weights of a model are matrices: what Muon orthogonalises, weight decay shrinks and adapters stand on.

Mixture-of-experts layers hold the matrices of all experts in one weight of three dimensions, and the biases of all
experts in one of two. A convolution has three dimensions, too, and is no matrix. Imports torch inside functions only.
"""

from __future__ import annotations

from typing import Any


def find_matrices(model: Any) -> dict[str, Any]:
    """Name to weight: matrices, and stacks of them, of the model's layers. Embeddings, head and biases are none."""
    import torch

    kinds = torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d
    left_out = {id(module.weight) for module in model.modules() if isinstance(module, kinds)}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if head is not None:
        left_out.add(id(head.weight))
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.ndim in (2, 3) and id(weight) not in left_out and not name.endswith("bias")
    }


def find_expert_stacks(model: Any) -> list[str]:
    """Names of the weights that hold a matrix for each expert."""
    return [name for name, weight in find_matrices(model).items() if weight.ndim == 3]
