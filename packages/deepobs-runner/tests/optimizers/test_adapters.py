"""Optimizers of other packages under bare names."""

import copy
import inspect
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from deepobs_data import Dataset
from deepobs_data.table import Table
from deepobs_problems import Defaults, Problem
from deepobs_runner import Execution, RunConfig, resolve_config, run
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import Requirement
from deepobs_runner.optimizers import (
    ADAPTERS,
    Adapter,
    NoMatricesWarning,
    adapters,
    find_optimizer,
    hyperparameters_of,
    installed_optimizers,
    known_optimizers,
    make_optimizer,
    resolve_hyperparams,
    source_hash,
)
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.schedules import Cosine

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
MATRICES = [name for name, adapter in ADAPTERS.items() if adapter.matrices]


def pictures(root=None, *, valid_size=0, recipe="standard"):
    """Return 64 random pictures of 3 classes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 1, 6, 6, generator=generator)
    y = (x.flatten(1) @ torch.randn(36, 3, generator=generator)).argmax(dim=1)
    split = Table(x, y)
    return Dataset(train=split, train_eval=split, valid=None, test=split)


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8),
        nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.fixture
def cnn():
    """Return a problem with convolution kernel, hidden matrix, head, norm and biases."""
    return Problem(
        name="cnn",
        data=pictures,
        model=small_cnn,
        l2=1e-3,
        defaults=Defaults(batch_size=16, epochs=3),
    )


def available(name):
    """Return an adapter's default rate; skip the test without its package."""
    if ADAPTERS[name].requires is not None:
        pytest.importorskip(ADAPTERS[name].source.partition(":")[0])
    elif not hasattr(torch.optim, ADAPTERS[name].source.partition(":")[2]):
        pytest.skip(f"torch {torch.__version__} has no {name}")
    return hyperparameters_of(find_optimizer(name))[0]["lr"]


def configure(problem, name, **settings):
    hyperparams = {"lr": available(name), **settings.pop("hyperparams", {})}
    config = RunConfig(problem=problem.name, optimizer=name, hyperparams=hyperparams, **settings)
    return resolve_config(config, problem)


def objectives(result):
    return [float(value) for value in result.series("train_eval", "objective")]


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.filterwarnings("ignore::deepobs_runner.optimizers.weight_decay.DoubleDecayWarning")
@pytest.mark.parametrize("name", ADAPTERS)
def test_each_runs_by_its_bare_name(name, cnn, tmp_path):
    config = configure(cnn, name)
    result = run(config, Execution(device="cpu", out=tmp_path), problem=cnn)
    assert result.status == "done"
    assert objectives(result)[-1] < objectives(result)[0]


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.filterwarnings("ignore::deepobs_runner.optimizers.weight_decay.DoubleDecayWarning")
@pytest.mark.parametrize("name", ["Lion", "Muon", "NorMuon", "SOAP", "ScheduleFreeAdamW", "Sophia"])
def test_each_goes_on_from_a_checkpoint(name, cnn, tmp_path):
    config = configure(cnn, name, schedule=Cosine())
    whole = run(config, Execution(device="cpu", out=tmp_path / "whole"), problem=cnn)
    part = Execution(device="cpu", out=tmp_path / "part", resume=True)
    run(config, part, problem=cnn, on_record=lambda r: "stop" if r.epoch == 1 else None)
    rest = run(config, part, problem=cnn)
    assert objectives(rest) == objectives(whole)
    assert [r["lr"] for r in rest.records] == [r["lr"] for r in whole.records]


