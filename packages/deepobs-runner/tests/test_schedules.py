"""Schedules: factors, JSON and the command line's spelling."""

import math

import pytest

from deepobs_runner.errors import UsageError
from deepobs_runner.schedules import (
    Constant,
    Cosine,
    Exponential,
    Step,
    Warmup,
    parse_schedule,
    schedule_from_json,
    schedule_to_json,
)

ALL = [
    Constant(),
    Step((60, 120), (0.2, 0.04)),
    Exponential(0.95),
    Cosine(),
    Cosine(final=0.1),
    Warmup(Cosine(), 0.05),
    Warmup(Step((1,), (0.5,)), 0.5),
]


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_json_round_trip(schedule):
    assert schedule_from_json(schedule_to_json(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", Constant()),
        ("cosine", Cosine()),
        ("cosine:final=0.1,warmup=0.05", Warmup(Cosine(0.1), 0.05)),
        ("exponential:gamma=0.95", Exponential(0.95)),
        ("step:epochs=60/120,factors=0.2/0.04", Step((60, 120), (0.2, 0.04))),
    ],
)
def test_parse(text, expected):
    assert parse_schedule(text) == expected


def test_step_factors_are_relative_to_the_base_rate():
    schedule = Step((1, 3), (0.1, 0.5))
    assert [schedule.factor(step, 2, 8) for step in range(8)] == [
        1,
        1,
        0.1,
        0.1,
        0.1,
        0.1,
        0.5,
        0.5,
    ]


def test_exponential_decays_once_an_epoch():
    assert [Exponential(0.5).factor(step, 2, 6) for step in range(6)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
    ]


def test_cosine_starts_at_one_and_falls_towards_final():
    factors = [Cosine(0.2).factor(step, 5, 10) for step in range(11)]
    assert factors[0] == 1
    assert factors[5] == pytest.approx(0.6)
    assert factors[10] == pytest.approx(0.2)
    assert factors == sorted(factors, reverse=True)


def test_warmup_rises_linearly_and_multiplies():
    schedule = Warmup(Cosine(), 0.4)
    factors = [schedule.factor(step, 5, 10) for step in range(10)]
    for step in range(4):
        cosine = 0.5 * (1 + math.cos(math.pi * step / 10))
        assert factors[step] == pytest.approx((step + 1) / 4 * cosine)
    assert factors[4:] == [Cosine().factor(step, 5, 10) for step in range(4, 10)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("linear", "Known: constant, step, exponential, cosine"),
        ("cosine:gamma=1", "its options: final"),
        ("cosine:final", "key=number"),
        ("cosine:final=x", "key=number"),
        ("cosine:warmup=0", "(0, 1]"),
        ("exponential", "gamma"),
        ("exponential:gamma=2", "(0, 1]"),
        ("step:epochs=3/2,factors=1/1", "must increase"),
        ("step:epochs=3,factors=1/1", "as many factors"),
        ("step:epochs=3,factors=nan", "numbers >= 0"),
        ("step:epochs=3,factors=-1", "numbers >= 0"),
        ("cosine:final=0.1,final=0.2", "key=number once"),
    ],
)
def test_errors_say_what_is_allowed(text, said):
    with pytest.raises(UsageError, match=None) as error:
        parse_schedule(text)
    assert said in str(error.value)
