"""Write the table of docs/models.md: which operations work on which network.

Run `python tools/model_operations.py`; `--only 3c3d --only wrn` prints the rows of some networks
instead, and `--column head` makes one column anew and takes the others from the page. The networks
are the small ones of the tests of deepobs-models. Needs torchvision, onnx, onnxscript and
onnxruntime; a cell fails, and with it the script, where an operation does not give the network's
own numbers.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import inspect
import logging
import math
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.func import functional_call, grad, vmap

import deepobs_models as dm

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
START = "<!-- Made by tools/model_operations.py; do not edit. -->"
END = "<!-- End of what tools/model_operations.py made. -->"


class NotApplicableError(Exception):
    """An operation makes no sense for a network; the text says why."""


def load_cases() -> list[Any]:
    """Return the networks of the tests, each with a way to build it and to draw its inputs."""
    path = ROOT / "packages" / "deepobs-models" / "tests" / "conftest.py"
    spec = importlib.util.spec_from_file_location("models_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return [*module.CASES, *module.SLOW_CASES]


def outputs(case: Any, model: Callable[..., Any], *inputs: Tensor) -> Tensor:
    """Return one number per example that depends on everything the network computes."""
    torch.manual_seed(0)
    result: Tensor = case.losses(model(*inputs))
    return result


def check_equal(case: Any, model: nn.Module, other: Callable[..., Any], batch: int = 2) -> None:
    """Raise an `AssertionError` where the other one's outputs are not the model's."""
    inputs = case.inputs(batch)
    with torch.no_grad():
        expected, actual = outputs(case, model, *inputs), outputs(case, other, *inputs)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


# ------------------------------------------------------------------------------------- operations


def trace(case: Any) -> None:
    """`torch.fx.symbolic_trace`, after dead code elimination."""
    model = case.model()
    graph = torch.fx.symbolic_trace(model)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    check_equal(case, model, graph)


def cut(case: Any) -> None:
    """`model[:k]` and `model[k:]` for every k."""
    model = case.model()
    if not isinstance(model, nn.Sequential):
        raise NotApplicableError("no sequence of layers")
    for k in range(1, len(model)):
        check_equal(case, model, nn.Sequential(model[:k], model[k:]))


def extract(case: Any) -> None:
    """`create_feature_extractor` of torchvision on all of `feature_info`."""
    from torchvision.models.feature_extraction import create_feature_extractor

    model = case.model()
    infos = getattr(model, "feature_info", [])
    if not infos:
        raise NotApplicableError("no `feature_info`")
    modules = [info["module"] for info in infos]
    found = create_feature_extractor(model, modules)(*case.inputs(2))
    assert [found[m].shape[1] for m in modules] == [info["num_chs"] for info in infos]


def replace_head(case: Any) -> None:
    """`get_classifier`, and `reset_classifier(3)`: three outputs afterwards."""
    model = case.model()
    if not hasattr(model, "reset_classifier"):
        raise NotApplicableError("no `reset_classifier`")
    before = model.get_classifier()
    model.reset_classifier(3)
    assert type(model.get_classifier()) is type(before)
    assert flat(model(*case.inputs(2)))[0].shape[-1] == 3


def split_at_head(case: Any) -> None:
    """`forward_head(forward_features(x))`: the network's output."""
    model = case.model()
    if not hasattr(model, "forward_features"):
        raise NotApplicableError("no `forward_features`")

    def whole(x: Tensor, *noise: Tensor) -> Any:
        features = model.forward_features(x)
        if isinstance(features, tuple):  # of a recurrent network, with its state
            return model.forward_head(features[0]), features[1]
        return model.forward_head(features, *noise)

    check_equal(case, model, whole)


def compile_whole(case: Any) -> None:
    """`torch.compile(fullgraph=True, backend="aot_eager")`, forward and backward."""
    model = case.model()
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        check_equal(case, model, compiled)
        outputs(case, compiled, *case.inputs(2)).mean().backward()


