"""The problems after 2019 against closed forms, exact recursions and published numbers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_data import Batch
from deepobs_data.datasets.bigram import frequencies
from deepobs_data.datasets.burgers import burgers_solution
from deepobs_problems import CATALOG, evaluate
from deepobs_problems.modern import bigram

DOUBLE = {"dtype": torch.float64}


def whole_batch(problem, name="train"):
    split = problem.data().split(name)
    return next(split.batches(torch.arange(len(split)), len(split)))


def double_model(problem):
    model = problem.model().double()
    for buffer in model.buffers():
        if buffer.is_floating_point() and hasattr(model, "reset_parameters"):
            model.reset_parameters()  # in float64, too
            break
    return model


def descend(problem, model, batch, rate):
    """Take a step of gradient descent."""
    objective = problem.objective(model, batch)[0]
    gradients = torch.autograd.grad(objective, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= rate * gradient


# ----------------------------------------------------------------------------------------- bigrams


@pytest.mark.parametrize(
    ("name", "excess", "least"),
    [
        ("bigram_zipf", 1.7167442456496, bigram.entropy()),
        ("bigram_zipf_sgd", 1.7167442456496, bigram.entropy()),
        ("bigram_zipf_l2", 0.014669532835307126, 0.48533046716469286),
        ("bigram_zipf_l2_sgd", 0.014669532835307126, 0.48533046716469286),
    ],
)
def test_the_first_excess_is_known(name, excess, least):
    problem = CATALOG[name]
    found = evaluate(problem, double_model(problem), problem.data().test, **DOUBLE)
    assert found["excess"] == pytest.approx(excess, rel=1e-11)
    assert found["loss"] == pytest.approx(excess + least, rel=1e-12)


def test_the_optimum_has_no_excess():
    log = whole_batch(CATALOG["bigram_zipf"]).y[:, 1]
    for name, best in (("bigram_zipf", log), ("bigram_zipf_l2", log.exp())):
        problem = CATALOG[name]
        model = double_model(problem)
        with torch.no_grad():
            model.logits.weight.copy_(best)
        found = evaluate(problem, model, problem.data().test, **DOUBLE)
        assert abs(found["excess"]) < 1e-14
        batch = whole_batch(problem)
        model.zero_grad()
        problem.objective(model, batch)[0].backward()
        assert model.logits.weight.grad.abs().max() < 1e-16


def test_drawn_pairs_have_the_loss_of_the_population():
    """In expectation over the next token, value and excess, of any model."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(1, 1000, generator=generator, dtype=torch.float64)
    y = whole_batch(CATALOG["bigram_zipf"]).y[7:8]
    weight = y[:, 0].sum()
    tokens = torch.arange(1000)
    for name in ("bigram_zipf", "bigram_zipf_l2"):
        problem = CATALOG[name]
        for function in (problem.loss, problem.metrics["excess"]):
            drawn = function(output.expand(1000, -1), Batch(tokens, tokens))
            expected = (drawn * y[0, 1].exp()).sum() * weight
            found = function(output, Batch(tokens[7:8], y))
            torch.testing.assert_close(found[0], expected, rtol=1e-12, atol=0)


SHARES = frequencies()
S = np.square(SHARES).sum()


@pytest.mark.parametrize(
    ("steps", "relative"),
    [(10, 0.4449167134500057), (100, 0.16306331905218485), (1000, 0.00652820234622371)],
)
def test_gradient_descent_on_squares_follows_the_closed_form(steps, relative):
    rate = 1 / SHARES[0]
    theory = (SHARES * (1 - rate * SHARES) ** (2 * steps)).sum()
    assert theory == pytest.approx(relative, rel=1e-12)
    if steps > 10:  # a step costs 15 ms
        return
    problem = CATALOG["bigram_zipf_l2"]
    model, batch = double_model(problem), whole_batch(problem)
    for _ in range(steps):
        descend(problem, model, batch, rate)
    found = evaluate(problem, model, problem.data().test, **DOUBLE)
    assert found["excess"] / 0.014669532835307126 == pytest.approx(relative, rel=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("bigram_zipf", 1e-6), ("bigram_lowrank", 0.22)])
