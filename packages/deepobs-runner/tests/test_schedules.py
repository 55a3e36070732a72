"""Schedules: factors, JSON and the command line's spelling."""

import math

import pytest

from deepobs_runner.errors import UsageError
from deepobs_runner.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Step,
    Trapezoidal,
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
    CosineRestarts(),
    CosineRestarts(first=3, growth=1),
    Trapezoidal(),
    Trapezoidal(rise=0.0, fall=0.5),
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
        ("cosine-restarts", CosineRestarts(10, 2)),
        ("cosine-restarts:first=5,growth=1", CosineRestarts(5, 1)),
        ("trapezoidal:rise=0.05,fall=0.2", Trapezoidal(0.05, 0.2)),
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


def test_restarts_are_those_of_crowded_valley():
    """By epoch, from one of its published runs (svhn_wrn164, 160 epochs, cosine_wr)."""
    published = {
        1: 0.9755282581475768, 9: 0.024471741852423234, 10: 1, 11: 0.9938441702975689,
        29: 0.00615582970243117, 30: 1, 69: 0.001541333133436018, 70: 1, 110: 0.5,
        149: 0.0003854818796385495, 150: 1, 160: 0.9903926402016152,
    }  # fmt: skip
    schedule = CosineRestarts()
    factors = {epoch: schedule.factor(7 * epoch, 7, 7 * 160) for epoch in published}
    assert factors == pytest.approx(published, rel=1e-12)
    assert schedule.factor(35, 7, 70) == pytest.approx(0.5)  # half a period, also between epochs
    assert [CosineRestarts(1, 1).factor(step, 2, 6) for step in range(6)] == [1, 0.5] * 3


def test_a_trapezoid_rises_stays_and_falls():
    factors = [Trapezoidal(0.2, 0.4).factor(step, 5, 10) for step in range(10)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert [Trapezoidal(0.0, 0.0).factor(step, 2, 4) for step in range(4)] == [1] * 4


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
        ("cosine-restarts:first=0", "whole numbers >= 1; got 0 and 2"),
        ("cosine-restarts:first=2.5", "Cannot read 'first=2.5'"),
        ("trapezoidal:rise=0.6,fall=0.6", "together at most 1; got 0.6 and 0.6"),
        ("trapezoidal:fall=-1", "shares of all steps"),
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
