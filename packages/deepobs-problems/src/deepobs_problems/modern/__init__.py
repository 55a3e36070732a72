"""Problems after 2019, one module per family: its losses, its metrics and its entries.

Each module ends in `PROBLEMS`, which the catalog collects.
"""

from deepobs_problems.modern import bigram, burgers, diagnostic, mnist1d, poisson, quadratic, text

PROBLEMS = (
    *bigram.PROBLEMS,
    *quadratic.PROBLEMS,
    *mnist1d.PROBLEMS,
    *poisson.PROBLEMS,
    *burgers.PROBLEMS,
    *text.PROBLEMS,
    *diagnostic.PROBLEMS,
)
