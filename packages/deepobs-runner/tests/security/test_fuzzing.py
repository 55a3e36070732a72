"""Files with anything in them: reading raises nothing but DeepOBS's own errors."""

import json
import lzma
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runner_builders import SPLITS, run_of

from deepobs_problems import ProblemError
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.plans.plan import load_plan
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.page.render import render_page
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.text import csv_table, markdown_table
from deepobs_runner.results.baselines import pack_baselines, unpacked_results
from deepobs_runner.results.store import encode_result, read_result
from deepobs_runner.tuning.ledger import damaged_lines, damaged_studies, read_ledger

OURS = (UsageError, ProblemError)

FUZZ = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FAST, REPORTS = settings(FUZZ, max_examples=100), settings(FUZZ, max_examples=20)

NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 1, 2**31, 2**63, 10**30, 10**400, 1e308])
)
TEXTS = st.one_of(
    st.text(st.characters(), max_size=8),
    st.sampled_from(
        ["", "p", "SGD", "Adam", "a.py:b", ":", "\x1b[2J", "$\\frac{$", "\udc80", "nan"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def plain(seed=1, optimizer="SGD"):
    return json.loads(encode_result(run_of(seed=seed, optimizer=optimizer, splits=SPLITS)))


def places(data, prefix=()):
    """Yield the place of every value."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from places(value, (*prefix, key))


PLACES = [place for place in places(plain()) if place[0] not in ("schema", "id")]


@st.composite
def results(draw):
    """Draw a result in which some values are others, with the id that belongs to it."""
    data = plain(draw(st.integers(1, 3)))
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        found = data
        with suppress(KeyError, IndexError, TypeError):
            for part in place[:-1]:
                found = found[part]
            if draw(st.integers(0, 9)):
                found[place[-1]] = draw(JSON)
            else:
                del found[place[-1]]
    with suppress(Exception):
        data["id"] = RunConfig.from_json(data["config"]).id
    return json.dumps(data).encode()


@st.composite
def damaged(draw, content):
    """Draw a file with bytes removed, replaced or inserted."""
    start = draw(st.integers(0, len(content)))
    end = min(start + draw(st.integers(0, 40)), len(content))
    return content[:start] + draw(st.binary(max_size=6)) + content[end:]


def read(content):
    """Return a result with its records, None if it is refused."""
    try:
        result = read_result(content, Path("x.json"))
        len(result.records)
    except UsageError:
        return None
    return result


@FAST
@given(st.one_of(results(), damaged(json.dumps(plain()).encode()), st.binary(max_size=60)))
def test_a_result_is_read_or_refused(content):
    read(content)


@REPORTS
@given(st.lists(results(), min_size=1, max_size=3))
def test_a_report_of_any_results_comes(contents):
    found = [result for content in contents if (result := read(content)) is not None]
    whole = [
        run_of(seed=seed, optimizer=o, splits=SPLITS) for seed in (1, 2) for o in ("SGD", "Adam")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = gather_data([*found, *whole])
        report = assemble(data)
        render_page(report, data).encode()
        for table in report.tables.values():
            csv_table(table)
            markdown_table(table)
            table.to_latex()


PLAN = """problems: [two_d_branin]
optimizers:
  - SGD: &a
  - {name: Adam, hyperparams: {lr: 0.1}, grid: {eps: [1, 2]}}
settings: {epochs: 1, schedule: "cosine:warmup=0.1"}
seeds: [1, 2]
overrides:
  - {problem: two_d_branin, optimizer: Adam, seeds: 3, settings: {l2: 1e-3}}
"""
KEYS = st.sampled_from(
    ["problems", "optimizers", "settings", "seeds", "overrides", "name", "hyperparams", "grid",
     "epochs", "l2", "schedule", "problem", "optimizer", "batch_size", "recipe", "suites"]
)  # fmt: skip
WORDS = st.sampled_from(["two_d_branin", "SGD", "Adam", "cosine", "2019", "lr", "fp64"])
VALUES = st.recursive(
    st.one_of(WORDS, st.none(), st.booleans(), st.integers(-3, 3), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, TEXTS), inner, max_size=3),
    ),
    max_leaves=8,
)
PLANS = st.one_of(
    damaged(PLAN.encode()),
    st.dictionaries(KEYS, VALUES, max_size=5).map(lambda plan: json.dumps(plan).encode()),
    VALUES.map(lambda value: PLAN.replace("[1, 2]", json.dumps(value)).encode()),
    st.text(st.sampled_from("abc:-[]{}&*!|>'\"%@`#,?\n \t<"), max_size=40).map(str.encode),
)


@FAST
@given(PLANS)
def test_a_plan_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_bytes(content)
        with suppress(*OURS):
            load_plan(path)


LINE = {
    "problem": "p", "optimizer": "SGD", "number": 1, "run": "r", "point": {"lr": 0.1},
    "status": "done", "metric": "m", "value": 1.0, "first": 1.0, "epochs": 1, "steps": 1,
    "seconds": 1.0, "message": "",
}  # fmt: skip


@FAST
@given(
    st.one_of(
        damaged((json.dumps(LINE) + "\n").encode() * 3),
        st.lists(JSON, max_size=3).map(lambda lines: "\n".join(map(json.dumps, lines)).encode()),
    ),
    st.one_of(JSON.map(json.dumps).map(str.encode), st.binary(max_size=40)),
)
def test_a_ledger_and_its_study_are_read_or_refused(ledger, study):
    with tempfile.TemporaryDirectory() as out:
        folder = Path(out) / "tuning" / "s"
        folder.mkdir(parents=True)
        (folder / "ledger.jsonl").write_bytes(ledger)
        (folder / "study.json").write_bytes(study)
        read_ledger(folder)
        damaged_lines(folder)
        assert damaged_studies(Path(out))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    runs = [run_of(seed=seed, splits=SPLITS) for seed in (1, 2)]
    folder = tmp_path_factory.mktemp("packed") / "set"
    return pack_baselines(runs, folder, name="set", title="t", licence="l")


@FAST
@given(data=st.data())
def test_a_packed_set_is_read_or_refused(packed, data):
    described = (packed / "set.json").read_bytes()
    held = (packed / "p.jsonl.xz").read_bytes()
    kind = data.draw(st.integers(0, 2))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if kind == 0:
            described = data.draw(damaged(described))
        elif kind == 1:
            held = data.draw(damaged(held))
        else:
            held = lzma.compress(data.draw(damaged(lzma.decompress(held))))
        (folder / "set.json").write_bytes(described)
        (folder / "p.jsonl.xz").write_bytes(held)
        with suppress(UsageError):
            for result in unpacked_results(folder):
                len(result.records)