@needs_muon
def test_muon_trains_flattened_kernels_and_adamw_the_rest(cnn):
    """Equal to both optimizers by hand, the kernel copied to a matrix and back."""
    torch.manual_seed(0)
    model = cnn.model()
    twin = copy.deepcopy(model)
    options = {"lr": 0.02, "momentum": 0.9, "adamw_lr": 0.003, "adamw_betas": [0.8, 0.9]}
    optimizer = make_optimizer("Muon", resolve_hyperparams("Muon", options), nn.Module.parameters)(
        model
    )
    data = pictures().train

    kernel = nn.Parameter(twin[0].weight.detach().reshape(4, 9).clone())
    matrices = [kernel, twin[4].weight]
    hidden = {id(twin[0].weight), id(twin[4].weight)}
    rest = [p for p in twin.parameters() if id(p) not in hidden]
    muon = torch.optim.Muon(matrices, lr=0.02, momentum=0.9)
    adamw = torch.optim.AdamW(rest, lr=0.003, betas=(0.8, 0.9))

    def closure():
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(data.x), data.y)
        loss.backward()
        return loss

    for _ in range(3):
        before = model[0].weight.data_ptr()
        optimizer.step(closure)
        assert model[0].weight.data_ptr() == before
        assert model[0].weight.grad.shape == model[0].weight.shape == (4, 1, 3, 3)
        twin.zero_grad()
        nn.functional.cross_entropy(twin(data.x), data.y).backward()
        kernel.grad = twin[0].weight.grad.reshape(4, 9)
        muon.step()
        adamw.step()
        twin[0].weight.data.copy_(kernel.detach().view(4, 1, 3, 3))
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", MATRICES)
def test_both_rates_are_scheduled(name, cnn, tmp_path):
    config = configure(
        cnn, name, hyperparams={"lr": 0.02, "adamw_lr": 0.01}, schedule=Cosine(), epochs=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run(config, Execution(device="cpu", out=tmp_path), problem=cnn)
    # The record's rate is that of the epoch's last step.
    factors = [1, Cosine().factor(3, 4, 8), Cosine().factor(7, 4, 8)]
    assert [r["lr"] for r in result.records] == [
        [pytest.approx(0.02 * factor), pytest.approx(0.01 * factor)] for factor in factors
    ]


@needs_muon
def test_parameter_groups_keep_their_options_on_both_sides(cnn):
    config = configure(cnn, "Muon", l2_via="optimizer", l2=0.3)
    groups = optimizer_of(config, cnn)(cnn.model()).param_groups
    sizes = [(len(group["params"]), group["weight_decay"]) for group in groups]
    assert sizes == [(2, 0.3), (1, 0.3), (5, 0.0)]  # matrices; head; biases and norm
    assert {group["lr"] for group in groups} == {0.001}


@needs_muon
def test_frozen_and_complex_weights_are_no_matrices(cnn):
    model = cnn.model()
    model[0].weight.requires_grad_(False)
    model.register_parameter("spectrum", nn.Parameter(torch.ones(3, 3, dtype=torch.complex64)))
    config = configure(cnn, "Muon")
    muon, adamw = optimizer_of(config, cnn)(model).param_groups
    assert [p.shape for p in muon["params"]] == [(8, 64)]
    assert len(adamw["params"]) == 7


@needs_muon
@pytest.mark.parametrize("model", [nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Embedding(3, 2)])
def test_a_network_without_hidden_matrices_is_said(model):
    make = make_optimizer("Muon", {"lr": 0.1}, nn.Module.parameters)
    with pytest.warns(NoMatricesWarning, match="AdamW trains all of it at adamw_lr"):
        optimizer = make(model)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3]


@needs_muon
def test_muon_of_all_matrices_gets_embeddings_and_the_head(cnn):
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    make = make_optimizer("MuonAll", {"lr": 0.1}, nn.Module.parameters)
    muon, adamw = make(model).param_groups
    assert [p.shape for p in muon["params"]] == [(5, 4), (4, 4), (3, 4)]
    assert {p.ndim for p in adamw["params"]} == {1}
    with pytest.warns(NoMatricesWarning, match="no embedding or head or hidden matrices"):
        make(nn.BatchNorm1d(3))


@needs_muon
def test_a_network_of_matrices_alone_needs_no_adamw():
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False))
    make = make_optimizer("Muon", {"lr": 0.1}, lambda m: [m[0].weight])
    (group,) = make(model).param_groups
    assert [p.shape for p in group["params"]] == [(3, 2)]


