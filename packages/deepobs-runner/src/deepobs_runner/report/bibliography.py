"""The works a methods paragraph cites, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Work:
    """A publication.

    Attributes:
        kind: of the BibTeX entry.
        short: how it is cited in plain text.
        fields: of the entry.
    """

    kind: str
    short: str
    fields: Mapping[str, str]


def _work(kind: str, short: str, **fields: str) -> Work:
    return Work(kind, short, MappingProxyType(fields))


WORKS: Mapping[str, Work] = MappingProxyType(
    {
        "schneider2019deepobs": _work(
            "inproceedings",
            "Schneider et al., 2019",
            author="Schneider, Frank and Balles, Lukas and Hennig, Philipp",
            title="{DeepOBS}: A Deep Learning Optimizer Benchmark Suite",
            booktitle="International Conference on Learning Representations",
            year="2019",
            url="https://openreview.net/forum?id=rJg6ssC5Y7",
        ),
        "kaplan1958": _work(
            "article",
            "Kaplan and Meier, 1958",
            author="Kaplan, Edward L. and Meier, Paul",
            title="Nonparametric Estimation from Incomplete Observations",
            journal="Journal of the American Statistical Association",
            volume="53",
            number="282",
            pages="457--481",
            year="1958",
        ),
        "efron1987": _work(
            "article",
            "Efron, 1987",
            author="Efron, Bradley",
            title="Better Bootstrap Confidence Intervals",
            journal="Journal of the American Statistical Association",
            volume="82",
            number="397",
            pages="171--185",
            year="1987",
        ),
        "efron1993": _work(
            "book",
            "Efron and Tibshirani, 1993",
            author="Efron, Bradley and Tibshirani, Robert J.",
            title="An Introduction to the Bootstrap",
            publisher="Chapman and Hall",
            year="1993",
        ),
        "fleming1986": _work(
            "article",
            "Fleming and Wallace, 1986",
            author="Fleming, Philip J. and Wallace, John J.",
            title="How Not to Lie with Statistics: The Correct Way to Summarize Benchmark Results",
            journal="Communications of the ACM",
            volume="29",
            number="3",
            pages="218--221",
            year="1986",
        ),
        "agarwal2021": _work(
            "inproceedings",
            "Agarwal et al., 2021",
            author="Agarwal, Rishabh and Schwarzer, Max and Castro, Pablo Samuel and "
            "Courville, Aaron and Bellemare, Marc G.",
            title="Deep Reinforcement Learning at the Edge of the Statistical Precipice",
            booktitle="Advances in Neural Information Processing Systems",
            year="2021",
        ),
        "wilcoxon1945": _work(
            "article",
            "Wilcoxon, 1945",
            author="Wilcoxon, Frank",
            title="Individual Comparisons by Ranking Methods",
            journal="Biometrics Bulletin",
            volume="1",
            number="6",
            pages="80--83",
            year="1945",
        ),
        "hodges1963": _work(
            "article",
            "Hodges and Lehmann, 1963",
            author="Hodges, Joseph L. and Lehmann, Erich L.",
            title="Estimates of Location Based on Rank Tests",
            journal="The Annals of Mathematical Statistics",
            volume="34",
            number="2",
            pages="598--611",
            year="1963",
        ),
        "holm1979": _work(
            "article",
            "Holm, 1979",
            author="Holm, Sture",
            title="A Simple Sequentially Rejective Multiple Test Procedure",
            journal="Scandinavian Journal of Statistics",
            volume="6",
            number="2",
            pages="65--70",
            year="1979",
        ),
        "dolan2002": _work(
            "article",
            "Dolan and Moré, 2002",
            author=r"Dolan, Elizabeth D. and Mor{\'e}, Jorge J.",
            title="Benchmarking Optimization Software with Performance Profiles",
            journal="Mathematical Programming",
            volume="91",
            number="2",
            pages="201--213",
            year="2002",
        ),
        "tang2020": _work(
            "inproceedings",
            "Tang et al., 2020",
            author="Tang, Raphael and Lee, Jaejun and Xin, Ji and Liu, Xinyu and Yu, Yaoliang and "
            "Lin, Jimmy",
            title="Showing Your Work Doesn't Always Work",
            booktitle="Proceedings of the 58th Annual Meeting of the Association for "
            "Computational Linguistics",
            year="2020",
        ),
        "wilson1927": _work(
            "article",
            "Wilson, 1927",
            author="Wilson, Edwin B.",
            title="Probable Inference, the Law of Succession, and Statistical Inference",
            journal="Journal of the American Statistical Association",
            volume="22",
            number="158",
            pages="209--212",
            year="1927",
        ),
        "paszke2019": _work(
            "inproceedings",
            "Paszke et al., 2019",
            author="Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and others",
            title="{PyTorch}: An Imperative Style, High-Performance Deep Learning Library",
            booktitle="Advances in Neural Information Processing Systems",
            year="2019",
        ),
    }
)
"""By the key they are cited with."""


def bibtex(keys: Iterable[str]) -> str:
    """Return the BibTeX entries of some works.

    >>> bibtex(["holm1979"]).splitlines()[:2]
    ['@article{holm1979,', '  author = {Holm, Sture},']
    """
    entries = []
    for key in keys:
        work = WORKS[key]
        lines = [f"  {name} = {{{value}}}," for name, value in work.fields.items()]
        entries.append("\n".join([f"@{work.kind}{{{key},", *lines, "}"]))
    return "\n\n".join(entries) + "\n"
