"""Telemetry of an epoch: norms of gradient, weights and update at the last step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepobs_models import roles


class Telemetry:
    """Measures the last step of an epoch; `before` and `after` surround it.

    Args:
        model: its trainable parameters are measured, grouped by role.
    """

    def __init__(self, model: nn.Module) -> None:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._parameters = list(trained.values())
        role_of = roles(model)
        self._by_role: dict[str, list[int]] = {}
        for index, name in enumerate(trained):
            self._by_role.setdefault(role_of[name], []).append(index)
        self._weights: list[Tensor] = []

    def before(self) -> None:
        """Keep the weights before the step."""
        self._weights = [p.detach().clone() for p in self._parameters]

    def after(self) -> dict[str, Any]:
        """Measurements of the step.

        `gradient_norm` as the optimizer left it, `parameter_norm` after the step, and
        `update_ratio`, by role: norm of the update over norm of the weights before it.
        """
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        updates = [p.detach() - old for p, old in zip(self._parameters, self._weights, strict=True)]
        ratios = {}
        for role, indices in self._by_role.items():
            weight = _norm([self._weights[i] for i in indices])
            update = _norm([updates[i] for i in indices])
            ratios[role] = (update / weight).item() if weight > 0 else None
        measured = {
            "gradient_norm": _norm([g.detach() for g in gradients]).item() if gradients else None,
            "parameter_norm": _norm([p.detach() for p in self._parameters]).item(),
            "update_ratio": ratios,
        }
        self._weights = []
        return measured


def _norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm over all entries."""
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
    total: Tensor = torch.linalg.vector_norm(norms)
    return total
