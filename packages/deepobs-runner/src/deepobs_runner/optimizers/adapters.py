"""Optimizers of other packages under bare names: one row each, with its module and arguments.

Those that work on matrices (Muon, Shampoo and their kind) get the hidden ones, convolution kernels
flattened to (out, in * height * width). AdamW trains embeddings, the head, norms and biases.
`MuonAll` gets embeddings and the head, too.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from deepobs_models import roles
from deepobs_models.roles import Role
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import Requirement, import_named, is_installed
from deepobs_runner.optimizers.argument_types import typed_signature
from deepobs_runner.optimizers.wrappers import CombinedOptimizer, OnMatrices

Group = dict[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})

HIDDEN: frozenset[Role] = frozenset({"hidden"})
EVERY: frozenset[Role] = frozenset({"embedding", "hidden", "head"})
"""Roles of all matrices."""

PYTORCH_OPTIMIZER = Requirement("pytorch-optimizer", extra="optimizers")
SCHEDULEFREE = Requirement("schedulefree", extra="optimizers")


class NoMatricesWarning(UserWarning):
    """An optimizer of matrices has none to train."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An optimizer of another package.

    Attributes:
        source: its class or factory, `package.module:name`.
        requires: the package and the extra of deepobs-runner that installs it; None: torch.
        matrices: roles of the matrices that it gets, AdamW the rest at `adamw_lr`; none: it gets
            all parameters.
        defaults: defaults of hyperparameters, in place of the class's.
        group: options of each of its parameter groups.
        create_graph: it differentiates the gradient once more.
        reference: where it was published.
    """

    source: str
    requires: Requirement | None = None
    matrices: frozenset[Role] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    group: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    create_graph: bool = False
    reference: str

    def signature(self) -> inspect.Signature:
        """Arguments of the class with their types, then those of AdamW."""
        first, *rest = typed_signature(self._load()).parameters.values()
        named = {
            p.name: p.replace(default=self.defaults.get(p.name, p.default), kind=p.KEYWORD_ONLY)
            for p in rest
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }
        if self.matrices:
            of_adamw = list(typed_signature(adamw_of_the_rest).parameters.values())[1:]
            named = {name: p for name, p in named.items() if not name.startswith("adamw_")}
            named |= {p.name: p for p in of_adamw}
        return inspect.Signature([first, *named.values()])

    def __call__(self, model: nn.Module, groups: Iterable[Any], **hyperparams: Any) -> Any:
        """Optimizer of a model.

        Args:
            model: gives the roles of its parameters.
            groups: its parameters, or groups of them.
            hyperparams: those of the signature.
        """
        build = self._load()
        complete = {**self.defaults, **hyperparams}
        if not self.matrices:
            optimizer = build(list(groups), **complete)
            if self.create_graph:
                optimizer.create_graph = True
            return optimizer
        of_adamw = {name: complete.pop(name) for name in ADAMW if name in complete}
        matrices, others = divide(model, groups, self.matrices)
        if not matrices:
            kinds = " or ".join(sorted(self.matrices))
            warnings.warn(
                f"This network has no {kinds} matrices for {self.source}: AdamW trains all of it "
                "at adamw_lr, and lr has no effect.",
                NoMatricesWarning,
                stacklevel=2,
            )
        optimizers: list[Any] = [adamw_of_the_rest(others, **of_adamw)] if others else []
        if matrices:
            matrices = [{**group, **self.group} for group in matrices]
            optimizers.insert(0, OnMatrices(lambda: build(matrices, **complete), matrices))
        return CombinedOptimizer(optimizers)

    def check(self, name: str) -> Adapter:
        """Adapter if its package is there.

        Raises:
            UsageError: it is missing, or too old.
        """
        if self.requires is not None and not is_installed(self.requires.package):
            raise UsageError(
                f"{name} needs the package {self.requires.package}, which is not installed. "
                f'Install it with: pip install "deepobs-runner[{self.requires.extra}]"'
            )
        try:
            self._load()
        except UsageError:
            package = "torch" if self.requires is None else self.requires.package
            raise UsageError(
                f"{name} is {self.source}, which the installed release of {package} lacks. "
                f"Update it with: pip install -U {package}"
            ) from None
        return self

    def _load(self) -> Any:
        return import_named(self.source)


def adamw_of_the_rest(
    groups: list[Group],
    *,
    adamw_lr: float = 1e-3,
    adamw_betas: tuple[float, float] = (0.9, 0.999),
    adamw_weight_decay: float = 0.01,
) -> torch.optim.Optimizer:
    """AdamW for all other parameters."""
    return torch.optim.AdamW(
        groups, lr=adamw_lr, betas=adamw_betas, weight_decay=adamw_weight_decay
    )


ADAMW = tuple(inspect.signature(adamw_of_the_rest).parameters)[1:]


def divide(
    model: nn.Module, groups: Iterable[Any], wanted_roles: Collection[Role] = HIDDEN
) -> tuple[list[Group], list[Group]]:
    """Groups of the real matrices of some roles, and groups of all other parameters.

    Args:
        model: the owner of the parameters.
        groups: parameters, or groups of them; their options are kept.
        wanted_roles: roles of the matrices.
    """
    role = roles(model)
    matrices = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if role[name] in wanted_roles and parameter.ndim >= 2 and not parameter.is_complex()
    }
    given = list(groups)
    whole = given if given and isinstance(given[0], dict) else [{"params": given}]
    parts: tuple[list[Group], list[Group]] = ([], [])
    for group in whole:
        for wanted, part in zip((True, False), parts, strict=True):
            chosen = [p for p in group["params"] if (id(p) in matrices) is wanted]
            if chosen:
                part.append({**group, "params": chosen})
    return parts


def _pytorch_optimizer(name: str, reference: str, **options: Any) -> Adapter:
    return Adapter(
        source=f"pytorch_optimizer:{name}",
        requires=PYTORCH_OPTIMIZER,
        reference=reference,
        **options,
    )


def _muon(name: str, reference: str) -> Adapter:
    """Variant of Muon from pytorch-optimizer, with groups that are marked as matrices."""
    return _pytorch_optimizer(name, reference, matrices=HIDDEN, group={"use_muon": True})


def _schedulefree(name: str) -> Adapter:
    return Adapter(
        source=f"schedulefree:{name}",
        requires=SCHEDULEFREE,
        reference="Defazio et al., The road less scheduled, 2024",
    )


ADAPTERS: Mapping[str, Adapter] = MappingProxyType({
    "AdaBelief": _pytorch_optimizer("AdaBelief", "Zhuang et al., 2020"),
    "AdaGO": _muon("AdaGO", "Zhang et al., 2025"),
    "AdaHessian": _pytorch_optimizer("AdaHessian", "Yao et al., 2021", create_graph=True),
    "AdaMuon": _muon("AdaMuon", "Si et al., 2025"),
    "AdEMAMix": _pytorch_optimizer("AdEMAMix", "Pagliardini et al., 2024"),
    "ADOPT": _pytorch_optimizer("ADOPT", "Taniguchi et al., 2024"),
    "Adan": _pytorch_optimizer("Adan", "Xie et al., 2022"),
    "CAME": _pytorch_optimizer("CAME", "Luo et al., 2023"),
    "DAdaptAdam": _pytorch_optimizer("DAdaptAdam", "Defazio and Mishchenko, 2023"),
    "Kron": _pytorch_optimizer("Kron", "Li, 2017 (PSGD)", matrices=HIDDEN),
    "LARS": _pytorch_optimizer("LARS", "You et al., 2017"),
    "LaProp": _pytorch_optimizer("LaProp", "Ziyin et al., 2020"),
    "Lamb": _pytorch_optimizer("Lamb", "You et al., 2019"),
    "Lion": _pytorch_optimizer("Lion", "Chen et al., 2023"),
    "MARS": _pytorch_optimizer("MARS", "Yuan et al., 2024"),
    "Muon": Adapter(source="torch.optim:Muon", matrices=HIDDEN, reference="Jordan et al., 2024"),
    "MuonAll": Adapter(source="torch.optim:Muon", matrices=EVERY, reference="Jordan et al., 2024"),
    "MuonClip": _muon("MuonClip", "Kimi Team, Kimi K2, 2025"),
    "NorMuon": _muon("NorMuon", "Li et al., 2025"),
    "Prodigy": _pytorch_optimizer("Prodigy", "Mishchenko and Defazio, 2023"),
    "SOAP": _pytorch_optimizer("SOAP", "Vyas et al., 2024", matrices=HIDDEN),
    "ScheduleFreeAdamW": _schedulefree("AdamWScheduleFree"),
    "ScheduleFreeRAdam": _schedulefree("RAdamScheduleFree"),
    "ScheduleFreeSGD": _schedulefree("SGDScheduleFree"),
    "Shampoo": _pytorch_optimizer("Shampoo", "Gupta et al., 2018", matrices=HIDDEN),
    "Sophia": _pytorch_optimizer("SophiaH", "Liu et al., 2023", create_graph=True),
    "Yogi": _pytorch_optimizer("Yogi", "Zaheer et al., 2018"),
})  # fmt: skip
"""Bare names that are no classes of `torch.optim`."""
