"""Run one configuration: the caller of `train` for everyone."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import nn

from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.cuda_graphs import check_graphs
from deepobs_runner.backend.distributed import ALONE, Ranks, joined
from deepobs_runner.backend.environment import environment
from deepobs_runner.backend.memory import explain_out_of_memory, is_out_of_memory
from deepobs_runner.backend.shared_draws import divides
from deepobs_runner.config import Execution, RunConfig, resolve
from deepobs_runner.errors import (
    DivergedError,
    FailedRunError,
    LostProcessError,
    RunLockedError,
    UsageError,
)
from deepobs_runner.optimizers import (
    MakeOptimizer,
    make_optimizer,
    resolve_hyperparams,
    source_hash,
)
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.results.result import FINISHED, RunResult, Status, jsonable
from deepobs_runner.results.store import load_result, remove_leftovers, save_result
from deepobs_runner.seeds import global_stream
from deepobs_runner.trackers import check_trackers
from deepobs_runner.trackers.tracking import Tracking
from deepobs_runner.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from deepobs_runner.training.loop import Record, train

SECONDS_BETWEEN_SAVES = 0.2
"""The file of a run is not rewritten more often: an epoch may take less time than its file."""

OnRecord = Callable[[Record], object]
"""Called with every record; a text that it returns ends the run, as the reason."""


class DoubleDecayWarning(UserWarning):
    """The weights are decayed twice: by the problem's regularizer and by the optimizer."""


def resolve_config(config: RunConfig, problem: Problem | None = None) -> RunConfig:
    """Return the configuration with every default filled in, checked against what exists.

    A learning rate that is not given is the tuned one of the official runs, if there is one for
    this problem and optimizer.

    Raises:
        UsageError, ProblemError: unknown problem, optimizer or hyperparameter, or no rate.
    """
    problem = load_problem(config.problem) if problem is None else problem
    hyperparams = resolve_hyperparams(
        config.optimizer,
        config.hyperparams,
        official_lr=official_learning_rate(problem.name, config.optimizer),
    )
    if config.l2_via == "optimizer":
        hyperparams = _without_weight_decay(config, hyperparams)
    return resolve(config, problem, hyperparams, source_hash(config.optimizer))


def _without_weight_decay(config: RunConfig, hyperparams: dict[str, Any]) -> dict[str, Any]:
    """Leave the decay to the parameter groups.

    Raises:
        UsageError: it is given as a hyperparameter too, or the optimizer knows no decay.
    """
    if config.hyperparams.get("weight_decay"):
        raise UsageError(
            "weight_decay is given, and l2_via=optimizer sets it from the problem's L2 as well. "
            "Use --l2 to choose the factor."
        )
    if "weight_decay" not in hyperparams:
        raise UsageError(
            f"{config.optimizer} has no weight_decay, so the L2 cannot go through it. Leave "
            "--l2-via at objective."
        )
    return {key: value for key, value in hyperparams.items() if key != "weight_decay"}


def double_decay(config: RunConfig) -> str | None:
    """Return a sentence if a resolved configuration decays the weights twice."""
    decay = config.hyperparams.get("weight_decay")
    if not decay or not config.l2 or config.l2_via == "optimizer":
        return None
    return (
        f"{config.optimizer} decays weights by {decay} and the objective of {config.problem} by "
        f"l2={config.l2}. To decay once, give weight_decay=0, --l2 0, or --l2-via optimizer."
    )


def resolve_world(config: RunConfig, ranks: Ranks, problem: Problem | None = None) -> RunConfig:
    """Return a resolved configuration with the number of processes, if that changes its numbers.

    Raises:
        UsageError: it is one of another number of processes, or a batch cannot be divided.
    """
    if ranks.size == 1 and config.world_size == 1:
        return config
    ranks.check(config.batch_size or 0)
    problem = load_problem(config.problem) if problem is None else problem
    with global_stream(config.seed, "init"):
        depends = divides(problem.model()) is not None
    wanted = ranks.size if depends else 1
    if config.world_size not in (1, wanted):
        raise UsageError(
            f"world_size is {config.world_size}, but the numbers of {config.problem} are those of "
            f"{wanted} here. Start as many processes with torchrun, or leave world_size out."
        )
    return replace(config, world_size=wanted)