def test_reference_setting_of_a_population_ends_low(name, most):
    """Adam, 200 steps, linear decay: a plain loop."""
    problem = CATALOG[name]
    defaults, batch = problem.defaults, problem.data().train[torch.arange(1000)]
    batch = Batch(batch.x, batch.y.float())
    torch.manual_seed(0)
    model = problem.model()
    optimizer = torch.optim.Adam(model.parameters(), **defaults.reference.hyperparams)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 200)
    for _ in range(200):
        optimizer.zero_grad()
        problem.objective(model, batch)[0].backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        excess = problem.measures(model(batch.x), batch)["excess"].double().mean()
    assert excess.item() < most


def steps_to(relative: float, vocabulary: int) -> int:
    shares = frequencies(vocabulary)
    decay, remaining, steps = (1 - shares / shares[0]) ** 2, shares.copy(), 0
    while remaining.sum() > relative:
        remaining *= decay
        steps += 1
    return steps


@pytest.mark.parametrize(
    ("vocabulary", "steps"), [(100, [2, 9, 27]), (1000, [7, 48, 187]), (10_000, [21, 256, 1361])]
)
def test_steps_grow_with_the_vocabulary(vocabulary, steps):
    """Of gradient descent with the largest stable rate of the classical bound, to an excess."""
    assert [steps_to(relative, vocabulary) for relative in (0.5, 0.25, 0.1)] == steps


def expected_excess(batch_size: int, rate: float, steps: int) -> float:
    """Expected excess of mini-batch SGD with replacement on the squares."""
    s = np.full_like(SHARES, S)
    spread = SHARES**2 + SHARES * (1 - SHARES) / batch_size
    keep = 1 - 2 * rate * SHARES + rate**2 * spread
    noise = rate**2 * SHARES * (1 - S) / batch_size
    for _ in range(steps):
        s = keep * s + noise
    return float(0.5 * (SHARES * s).sum())


STEPS = (10, 100, 1000, 2000)
EXPECTED = {
    (16, 0.135): (0.01378809394, 0.01057642386, 0.00675302539, 0.005644188465),
    (256, 1.109): (0.01057709031, 0.006475929828, 0.002738901775, 0.001913014413),
    (4096, 3.83): (0.007943009895, 0.003716683035, 0.0006503149044, 0.0003315011635),
}


@pytest.mark.parametrize(("batch_size", "rate"), EXPECTED)
def test_expected_excess_of_minibatch_sgd(batch_size, rate):
    found = [expected_excess(batch_size, rate, steps) for steps in STEPS]
    assert found == pytest.approx(EXPECTED[batch_size, rate], rel=1e-9)


def test_minibatch_sgd_has_the_expected_excess():
    """64 pairs a step, rate 2, through the problem: the exact value is 0.0107."""
    problem, found = CATALOG["bigram_zipf_l2_sgd"], []
    data = problem.data()
    for start in range(4):
        model = double_model(problem)
        rows = torch.arange(start * 6400, (start + 1) * 6400)
        for batch in data.train.batches(rows, 64):
            descend(problem, model, batch, 2.0)
        found.append(evaluate(problem, model, data.test, **DOUBLE)["excess"])
    expected = expected_excess(64, 2.0, 100)
    assert np.mean(found) == pytest.approx(expected, rel=0.04)
    assert expected_excess(64, 2.0, 500) == pytest.approx(0.0088896, abs=5e-8)


def best_steps(batch_size: int, relative: float = 0.25) -> int:
    """Fewest steps to a relative excess with a constant rate of at most one over the curvature."""

    def steps(rate: float, limit: int) -> int | None:
        spread = SHARES**2 + SHARES * (1 - SHARES) / batch_size
        keep = 1 - 2 * rate * SHARES + rate**2 * spread
        noise = rate**2 * SHARES * (1 - S) / batch_size
        s = np.full_like(SHARES, S)
        for step in range(1, limit + 1):
            s = keep * s + noise
            if (SHARES * s).sum() <= relative * S:
                return step
        return None

    best = 10_000
    for number in (30, 300):  # the finer grid stops where the best so far is reached
        for rate in np.geomspace(0.5, 1 / SHARES[0], number):
            best = min(best, steps(rate, best - 1) or best)
    return best


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(256, 484), (1024, 134), (4096, 61), (16_384, 51)]
)
def test_critical_batch_size(batch_size, steps):
    """Steps fall as one over the batch size until about 1000, and hardly any more after."""
    assert best_steps(batch_size) == pytest.approx(steps, rel=0.01)


