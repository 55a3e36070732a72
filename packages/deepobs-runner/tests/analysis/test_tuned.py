"""Which setting stands for an optimizer, and what the optimizer is called."""

from runner_builders import OFFICIAL, run_of

from deepobs_runner.analysis import tuned_settings


def test_the_repeated_setting_is_chosen():
    runs = [run_of([3.0, 0.1], lr=1.0)] + [run_of([3.0, 2.0], s) for s in (42, 43)]
    (chosen,) = tuned_settings(runs)["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.tried) == (0.1, 2)
    (chosen,) = tuned_settings(runs[:2])["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (1.0, "test objective")
    assert tuned_settings([run_of([], status="failed")]) == {}


def test_seeds_that_did_not_finish_do_not_make_a_setting_the_repeated_one():
    runs = [run_of([3.0, 2.0], seed) for seed in (42, 43)]
    runs += [run_of([3.0, 1.0], lr=1.0)]
    runs += [run_of([3.0], seed, lr=1.0, status="failed") for seed in (43, 44, 45)]
    (chosen,) = tuned_settings(runs)["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (0.1, "repeated")
    (chosen,) = tuned_settings(runs[-3:])["p"]  # nothing is finished yet
    assert len(chosen.runs) == 3


def test_held_out_rows_choose():
    def run(lr, valid, test):
        made = run_of([test], lr=lr)
        made.records[0]["metrics"]["valid"] = {"objective": valid}
        return made

    (chosen,) = tuned_settings([run(0.1, 1.0, 2.0), run(1.0, 2.0, 1.0)])["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (0.1, "valid objective")


def test_labels_tell_apart_what_has_one_name():
    runs = [
        run_of([1.0]),
        run_of([1.0], recipe="2019"),
        run_of([1.0], recipe="2019", environment=OFFICIAL),
        run_of([1.0], optimizer="my.py:Mine"),
    ]
    assert [s.optimizer for s in tuned_settings(runs)["p"]] == [
        "SGD (yours, recipe standard)", "SGD (yours, recipe 2019)", "SGD (official)", "Mine",
    ]  # fmt: skip
    runs = [run_of([1.0], optimizer="a.py:Mine"), run_of([1.0], optimizer="b.py:Mine")]
    assert [s.optimizer for s in tuned_settings(runs)["p"]] == ["a.py:Mine", "b.py:Mine"]
    runs = [run_of([1.0]), run_of([1.0], data="synthetic")]
    assert [s.optimizer for s in tuned_settings(runs)["p"]] == [
        "SGD (real data)",
        "SGD (synthetic data)",
    ]


def test_every_baseline_says_whose_it_is_once_one_must():
    theirs = [run_of([1.0], optimizer=name, environment=OFFICIAL) for name in ("SGD", "Adam")]
    labels = [s.optimizer for s in tuned_settings([*theirs, run_of([1.0], optimizer="Lion")])["p"]]
    assert labels == ["SGD", "Adam", "Lion"]
    runs = [*theirs, run_of([1.0]), run_of([1.0], optimizer="Lion")]
    labels = [s.optimizer for s in tuned_settings(runs)["p"]]
    assert labels == ["SGD (official)", "Adam (official)", "SGD (yours)", "Lion"]


def test_a_run_that_is_there_twice_counts_once():
    runs = [
        run_of([9.0], status="running"),
        run_of([9.0, 1.0]),
        run_of([9.0, 1.0]),
        run_of([9.0], 43),
    ]
    (setting,) = tuned_settings(runs)["p"]
    assert [len(run.records) for run in setting.runs] == [2, 1]