def optimizer_of(config: RunConfig, problem: Problem) -> MakeOptimizer:
    """Return what builds the optimizer of a resolved configuration."""

    def groups(model: nn.Module) -> list[Any]:
        if config.l2_via == "optimizer":
            return list(problem.parameter_groups(model, config.l2))
        return [p for p in model.parameters() if p.requires_grad]

    return make_optimizer(config.optimizer, config.hyperparams, groups)


def run(
    config: RunConfig,
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    on_record: OnRecord | None = None,
    force: bool = False,
    ranks: Ranks = ALONE,
) -> RunResult:
    """Train one configuration and write its result as it goes on.

    The file is written after every epoch, but not more often than `SECONDS_BETWEEN_SAVES` says.

    A run that is finished already is read, not repeated. A run that diverges ends there and says
    so, also where an exception follows from numbers that are not finite. Any other exception after
    training has begun is recorded in the result, then raised; an interrupt (Ctrl-C, or SIGTERM on
    the command line) leaves a checkpoint of the last epoch that was completed.

    Args:
        config: what to run; defaults are resolved here.
        execution: where and how.
        problem: in place of the one that `config.problem` names.
        on_record: called with every record, which need not be in the file yet; if it returns a
            text, the run stops there and gives it as its reason.
        force: repeat a finished run and replace its result.
        ranks: the processes that train together, see `distributed.launched`; all call this alike.
            The first reads and writes the files and calls `on_record`.

    Raises:
        UsageError, ProblemError: before anything is trained, if something asked for does not
            exist or the results cannot be written.
        FailedRunError: memory ran out, or the optimizer does what this precision or compilation
            does not allow; the result says so, too.
        LostProcessError: another of the processes is gone.
    """
    began = time.perf_counter()
    execution = execution or Execution()
    problem = load_problem(config.problem) if problem is None else problem
    config = resolve_world(resolve_config(config, problem), ranks, problem)
    device = ranks.device(execution.device, config.precision)
    if ranks.size > 1 and execution.compile:
        raise UsageError(
            "Compiled training by several processes is not supported. Leave --compile out, or "
            "train on one device."
        )
    if execution.cuda_graphs:
        check_graphs(device, config.precision, ranks.size)
    check_trackers(execution.track)
    if ranks.first and (warning := double_decay(config)) is not None:
        warnings.warn(warning, DoubleDecayWarning, stacklevel=2)
    with joined(ranks, config.id, device) as ranks, ExitStack() as held:

        def begin() -> RunResult | Checkpoint | None:
            check_writable(execution.out)
            held.enter_context(alone(config, execution.out))
            return _look_for(config, execution, force)

        found = ranks.from_first(begin)
        if isinstance(found, RunResult):
            return found
        records = train(
            problem,
            optimizer_of(config, problem),
            config=config,
            execution=execution,
            resume=found,
            ranks=ranks,
        )
        facts = {**environment(device, execution), "world_size": ranks.size}
        started = RunResult(config=config, status="running", environment=facts)
        follower = Follower(
            started,
            execution,
            found,
            on_record,
            seconds_between_saves=SECONDS_BETWEEN_SAVES,
            began=began,
            ranks=ranks,
        )
        return follower.follow(records)


def _look_for(
    config: RunConfig, execution: Execution, force: bool
) -> RunResult | Checkpoint | None:
    """Return the finished result of a run, or the checkpoint to go on from; None: start anew."""
    remove_leftovers(config, execution.out)
    finished = None if force else finished_result(config, execution)
    if finished is not None:
        return finished
    checkpoint = None if force else _checkpoint_of(config, execution)
    if checkpoint is None:  # one of an earlier attempt does not fit the records to come
        checkpoint_path(execution.out, config.id).unlink(missing_ok=True)
    return checkpoint


def finished_result(config: RunConfig, execution: Execution) -> RunResult | None:
    """Return the finished result of a resolved configuration, None if there is none."""
    path = execution.out / f"{config.id}.json"
    if not path.exists():
        return None
    result = load_result(path)
    return result if is_finished(result, execution) else None


def is_finished(result: RunResult, execution: Execution) -> bool:
    """Whether there is nothing left to do for a run.

    Limits are no part of a run's identity, so a run that was stopped early is only finished for
    who asks for a limit again, and not for who wants to resume it.
    """
    limited = execution.time_limit is not None or execution.patience is not None
    if result.status == "stopped" and (execution.resume or not limited):
        return False
    return result.status in FINISHED


