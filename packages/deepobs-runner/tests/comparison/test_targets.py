"""What a run must reach."""

from runner_builders import run_of

from deepobs_runner.comparison import target_of


def test_target_of_other_problems_is_what_adam_reaches():
    adam = [run_of([3.0, v], 42 + i, optimizer="Adam") for i, v in enumerate([1.0, 2.0, 1.5])]
    worse = [run_of([3.0, 0.1 * v], 42, optimizer="Adam", lr=v) for v in (20.0, 30.0)]
    target = target_of("p", [*adam, *worse, run_of([0.0])])
    assert target.value == 1.5
    assert target.source == "median final value of tuned Adam, 3 seeds"
    assert target_of("p", []) is None
    assert target_of("p", [run_of([None], optimizer="Adam", status="diverged")]) is None