def test_adam_is_faster_than_gradient_descent():
    """After 200 steps with a linear decay: 0.13 and 1e-8; after 30 here the order is as clear."""
    problem = CATALOG["bigram_zipf"]
    batch = whole_batch(problem)
    batch = Batch(batch.x, batch.y.float())
    found = {}
    for name, rate in (("SGD", 10**3), ("Adam", 1.0)):
        model = problem.model()
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=rate)
        for step in range(30):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / 30)
            optimizer.zero_grad()
            problem.objective(model, batch)[0].backward()
            optimizer.step()
        found[name] = evaluate(problem, model, problem.data().test)["excess"]
    assert found["SGD"] > 0.4
    assert found["Adam"] < 0.05


# ------------------------------------------------------------------------------- noisy quadratic


def expected_loss(batch_size: int, rate: float, steps: int, dimension: int = 1000) -> float:
    """Expected loss of SGD, by the recursion of mean and variance of each coordinate."""
    h = 1 / np.arange(1, dimension + 1)
    mean, variance = np.ones_like(h), np.zeros_like(h)
    for _ in range(steps):
        mean *= 1 - rate * h
        variance = (1 - rate * h) ** 2 * variance + rate**2 * h / batch_size
    return float(0.5 * (h * (mean**2 + variance)).sum())


@pytest.mark.parametrize(
    ("batch_size", "rate", "values"),
    [
        (1, 0.1, (3.74273543, 2.860401536, 1.781741903, 0.7701020249)),
        (16, 0.5, (3.74273543, 2.03772937, 0.9586537917, 0.1704293838)),
        (256, 1.0, (3.74273543, 1.670593216, 0.617772216, 0.03304892491)),
        (4096, 1.5, (3.74273543, 1.468160646, 0.4527572428, 0.007529987793)),
    ],
)
def test_expected_loss_of_the_noisy_quadratic(batch_size, rate, values):
    found = [expected_loss(batch_size, rate, steps) for steps in (0, 10, 100, 1000)]
    assert found == pytest.approx(values, rel=1e-9)


def test_sgd_on_the_noisy_quadratic_follows_the_recursion():
    """One pass over the data: 200 steps of 16 rows, three times, and the untrained value."""
    problem = CATALOG["quadratic_nqm"]
    data, found = problem.data(), []
    first = evaluate(problem, double_model(problem), data.test, **DOUBLE)
    assert first["loss"] == pytest.approx(3.742735430275170, rel=1e-12)
    for start in range(3):
        model = problem.model()
        rows = torch.arange(start * 3200, (start + 1) * 3200)
        for batch in data.train.batches(rows, 16):
            descend(problem, model, batch, 0.5)
        found.append(evaluate(problem, model, data.test)["loss"])
    assert np.mean(found) == pytest.approx(expected_loss(16, 0.5, 200), rel=0.03)


# --------------------------------------------------------------------------------------- Poisson


def test_the_value_of_the_zero_function():
    problem = CATALOG["poisson_pinn"]
    model = problem.model()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    data = problem.data()
    found = evaluate(problem, model, data.train_eval)
    assert found["loss"] == pytest.approx(104.49112954030109, rel=1e-12)
    found = evaluate(problem, model, data.test)
    assert found["relative_squared_error"] == pytest.approx(1, rel=1e-12)
    assert found["relative_error"] == pytest.approx(1, rel=1e-12)


def test_the_solution_has_no_loss():
    problem = CATALOG["poisson_pinn"]
    for name in ("train", "test"):
        batch = whole_batch(problem, name)
        u = torch.sin(math.pi * batch.x).prod(dim=1)
        output = torch.stack([u, -2 * math.pi**2 * u], dim=1)
        assert problem.loss(output, batch).abs().max() < 1e-20
        assert problem.metrics["relative_squared_error"](output, batch).max() < 1e-20