def _checkpoint_of(config: RunConfig, execution: Execution) -> Checkpoint | None:
    path = checkpoint_path(execution.out, config.id)
    if not execution.resume or not path.exists():
        return None
    return load_checkpoint(path, config.id)


class Follower:
    """Saves what a run yields and decides when it is over.

    Of several processes the first does so, and the others are told.

    Args:
        result: without records.
        execution: where, and when to stop or to write checkpoints.
        resumed: the checkpoint that training goes on from.
        on_record: called with every record.
        seconds_between_saves: leave the file as it is for so long.
        snapshots_last: those of the records may be called later; else they are at once.
        began: when the run was asked for, by `time.perf_counter`; None: now.
        ranks: the processes that train, joined.
    """

    def __init__(
        self,
        result: RunResult,
        execution: Execution,
        resumed: Checkpoint | None,
        on_record: OnRecord | None,
        *,
        seconds_between_saves: float = 0.0,
        snapshots_last: bool = False,
        began: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks = ranks
        self._began = time.perf_counter() if began is None else began
        self._received: float | None = None  # when the last record came
        self._result = result
        self._execution = execution
        self._on_record = on_record
        self._tracking = Tracking(execution.track, execution.out)
        self._asked_to_stop: object = None
        self._objectives: list[np.ndarray] = []
        self._latest: Callable[[], Checkpoint] | None = None  # of the last completed epoch
        self._seconds_between_saves = seconds_between_saves
        self._snapshots_last = snapshots_last
        self._unsaved = False
        self._started = self._checkpointed = time.monotonic()
        # A run alone writes its first record at once; many that are trained together wait.
        self._saved = self._started - SECONDS_BETWEEN_SAVES
        if resumed is not None and ranks.first:
            self._take_over(resumed)

    def follow(self, records: Iterator[Record]) -> RunResult:
        """Save the result after every record; return it finished.

        Raises:
            FailedRunError: training failed for a reason that a sentence says.
        """
        preparing = time.perf_counter() - self._began
        try:
            for record in records:
                self._received = time.perf_counter()
                ended = self._ranks.from_first(partial(self.take, record, preparing))
                if ended is not None:
                    return ended
                preparing = 0.0
        except DivergedError as error:
            self._received = None  # the epoch that was lost is on no clock
            return self._end("diverged", str(error))
        except (KeyboardInterrupt, LostProcessError):
            self.interrupt()
            raise
        except (Exception, SystemExit) as error:  # SystemExit: user code that calls sys.exit
            reason = self._explain(error)
            self.fail(reason or traceback.format_exc())
            if reason is not None:
                raise FailedRunError(reason) from error
            raise
        return self._ranks.from_first(self.complete)

    def take(self, record: Record, preparing: float = 0.0) -> RunResult | None:
        """Keep a record; return the result if the run is over before its planned end.

        Args:
            record: the next.
            preparing: seconds before training that belong to its `setup`.
        """
        self._keep(record, preparing)
        if not record.finite:
            return self._end("diverged")
        if (reason := self._reason_to_stop()) is not None:
            self._write_checkpoint()
            return self._end("stopped", reason)
        return None

    def complete(self) -> RunResult:
        """Return the result of a run that has come to its end."""
        return self._end("done")

    def interrupt(self) -> None:
        """Leave what the run can go on from."""
        self._write_checkpoint()
        self._tracking.end("running")

    def fail(self, error: str) -> None:
        """Store why the run ended; before its first record nothing was trained."""
        if self._result.records:
            self._write_checkpoint()
            self._end("failed", error)

    def _explain(self, error: BaseException) -> str | None:
        """Return why training failed in a sentence; None if only the traceback says."""
        if is_out_of_memory(error):
            device = self._ranks.device(self._execution.device)
            return explain_out_of_memory(error, self._result.config, device)
        if isinstance(error, UsageError) and self._result.records:
            return str(error)
        return None

    def _take_over(self, checkpoint: Checkpoint) -> None:
        """Keep the records up to the checkpoint; later epochs are trained again."""
        path = self._execution.out / f"{checkpoint.run_id}.json"
        old = load_result(path)
        kept = tuple(r for r in old.records if r["epoch"] <= checkpoint.epoch)
        objectives = old.step_objectives()[: checkpoint.steps]
        epochs = [record["epoch"] for record in kept]
        if epochs != list(range(checkpoint.epoch + 1)) or len(objectives) != checkpoint.steps:
            raise UsageError(
                f"{path} does not hold what its checkpoint of epoch {checkpoint.epoch} goes on "
                "from. Run without --resume to start anew."
            )
        self._result = replace(self._result, records=kept)
        self._objectives = [objectives]
        self._latest = lambda: checkpoint

    def _keep(self, record: Record, preparing: float) -> None:
        if len(record.step_objectives):
            self._objectives.append(record.step_objectives)
        stored = record_to_json(record)
        stored["clocks"]["setup"] += preparing
        records = (*self._result.records, stored)
        # Before the file is written: who sees a record there finds a checkpoint after an interrupt.
        latest = _held(record.snapshot, self._snapshots_last)
        self._result, self._unsaved = replace(self._result, records=records), True
        self._latest = latest
        if time.monotonic() - self._saved >= self._seconds_between_saves:
            self._save()
        if self._checkpoint_is_due(record.epoch):
            self._write_checkpoint()
        self._tracking.record(self._result, self._objectives)
        if self._on_record is not None:
            self._asked_to_stop = self._on_record(record)

    def _checkpoint_is_due(self, epoch: int) -> bool:
        every = self._execution.checkpoint_epochs
        if every is not None and epoch and epoch % every == 0:
            return True
        return time.monotonic() - self._checkpointed >= 60 * self._execution.checkpoint_minutes

    def _write_checkpoint(self) -> None:
        if self._latest is not None:
            if self._unsaved:  # a checkpoint goes on from the records that are stored
                self._save()
            save_checkpoint(self._latest(), self._execution.out)
            self._checkpointed = time.monotonic()

    def _reason_to_stop(self) -> str | None:
        """Return why the run should stop now, None if it should not."""
        last = self._result.records[-1]
        if last["epoch"] == self._result.config.epochs:
            return None
        if isinstance(self._asked_to_stop, str):
            return self._asked_to_stop
        limit, patience = self._execution.time_limit, self._execution.patience
        if limit is not None and time.monotonic() - self._started >= limit:
            return f"the time limit of {limit:g} s was reached"
        if patience is not None:
            split = "valid" if "valid" in last["metrics"] else "train_eval"
            objectives = self._result.series(split, "objective")
            best = int(np.nanargmin(objectives))
            if len(objectives) - 1 - best >= patience:
                return f"no lower objective on {split} for {patience} epochs"
        return None

    def _end(self, status: Status, error: str | None = None) -> RunResult:
        if status in FINISHED and self._received is not None:
            self._add_to_last_clock("checkpoint", time.perf_counter() - self._received)
        self._result = replace(self._result, status=status, error=error)
        result = self._save()
        if status in ("done", "diverged"):  # there is nothing to go on with
            checkpoint_path(self._execution.out, self._result.config.id).unlink(missing_ok=True)
        self._tracking.end(status)
        return result

    def _add_to_last_clock(self, activity: str, seconds: float) -> None:
        *earlier, last = self._result.records
        clocks = {**last["clocks"], activity: last["clocks"][activity] + seconds}
        self._result = replace(self._result, records=(*earlier, {**last, "clocks": clocks}))

    def _save(self) -> RunResult:
        steps = np.concatenate(self._objectives) if self._objectives else np.zeros(0, np.float32)
        path = save_result(self._result, self._execution.out, steps)
        self._saved, self._unsaved = time.monotonic(), False
        return replace(self._result, path=path)


def _held(snapshot: Callable[[], Checkpoint], lasts: bool) -> Callable[[], Checkpoint]:
    """Return what gives the checkpoint of now, whenever it is called."""
    if lasts:
        return snapshot
    taken = snapshot()
    return lambda: taken


def record_to_json(record: Record) -> dict[str, Any]:
    """Return a record as the result file holds it."""
    fields = (
        "epoch", "steps", "steps_per_epoch", "lr", "clocks", "counters", "metrics", "telemetry"
    )  # fmt: skip
    converted: dict[str, Any] = jsonable({name: getattr(record, name) for name in fields})
    return converted


@contextmanager
def alone(config: RunConfig, folder: Path) -> Iterator[None]:
    """Hold the lock of a run's files.

    Raises:
        UsageError: another process holds it.
    """
    locks = folder / ".locks"
    locks.mkdir(exist_ok=True)
    try:
        with FileLock(locks / config.id, timeout=0):
            yield
    except Timeout:
        raise RunLockedError(
            f"Another process is running {config.id} in {folder}. Wait for it, or choose another "
            "folder with --out."
        ) from None
