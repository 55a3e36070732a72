"""The catalog as a whole: names, suites, tags, stand-in data, evaluation noise, first losses."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_data import Dataset, Table, info
from deepobs_models import CausalSelfAttention, ModularTransformer
from deepobs_problems import (
    CATALOG,
    SUITES,
    TAGS,
    ProblemError,
    evaluate,
    evaluation_order,
    problems_with,
)
from deepobs_problems.cost import measure_cost
from deepobs_problems.evaluation import cast
from deepobs_problems.noise import latent_noise, with_latent_noise
from deepobs_problems.stand_in import stand_in

NETWORKS = {
    "mnist": ("logreg", "mlp", "2c2d", "vae"),
    "fmnist": ("logreg", "mlp", "2c2d", "vae"),
    "cifar10": ("3c3d", "vgg16", "vgg19"),
    "cifar100": ("3c3d", "allcnnc", "vgg16", "vgg19", "wrn404"),
    "svhn": ("3c3d", "wrn164"),
    "imagenet": ("vgg16", "vgg19", "inception_v3"),
    "tolstoi": ("char_rnn",),
    "quadratic": ("deep",),
    "two_d": ("rosenbrock", "beale", "branin"),
}
NAMES_2019 = [f"{data}_{network}" for data, networks in NETWORKS.items() for network in networks]
LATER = {
    "bigram_zipf": "bigram",
    "bigram_zipf_sgd": "bigram_pairs",
    "bigram_zipf_l2": "bigram",
    "bigram_zipf_l2_sgd": "bigram_pairs",
    "bigram_lowrank": "bigram",
    "quadratic_nqm": "nqm",
    "mnist1d_mlp": "mnist1d",
    "mnist1d_conv": "mnist1d",
    "mnist1d_gru": "mnist1d",
    "poisson_pinn": "poisson",
    "burgers_pinn": "burgers",
    "tolstoi_chargpt": "tolstoi",
    "tolstoi_chargpt_small": "tolstoi",
    "shakespeare_chargpt": "shakespeare",
    "shakespeare_chargpt_small": "shakespeare",
    "modadd_transformer": "modular_addition",
    "attention_teacher": "attention_teacher",
}
NAMES = [*NAMES_2019, *LATER]


@pytest.fixture(scope="module")
def datasets() -> dict[str, Dataset]:
    """Stand-in data of every problem, small."""
    plain = {name: stand_in(name, 64) for name in NETWORKS}
    made = {name: function() for name, function in plain.items()}
    noisy = {f"{name}_vae": with_latent_noise(plain[name])() for name in ("mnist", "fmnist")}
    later = {name: CATALOG[name].stand_in() for name in LATER}
    return {name: made[data_of(name)] for name in NAMES_2019} | noisy | later


def data_of(name: str) -> str:
    """Return the data set of a problem, with which the names of 2019 begin."""
    if name in LATER:
        return LATER[name]
    return next(data for data in NETWORKS if name.startswith(f"{data}_"))


def test_all_problems_are_there_under_their_own_names():
    assert len(NAMES_2019) == 26
    assert list(CATALOG) == NAMES
    assert all(name == problem.name for name, problem in CATALOG.items())


def test_suites():
    assert SUITES["all"] == tuple(NAMES)
    assert [len(SUITES[name]) for name in ("synthetic", "small", "large")] == [4, 4, 4]
    assert all(name in CATALOG for names in SUITES.values() for name in names)
    made = {name for name in NAMES if info(data_of(name)).download_size == 0}
    diagnostic = {"modadd_transformer", "attention_teacher"}
    assert set(SUITES["offline"]) == made - diagnostic
    assert not any(diagnostic & set(SUITES[name]) for name in SUITES if name != "all")
    assert set(SUITES["modern"]) < set(LATER)


@pytest.mark.parametrize("name", NAMES)
def test_data_is_that_of_the_name(name):
    function = CATALOG[name].data
    bound = getattr(function, "args", [function])[0]
    assert getattr(bound, "__name__", bound) == data_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_stand_in_has_the_shapes_of_the_data_and_is_marked(name):
    problem, facts = CATALOG[name], info(data_of(name))
    data = problem.stand_in(None, valid_size=4, recipe="2019")
    assert data.name == facts.name
    assert not data.comparable
    held_out = 4 * (facts.kind != "synthetic")
    assert len(data.train) + held_out >= problem.defaults.batch_size
    assert data.steps_per_epoch(problem.defaults.batch_size - held_out) > 0
    assert len(data.valid) == 4
    batch = next(data.train.batches(torch.arange(2), 2))
    window = (64,) if name.endswith("gpt_small") else (256,) if name.endswith("gpt") else None
    assert tuple(batch.x.shape[1:]) == (window or facts.x_shape)
    noise = (8,) if name.endswith("_vae") else facts.y_shape
    assert tuple(batch.y.shape[1:]) == (window or noise)


def test_stand_in_may_have_fewer_rows_to_evaluate():
    whole, cut = stand_in("cifar10", 64)(valid_size=8), stand_in("cifar10", 64, evaluated=16)
    data = cut(valid_size=8)
    assert [len(split) for split in data.splits().values()] == [56, 16, 8, 16]
    rows = torch.arange(16)
    for name in ("train_eval", "test"):
        first, expected = (next(d.split(name).batches(rows, 16)) for d in (data, whole))
        assert torch.equal(first.x, expected.x)
        assert torch.equal(first.y, expected.y)


# ------------------------------------------------------------------------------------------ tags


@pytest.mark.parametrize("name", NAMES)
def test_tags_say_what_the_network_has(name, datasets):
    problem = CATALOG[name]
    with torch.device("meta"):
        model = problem.model()
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    has_norm = any(isinstance(m, norms) for m in model.modules())
    has_dropout = any(isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules())
    assert ("batch-norm" in problem.tags) == has_norm
    assert ("dropout" in problem.tags) == has_dropout
    assert ("per-example-safe" in problem.tags) == (not has_norm)
    assert ("recurrent" in problem.tags) == (datasets[name].order == "stateful")
    assert problem.tags <= set(TAGS)
    assert problem.tags & {"image", "text", "table", "synthetic"} == {info(data_of(name)).kind}
    convex = {"mnist_logreg", "fmnist_logreg", "quadratic_deep", "quadratic_nqm"}
    assert ("convex" in problem.tags) == (name in convex or name.startswith("bigram_zipf"))
    attends = (nn.MultiheadAttention, CausalSelfAttention, ModularTransformer)
    has_attention = any(isinstance(m, attends) for m in model.modules())
    assert ("attention" in problem.tags) == has_attention
    assert ("full-batch" in problem.tags) == is_full_batch(name)


def is_full_batch(name: str) -> bool:
    """Whether a step has all training examples by default."""
    return CATALOG[name].defaults.batch_size == info(data_of(name)).train_size


@pytest.mark.parametrize("name", NAMES)
def test_cost_tag_is_the_measured_cost_of_a_training(name, datasets):
    problem = CATALOG[name]
    batch = next(datasets[name].train.batches(torch.arange(2), 2))
    # Backward costs twice as much as forward.
    defaults, data = problem.defaults, datasets[name]
    whole = info(data_of(name)).sizes(batch.x.shape[1:])["train"]
    per_epoch = whole * data.passes_per_epoch // data.epochs_per_pass
    steps = defaults.steps or per_epoch // defaults.batch_size * defaults.epochs
    examples = steps * defaults.batch_size
    operations = 3 * measure_cost(problem, batch).flops * examples
    tier = "cheap" if operations < 1e14 else "medium" if operations < 1e16 else "expensive"
    assert problem.tags & {"cheap", "medium", "expensive"} == {tier}


@pytest.mark.parametrize("name", problems_with(["convex"]))
def test_convex_objectives_lie_below_their_chords(name, datasets):
    problem = CATALOG[name]
    batch = cast(next(datasets[name].train.batches(torch.arange(16), 16)), torch.float64)
    torch.manual_seed(0)
    models = [problem.model().double() for _ in range(3)]
    values = []
    with torch.no_grad():
        for parameters in zip(*(m.parameters() for m in models), strict=True):
            for parameter in parameters[:2]:
                parameter.copy_(torch.randn_like(parameter))
            parameters[2].copy_((parameters[0] + parameters[1]) / 2)
        values = [problem.objective(m, batch)[0].item() for m in models]
    assert values[2] < (values[0] + values[1]) / 2


def test_problems_are_chosen_by_tags():
    assert problems_with(["text"], without=["attention"]) == ("tolstoi_char_rnn",)
    assert problems_with(["pinn"]) == ("poisson_pinn", "burgers_pinn")
    assert problems_with(["full-batch"], without=["synthetic"]) == ()
    assert problems_with(["image", "batch-norm"], without=["dropout"]) == (
        "cifar100_wrn404",
        "svhn_wrn164",
        "imagenet_inception_v3",
    )
    assert problems_with(["expensive"], suite="large") == ("cifar100_allcnnc", "svhn_wrn164")
    assert problems_with() == tuple(NAMES)


def test_unknown_tags_and_suites_get_the_nearest():
    with pytest.raises(ProblemError, match=r"tag 'batchnorm'\. Did you mean 'batch-norm'"):
        problems_with(["batchnorm"])
    with pytest.raises(ProblemError, match=r"suite 'smal'\. Did you mean 'small'"):
        problems_with(suite="smal")


# -------------------------------------------------------------------------- noise of the VAEs


def test_evaluation_noise_belongs_to_the_example():
    data = with_latent_noise(stand_in("mnist", 64))
    plain, split = data(), data(valid_size=16)
    images = stand_in("mnist", 64)()
    order = torch.tensor([5, 3, 3, 60])
    noise = torch.from_numpy(np.random.RandomState(45).normal(size=(64, 8)).astype(np.float32))
    first = next(plain.train.batches(order, 4))
    assert torch.equal(first.y, noise[order])
    assert torch.equal(first.x, next(images.train.batches(order, 4)).x)

    def by_image(*splits) -> dict[bytes, list[float]]:
        batches = [next(s.batches(torch.arange(len(s)), len(s))) for s in splits]
        return {
            x.numpy().tobytes(): y.tolist()
            for batch in batches
            for x, y in zip(batch.x, batch.y, strict=True)
        }

    everywhere = by_image(plain.train)
    assert len(everywhere) == 64
    assert by_image(split.train, split.valid) == everywhere
    assert by_image(plain.train_eval).items() <= everywhere.items()
    assert split.train.y is split.train_eval.y is split.valid.y
    test = next(plain.test.batches(torch.arange(32), 32)).y
    assert torch.equal(test, latent_noise(100, 46)[:32])
    assert not torch.equal(test[:8], first.y[:1].expand(8, 8))


def test_evaluation_of_a_vae_does_not_depend_on_batch_size_and_order(datasets):
    problem = CATALOG["fmnist_vae"]
    split = problem.stand_in().test
    model = problem.model().double()
    rows, options = torch.arange(20), {"dtype": torch.float64}
    expected = evaluate(problem, model, split, order=rows, **options)
    found = evaluate(problem, model, split, order=rows.flip(0), batch_size=7, **options)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_vae_draws_fresh_noise_in_training():
    problem = CATALOG["mnist_vae"]
    batch = next(problem.stand_in().train.batches(torch.arange(2), 2))
    torch.manual_seed(0)
    model = problem.model().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        first, second = (problem.losses(model, batch)[0] for _ in range(2))
    assert (first != second).all()


def test_evaluation_noise_wants_a_table():
    def listed(root=None, *, valid_size=0, recipe="standard"):
        table = Table(torch.zeros(2, 1), torch.zeros(2))
        return Dataset(train=[1], train_eval=table, valid=None, test=table, name="mine")

    with pytest.raises(TypeError, match=r"belongs to stored rows.*got a list"):
        with_latent_noise(listed)()


# ---------------------------------------------------------------------------------- first losses


def first_loss(name: str, split: str = "test") -> float:
    """Return the loss of the untrained model on the real data; for what needs no download."""
    problem = CATALOG[name]
    return evaluate(problem, problem.model(), problem.data().split(split))["loss"]


def test_untrained_functions_have_their_analytic_values():
    assert first_loss("two_d_rosenbrock") == pytest.approx(1.5**2 + 100 * 1.25**2, rel=1e-6)
    u, v = -4.5, 4.5
    beale = (1.5 - u + u * v) ** 2 + (2.25 - u + u * v**2) ** 2 + (2.625 - u + u * v**3) ** 2
    assert first_loss("two_d_beale") == pytest.approx(beale, rel=1e-6)
    u, v = 2.5, 12.5
    valley = v - 5.1 / (4 * math.pi**2) * u**2 + 5 / math.pi * u - 6
    branin = valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(u) + 10
    assert first_loss("two_d_branin") == pytest.approx(branin, rel=1e-6)
    # Half the trace term of the noise, plus the value at ones without noise.
    hessian = CATALOG["quadratic_deep"].model().hessian
    mean = 0.5 * (hessian.sum() + 0.36 * hessian.trace()).item()
    assert first_loss("quadratic_deep", "train") == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize(
    ("name", "classes", "tolerance"),
    [
        ("mnist_logreg", 10, 1e-6),  # all weights are zero
        ("fmnist_logreg", 10, 1e-6),
        ("mnist_mlp", 10, 0.05),
        ("mnist_2c2d", 10, 0.3),
        ("cifar10_3c3d", 10, 0.3),
        ("cifar100_3c3d", 100, 0.3),
        ("cifar100_allcnnc", 100, 0.1),
        ("svhn_wrn164", 10, 0.3),
        ("tolstoi_char_rnn", 83, 0.02),
    ],
)
def test_untrained_classifiers_know_nothing(name, classes, tolerance):
    problem = CATALOG[name]
    data = problem.stand_in()
    torch.manual_seed(0)
    model = problem.model()
    order = evaluation_order(data, data.test, 32)[:64]
    found = evaluate(problem, model, data.test, batch_size=32, order=order)
    assert found["loss"] == pytest.approx(math.log(classes), abs=tolerance)
    assert found["accuracy"] < 0.4