def dynamic_shapes(case: Any) -> tuple[dict[int, Any], ...]:
    """Return which dimensions of the inputs may vary: the batch, and sizes of any size."""
    batch = Dim("batch")
    first: dict[int, Any] = {0: batch}
    if case.name in ("wrn", "vgg", "inception"):
        # Below 5 pixels a layer of the Wide ResNet sees one, which torch takes for a constant.
        first |= {2: Dim("height", min=5), 3: Dim("width", min=5)}
    return (first, *({0: batch} for _ in case.inputs(2)[1:]))


def export(case: Any) -> None:
    """`torch.export` with a named batch, and height and width where the network takes any."""
    model = case.model()
    program = torch.export.export(model, case.inputs(2), dynamic_shapes=dynamic_shapes(case))
    for batch in (2, 5):
        check_equal(case, model, program.module(), batch)


def to_onnx(case: Any) -> None:
    """`torch.onnx.export`, run by ONNX Runtime."""
    import onnxruntime

    model = case.model()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        inputs = case.inputs(2)
        torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path)
        names = [node.name for node in session.get_inputs()]
        found = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    with torch.no_grad():
        expected = flat(model(*inputs))
    for actual, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(actual), wanted, rtol=1e-3, atol=1e-3)


def flat(output: Any) -> list[Tensor]:
    """Return the tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for part in output for tensor in flat(part)]


def reset_from_meta(case: Any) -> None:
    """From the meta device by `to_empty` and `reset_parameters`: the same distribution (KS)."""
    torch.manual_seed(1)
    fresh = case.build()
    with torch.device("meta"):
        model = case.build()
    if isinstance(model, dm.Quadratic):
        raise NotApplicableError("its Hessian is an argument, which no reset can draw")
    torch.manual_seed(2)
    model = model.to_empty(device="cpu")
    model.reset_parameters() if hasattr(model, "reset_parameters") else dm.reset_parameters(model)
    for (name, a), b in zip(fresh.named_parameters(), model.parameters(), strict=True):
        distance, critical = kolmogorov_smirnov(a.detach().flatten(), b.detach().flatten())
        assert distance <= critical, f"{name}: {distance} > {critical}"
    for (name, a), b in zip(fresh.named_buffers(), model.buffers(), strict=True):
        assert torch.equal(a, b), name


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return the distance of two samples' distributions, and what one in a million exceeds."""
    a, b = a[:100_000].double().sort().values, b[:100_000].double().sort().values
    both = torch.cat([a, b])
    below = [torch.searchsorted(x, both, right=True) / len(x) for x in (a, b)]
    critical = math.sqrt(-math.log(1e-6 / 2) / 2 * (1 / len(a) + 1 / len(b)))
    return (below[0] - below[1]).abs().max().item(), critical


def per_example(case: Any) -> None:
    """`vmap(grad(...))`: the mean over the examples is the gradient of the batch."""
    model, inputs = case.model(), case.inputs(3)
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, Tensor], *examples: Tensor) -> Tensor:
        output = functional_call(model, parameters, examples)
        return case.losses(output).mean()  # type: ignore[no-any-return]

    def one(parameters: dict[str, Tensor], *example: Tensor) -> Tensor:
        return loss(parameters, *(value.unsqueeze(0) for value in example))

    found = vmap(grad(one), (None,) + (0,) * len(inputs))(parameters, *inputs)
    for name, expected in grad(loss)(parameters, *inputs).items():
        tolerance = 1e-4 * expected.abs().max().item() + 1e-5
        torch.testing.assert_close(found[name].mean(0), expected, rtol=1e-3, atol=tolerance)


def copied(case: Any) -> None:
    """`copy.deepcopy`: the same outputs, and a reset that leaves the original alone."""
    model = case.model()
    other = copy.deepcopy(model)
    check_equal(case, model, other)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other.reset_parameters() if hasattr(other, "reset_parameters") else dm.reset_parameters(other)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def data_parallel(case: Any) -> None:
    """`DistributedDataParallel` on two processes (gloo): the gradient of the whole batch."""
    model, inputs = case.model(), case.inputs(4)
    case.losses(model(*inputs)).mean().backward()
    expected = [p.grad for p in model.parameters() if p.requires_grad]
    for actual, wanted in zip(gradients_of_two_processes()[case.name], expected, strict=True):
        assert wanted is not None
        tolerance = 1e-4 * wanted.abs().max().item() + 1e-6
        torch.testing.assert_close(actual, wanted, rtol=1e-3, atol=tolerance)