@pytest.mark.parametrize("name", ADAPTERS)
def test_hyperparameters_are_those_of_the_class_and_no_others(name):
    rate = available(name)
    with pytest.raises(UsageError, match="has no hyperparameter 'beta_s'"):
        resolve_hyperparams(name, {"lr": rate, "beta_s": 0.9})
    with pytest.raises(UsageError, match="needs a learning rate"):
        resolve_hyperparams(name, {})
    resolved = resolve_hyperparams(name, {"lr": 1})
    assert repr(resolved["lr"]) == "1.0"
    own = {"adamw_lr", "adamw_betas", "adamw_weight_decay"} if ADAPTERS[name].matrices else set()
    assert {key for key in resolved if key.startswith("adamw_")} == own


def test_they_are_known_and_no_name_of_torch_is_hidden():
    assert set(ADAPTERS) <= set(known_optimizers())
    assert {name for name in ADAPTERS if hasattr(torch.optim, name)} <= {"Muon"}
    assert source_hash("Lion") == ""


@pytest.mark.parametrize("name", [n for n, a in ADAPTERS.items() if a.requires is not None])
def test_a_missing_package_names_the_extra(name, monkeypatch):
    monkeypatch.setattr(adapters, "is_installed", lambda package: False)
    with pytest.raises(UsageError) as error:
        find_optimizer(name)
    assert f"{name} needs the package {ADAPTERS[name].requires.package}" in str(error.value)
    assert 'pip install "deepobs-runner[optimizers]"' in str(error.value)


@pytest.mark.parametrize(
    ("row", "package"),
    [
        (Adapter(source="torch.optim:Muon3", reference=""), "torch"),
        (Adapter(source="yaml:Gone", requires=Requirement("pyyaml", "x"), reference=""), "pyyaml"),
    ],
)
def test_a_release_without_the_class_says_which_to_update(row, package):
    with pytest.raises(UsageError, match=f"pip install -U {package}"):
        row.check("Mine")


PLUGIN = """
import torch
from deepobs_runner.optimizers import Adapter

class Mine(torch.optim.SGD):
    pass

def factory(model, lr):
    return torch.optim.SGD(model.parameters(), lr=lr)

ROW = Adapter(source="torch.optim:SGD", defaults={"momentum": 0.5}, reference="")
NOTHING = 3
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a package with entry points; return its file."""
    path = tmp_path / "my_plugin_of_optimizers.py"
    path.write_text(PLUGIN)
    lines = [
        f"{name} = my_plugin_of_optimizers:{found}"
        for name, found in {
            "Mine": "Mine", "from-model": "factory", "Row": "ROW", "SGD": "Mine", "Bad": "NOTHING"
        }.items()
    ]  # fmt: skip
    info = tmp_path / "my_plugin_of_optimizers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_plugin_of_optimizers\n")
    (info / "entry_points.txt").write_text("[deepobs.optimizers]\n" + "\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_plugin_of_optimizers", raising=False)
    return path


@pytest.mark.parametrize(("name", "momentum"), [("Mine", 0), ("from-model", 0), ("Row", 0.5)])
def test_entry_points_of_other_packages(name, momentum, plugin):
    resolved = resolve_hyperparams(name, {"lr": 0.1})
    optimizer = make_optimizer(name, resolved, nn.Module.parameters)(nn.Linear(2, 1))
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["momentum"] == momentum
    assert source_hash(name) == source_hash(f"{plugin}:Mine") != ""


def test_entry_points_do_not_replace_what_is_known(plugin):
    assert find_optimizer("SGD") is torch.optim.SGD
    assert sorted(installed_optimizers()) == ["Bad", "Mine", "Row", "from-model"]
    with pytest.raises(UsageError, match=r"Unknown optimizer 'Mime'.*Mine"):
        find_optimizer("Mime")
    with pytest.raises(UsageError, match="Bad is not a valid optimizer"):
        find_optimizer("Bad")


def test_the_extra_installs_what_adapters_need():
    wanted = {a.requires.package for a in ADAPTERS.values() if a.requires is not None}
    package = Path(inspect.getfile(Adapter)).parents[3]
    declared = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    extra = declared["optional-dependencies"]["optimizers"]
    assert {requirement.partition(">=")[0] for requirement in extra} == wanted
