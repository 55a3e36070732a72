"""Names of problems and optimizers, made unique if needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from deepobs_runner.config import Identity, RunConfig
from deepobs_runner.results.result import YOURS, RunResult, provenance_of
from deepobs_runner.results.shipped_defaults import problem_row
from deepobs_runner.text import bare_name

LEAST_DIGITS = 4
"""Of the hash that tells two of one name apart when nothing else does."""


def digits_to_tell(hashes: Sequence[str]) -> int:
    """Number of leading digits that make hashes unique."""
    longest = max(map(len, hashes))
    enough = (
        n for n in range(LEAST_DIGITS, longest) if len({h[:n] for h in hashes}) == len(hashes)
    )
    return next(enough, longest)


def distinct_names(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Name for each problem, or for each optimizer.

    Files of one name and of different content are named with their folders, or if that is not
    enough with the first digits of the hash of the content.
    """
    known = list(dict.fromkeys(identities))
    names = {}
    for identity in known:
        twins = [other for other in known if other.name == identity.name]
        names[identity] = identity.name
        if len({twin.given for twin in twins}) == len(twins) > 1:
            names[identity] = identity.given
        elif len(twins) > 1:
            digits = digits_to_tell([twin.content for twin in twins])
            names[identity] += f" #{identity.content[:digits]}"
    return names


class Kind(NamedTuple):
    """Group of runs that is compared as one optimizer."""

    optimizer: Identity
    provenance: str
    recipe: str
    data: str
    precision: str


def kind_of(result: RunResult) -> Kind:
    """Kind of a run, for comparisons."""
    config = result.config
    return Kind(
        optimizer=config.optimizer_id,
        provenance=provenance_of(result),
        recipe=f"recipe {config.recipe}",
        data=f"{config.data} data",
        precision=_precision_of(config),
    )


def _precision_of(config: RunConfig) -> str:
    """Precision in words: an optimizer in the default one of each problem is a single optimizer.

    Of problems outside the catalog the default is taken to be fp32.
    """
    row = problem_row(config.problem_id.name)
    default = "fp32" if row is None else row["precision"]
    return "default precision" if config.precision == default else config.precision


def label_optimizers(kinds: Iterable[Kind]) -> dict[Kind, str]:
    """Label for each kind: the optimizer, and in brackets what tells two apart.

    If words are added to any, every baseline names its set: a bare name beside "SGD (yours)"
    and "SGD (official)" would not.
    """
    kinds = list(dict.fromkeys(kinds))
    words = {kind: _words(kind, kinds) for kind in kinds}
    if any(words.values()):
        for kind, added in words.items():
            if kind.provenance not in (YOURS, *added):
                added.insert(0, kind.provenance)
    return {kind: _label(kind, words[kind], kinds) for kind in kinds}


def _words(kind: Kind, kinds: Sequence[Kind]) -> list[str]:
    """Each word that tells a kind from those of the same optimizer."""
    twins = [other for other in kinds if other.optimizer == kind.optimizer]
    added = []
    for index, word in enumerate(kind[1:], start=1):
        if len({other[index] for other in twins}) > 1:
            added.append(word)
            twins = [other for other in twins if other[index] == word]
    return added


def _label(kind: Kind, added: Sequence[str], kinds: Sequence[Kind]) -> str:
    """Optimizer, and the added words in brackets."""
    name = bare_name(kind.optimizer.name)
    namesakes = {o.optimizer for o in kinds if bare_name(o.optimizer.name) == name}
    if len(namesakes) > 1:  # for example two files of the user
        found = distinct_names(namesakes)[kind.optimizer]
        name = f"'{found}'" if name.startswith("'") else found
    return f"{name} ({', '.join(added)})" if added else name