@cache
def gradients_of_two_processes() -> dict[str, list[Tensor]]:
    """Return the gradients of every network, each of two processes having half of the batch."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(run_rank, args=(folder,), nprocs=2)
        found: dict[str, list[Tensor]] = torch.load(f"{folder}/gradients.pt")
    return found


def run_rank(rank: int, folder: str) -> None:
    """Be one of the two processes; the first one saves the gradients."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    gradients = {}
    for case in load_cases():
        model = nn.parallel.DistributedDataParallel(case.model())
        half = [x[2 * rank : 2 * rank + 2] for x in case.inputs(4)]
        case.losses(model(*half)).mean().backward()
        gradients[case.name] = [p.grad for p in model.parameters() if p.requires_grad]
    if rank == 0:
        torch.save(gradients, f"{folder}/gradients.pt")
    torch.distributed.destroy_process_group()


OPERATIONS: dict[str, Callable[[Any], None]] = {
    "fx": trace,
    "slices": cut,
    "features": extract,
    "head": replace_head,
    "forward_features": split_at_head,
    "compile": compile_whole,
    "export": export,
    "ONNX": to_onnx,
    "meta + reset": reset_from_meta,
    "vmap(grad)": per_example,
    "deepcopy": copied,
    "DDP": data_parallel,
}


def run(case: Any, names: Iterable[str] = tuple(OPERATIONS)) -> Iterator[tuple[str, str]]:
    """Yield operations and their outcomes: "yes", a reason in brackets, or the error."""
    for name in names:
        try:
            OPERATIONS[name](case)
            yield name, "yes"
        except NotApplicableError as reason:
            yield name, f"({reason})"
        except Exception as error:
            yield name, f"{type(error).__name__}: {error}".partition("\n")[0]


def render(outcomes: dict[str, dict[str, str]]) -> str:
    """Return the table in Markdown, with the reasons below it."""
    reasons: list[str] = []
    lines = [
        f"| network | {' | '.join(OPERATIONS)} |",
        f"| --- |{' --- |' * len(OPERATIONS)}",
    ]
    for network, cells in outcomes.items():
        row = []
        for outcome in cells.values():
            if outcome == "yes":
                row.append("✓")
                continue
            text = outcome.strip("()")
            if text not in reasons:
                reasons.append(text)
            row.append(f"{'—' if outcome.startswith('(') else '✗'} {reasons.index(text) + 1}")
        lines.append(f"| `{network}` | {' | '.join(row)} |")
    notes = [f"{number}. {text}" for number, text in enumerate(reasons, start=1)]
    operations = [f"* **{name}**: {inspect.getdoc(run)}" for name, run in OPERATIONS.items()]
    return "\n".join([*lines, "", *notes, "", "What each column runs:", "", *operations])


def parse(table: str) -> dict[str, dict[str, str]]:
    """Return the outcomes in a table that `render` made."""
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", table, re.M))
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]

    def outcome(cell: str) -> str:
        if cell == "✓":
            return "yes"
        mark, number = cell.split()
        return f"({reasons[number]})" if mark == "—" else reasons[number]

    return {
        row[0].strip("`"): dict(zip(head[1:], map(outcome, row[1:]), strict=True)) for row in rows
    }


def main() -> None:
    """Run everything, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", help="one network; may be repeated")
    parser.add_argument(
        "--column", action="append", choices=OPERATIONS, help="one operation; may be repeated"
    )
    options = parser.parse_args()
    only, columns = options.only, options.column or list(OPERATIONS)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    made = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    known = parse(made) if options.column else {}
    outcomes: dict[str, dict[str, str]] = {}
    for case in load_cases():
        if only is None or case.name in only:
            new = dict(run(case, columns))
            print(case.name, *(f"{k}: {v};" for k, v in new.items()), flush=True)
            found = known.get(case.name, {}) | new
            outcomes[case.name] = {name: found[name] for name in OPERATIONS if name in found}
    table = render(outcomes)
    if only is None:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")
    failed = [cell for row in outcomes.values() for cell in row.values() if cell[0] not in "(y"]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
