"""Choose problems of the catalog: by suite, and by tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from deepobs_problems.catalog import CATALOG
from deepobs_problems.errors import ProblemError, nearest

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # No download.
        "synthetic": ("quadratic_deep", "two_d_rosenbrock", "two_d_beale", "two_d_branin"),
        # "Small" and "large" are the benchmark sets of Schneider, Balles and Hennig 2019.
        "small": ("quadratic_deep", "mnist_vae", "fmnist_2c2d", "cifar10_3c3d"),
        "large": ("fmnist_vae", "cifar100_allcnnc", "svhn_wrn164", "tolstoi_char_rnn"),
        # Problems after 2019, one per kind of data and network.
        "modern": ("bigram_zipf", "mnist1d_conv", "poisson_pinn", "tolstoi_chargpt_small"),
        # No download, and seconds to minutes on a laptop.
        "offline": tuple(
            name
            for name, problem in CATALOG.items()
            if problem.tags & {"synthetic", "table"} and "diagnostic" not in problem.tags
        ),
        "all": tuple(CATALOG),
    }
)
"""Names of the problems of each suite."""

TAGS: Mapping[str, str] = MappingProxyType(
    {
        "image": "classifies or encodes images",
        "text": "predicts characters",
        "table": "classifies vectors or signals",
        "synthetic": "generated data or noise; no download",
        "cheap": "a default training run takes less than 1e14 operations",
        "medium": "a default training run takes 1e14 to 1e16 operations",
        "expensive": "a default training run takes more than 1e16 operations: use a GPU",
        "batch-norm": "the network has batch normalisation",
        "dropout": "the network has dropout",
        "attention": "the network has attention",
        "graph": "the examples are nodes of a graph",
        "full-batch": "a batch is the whole training set, without noise",
        "heavy-tailed": "class frequencies that differ by orders of magnitude",
        "pinn": "physics-informed: derivatives of the network are in its loss",
        "diagnostic": "diagnostic, outside the suites; not for rankings",
        "convex": "the objective is convex in the parameters",
        "recurrent": "state is carried from batch to batch",
        "per-example-safe": "the training loss of an example does not depend on the others of its "
        "batch, so that gradients per example are defined; `torch.func.vmap` takes the network",
    }
)
"""What each tag means; each problem has one of the first four and one of the next three."""


def problems_with(
    tags: Iterable[str] = (), *, without: Iterable[str] = (), suite: str = "all"
) -> tuple[str, ...]:
    """Names of the problems that have all `tags` and none of `without`.

    Args:
        tags: words of `TAGS`.
        without: words of `TAGS`.
        suite: a name of `SUITES`.

    Raises:
        ProblemError: no such tag or suite; the message has the nearest ones.

    >>> problems_with(["convex"], without=["synthetic"])
    ('mnist_logreg', 'fmnist_logreg')
    """
    wanted, unwanted = set(tags), set(without)
    for tag in sorted(wanted | unwanted):
        _check("tag", tag, TAGS)
    _check("suite", suite, SUITES)
    return tuple(
        name
        for name in SUITES[suite]
        if wanted <= CATALOG[name].tags and not unwanted & CATALOG[name].tags
    )


def _check(kind: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise ProblemError(
            f"Unknown {kind} {name!r}.{nearest(name, known)} Known: {', '.join(known)}."
        )