def test_the_loss_is_a_mean_residual_and_four_times_a_mean_boundary_term():
    torch.manual_seed(0)
    problem = CATALOG["poisson_pinn"]
    model, batch = problem.model(), whole_batch(problem)
    u, laplacian = model(batch.x).unbind(1)
    inside = batch.y[:, 0] > 0
    source = 2 * math.pi**2 * torch.sin(math.pi * batch.x).prod(1)
    residual = (laplacian + source)[inside].square().mean()
    boundary = 4 * u[~inside].square().mean()
    objective = problem.objective(model, batch)[0]
    torch.testing.assert_close(objective, residual + boundary, rtol=1e-12, atol=0)
    assert objective.dtype == torch.float64


def test_the_solution_of_burgers_equation_has_no_loss():
    """With derivatives of the solution by differences."""
    problem = CATALOG["burgers_pinn"]
    batch = whole_batch(problem)
    points, h = batch.x[(batch.x[:, 1] > 0.01) & (batch.x[:, 1] < 0.3)].numpy(), 1e-4
    u = burgers_solution(points)
    left, right, earlier, later = (
        burgers_solution(points + np.array(shift)) for shift in ((-h, 0), (h, 0), (0, -h), (0, h))
    )
    by_x, by_t = (right - left) / (2 * h), (later - earlier) / (2 * h)
    by_xx = (right - 2 * u + left) / h**2
    output = torch.from_numpy(np.stack([u, by_x, by_xx, by_t], axis=1))
    y = torch.from_numpy(np.stack([np.ones(len(u)), np.full(len(u), 9.0), u], axis=1))
    inner = batch._replace(x=torch.from_numpy(points), y=y)
    assert problem.loss(output, inner).mean() < 1e-6
    assert problem.metrics["relative_squared_error"](output, inner).max() == 0


def test_the_zero_function_of_burgers_equation():
    problem = CATALOG["burgers_pinn"]
    model = problem.model()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    batch = whole_batch(problem)
    known = batch.y[:, 1] > 0
    found = evaluate(problem, model, problem.data().train_eval)
    expected = batch.y[known, 2].square().mean().item()  # the equation has no residual
    assert found["loss"] == pytest.approx(expected, rel=1e-12)
    found = evaluate(problem, model, problem.data().test)
    assert found["relative_error"] == pytest.approx(1, rel=1e-12)


def test_lbfgs_solves_the_equation_to_a_percent():
    torch.manual_seed(0)
    problem = CATALOG["poisson_pinn"]
    model, batch = problem.model(), whole_batch(problem)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=500, history_size=50, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        objective = problem.objective(model, batch)[0]
        objective.backward()
        return objective

    optimizer.step(closure)
    assert evaluate(problem, model, problem.data().test)["relative_error"] < 1e-2


# ------------------------------------------------------------------------------------------ texts


@pytest.mark.parametrize("name", [n for n in CATALOG if "chargpt" in n])
def test_texts_are_read_in_windows_from_a_random_phase(name):
    problem = CATALOG[name]
    data = problem.stand_in()
    assert data.order == "shuffled"
    assert data.augment is not None
    window = 64 if name.endswith("small") else 256
    vocabulary = 83 if name.startswith("tolstoi") else 65
    model = problem.model()
    assert model.position.num_embeddings == window
    assert model.token.num_embeddings == vocabulary
    batch = next(data.test.batches(torch.arange(2), 2))
    with torch.no_grad():
        losses = problem.losses(model.eval(), batch)[0]
    assert losses.mean().item() == pytest.approx(math.log(vocabulary), abs=0.2)


# ------------------------------------------------------------------------------------ diagnostics


def test_small_losses_keep_their_gradient():
    """In float32, the cross-entropy of a gap of 20 would be zero, and so its gradient."""
    problem = CATALOG["modadd_transformer"]
    logits = torch.zeros(1, 114)
    logits[0, 3] = 25.0
    logits.requires_grad_()
    loss = problem.loss(logits, Batch(logits, torch.tensor([3])))
    loss.sum().backward()
    assert loss.item() == pytest.approx(113 * math.exp(-25), rel=1e-6)
    assert logits.grad[0, 0].item() == pytest.approx(math.exp(-25), rel=1e-5)


def test_the_teacher_is_reached_by_its_own_weights():
    problem = CATALOG["attention_teacher"]
    data = problem.stand_in()
    model = problem.model()
    generator = torch.Generator().manual_seed(1729)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    assert evaluate(problem, model, data.test)["loss"] < 1e-6
