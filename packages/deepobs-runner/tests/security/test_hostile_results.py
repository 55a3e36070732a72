"""Results of somebody else with values that no run writes: the report still comes."""

import csv
import json
import lzma
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from runner_builders import SPLITS, run_of

from deepobs_runner.cli import main
from deepobs_runner.cli.messages import print_traceback
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.report.table import make_table, words
from deepobs_runner.report.text import csv_table, markdown_table
from deepobs_runner.results import baselines as sets
from deepobs_runner.results.result import provenance_of
from deepobs_runner.results.settings import settings_of
from deepobs_runner.results.store import encode_result, load_results
from deepobs_runner.text import HIDDEN

HUGE = 10**399
ESCAPE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"
HALF = "\udc80\ud800"


def plain(seed=9, **settings):
    """Return the JSON of a result."""
    return json.loads(encode_result(run_of(seed=seed, splits=SPLITS, per_epoch=1, **settings)))


def write(folder, data, name="hostile.json"):
    """Write a result that somebody made, with the id that belongs to its configuration."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):
        data["id"] = RunConfig.from_json(data["config"]).id
    (folder / name).write_text(json.dumps(data))


def changed(place, value, *more):
    """Return a function that writes a result in which some values are others."""

    def make(folder):
        data = plain()
        pairs = [place, value, *more]
        for where, new in zip(pairs[::2], pairs[1::2], strict=True):
            *parts, last = where.split(".")
            found = data
            for part in parts:
                found = found[int(part) if part.isdecimal() else part]
            found[int(last) if last.isdecimal() else last] = new
        write(folder, data)

    return make


def reordered(change):
    """Return a function that writes a result with other records."""

    def make(folder):
        data = plain()
        write(folder, {**data, "records": change(data["records"])})

    return make


def every(field, value):
    """Return a function that writes a result with one value in a field of all records."""
    return reordered(lambda records: [{**record, field: value} for record in records])


def content(text):
    """Return a function that writes a file of this content."""
    return lambda folder: (folder / "hostile.json").write_bytes(text)


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def pipe(folder):
    os.mkfifo(folder / "hostile.json")


def linked(target):
    return lambda folder: (folder / "hostile.json").symlink_to(target)


def sparse(folder):
    with (folder / "hostile.json").open("wb") as file:
        file.truncate(2**34)


LEFT_OUT = {
    "a rate of 400 digits": changed("config.hyperparams.lr", HUGE),
    "a negative rate of 400 digits": changed("config.hyperparams.lr", -HUGE),
    "a seed of 400 digits": changed("config.seed", HUGE),
    "a batch size of 400 digits": changed("config.batch_size", HUGE),
    "epochs of 40 digits": changed("config.epochs", 10**39),
    "an epoch of 400 digits": changed("records.1.epoch", HUGE),
    "steps of 30 digits": changed("records.1.steps", 10**29),
    "a loss of 400 digits": changed("records.1.metrics.test.loss", HUGE),
    "a clock of 400 digits": changed("records.1.clocks.evaluate", HUGE),
    "threads of 400 digits": changed("environment", {"threads": HUGE}),
    "a number of 5,000 digits": content(b'{"schema": ' + b"9" * 5000 + b"}"),
    "a schema of a fraction": changed("schema", 1.5),
    "lists 900 deep in a hyperparameter": changed("config.hyperparams.x", nested(900)),
    "lists 40 deep in the environment": changed("environment", {"x": nested(40)}),
    "lists 100,000 deep": content(b"[" * 100_000 + b"]" * 100_000),
    "objects 50,000 deep": content(b'{"schema": 1, "a": ' * 50_000),
    "half a surrogate pair in a metric": changed("records.1.metrics.test", {HALF: 1.0}),
    "a negative epoch": changed("records.1.epoch", -1),
    "a seed that is a text": changed("config.seed", "9"),
    "a problem that is a list": changed("config.problem", ["p"]),
    "a status with escapes": changed("status", ESCAPE),
    "a schedule without a kind": changed("config.schedule", {}),
    "a schedule of lists": changed("config.schedule", {"kind": "step", "epochs": ["a"]}),
    **{
        f"a source that is {value!r}": changed("environment", {"source": value})
        for value in (1, None, [], {"a": 1}, True, 1e300)
    },
    "records in reverse": reordered(lambda records: records[::-1]),
    "a record twice": reordered(lambda records: [*records, records[-1]]),
    "a record of epoch 0 at the end": reordered(lambda records: [*records, records[0]]),
    "a record beyond the epochs of the run": changed("config.epochs", 3, "records.1.epoch", 50),
    "a record beyond the steps of the run": changed("config.steps", 9, "records.1.steps", 10),
    "fewer steps than before": changed("records.0.steps", 10**5),
    "a second epoch of 2^62 steps": changed(
        "records.1.epoch", 2, "records.1.steps_per_epoch", 2**62
    ),
    "more steps than epochs have": changed("records.1.steps", 99, "records.1.steps_per_epoch", 7),
    "an optimizer of two million letters": changed("config.optimizer", "m:" + "W" * 2_000_000),
    "a problem of 10,001 letters": changed("config.problem", "p" * 10_001),
    "a hyperparameter of 20,000 letters": changed("config.hyperparams", {"x" * 20_000: 1.0}),
    "a machine of a million letters": changed("environment", {"device_name": "x" * 10**6}),
    "zero bytes": content(bytes(100)),
    "nothing": content(b""),
    "16 GiB": sparse,
    "a link to nothing": linked("nowhere"),
    "a link to itself": linked("hostile.json"),
    "a link to a device without end": linked("/dev/zero"),
    **({"a pipe": pipe} if hasattr(os, "mkfifo") else {}),
}
SHOWN = {
    "escapes in a problem": changed("config.problem", ESCAPE),
    "escapes in an optimizer": changed("config.optimizer", ESCAPE),
    "escapes in a hyperparameter": changed("config.hyperparams", {ESCAPE: ESCAPE, "lr": 0.1}),
    "escapes in a machine": changed("environment", {"device_name": ESCAPE, "system": ESCAPE}),
    "escapes in a metric": changed("records.1.metrics.test", {"objective": 1.0, ESCAPE: 1.0}),
    "escapes in an error": changed("error", ESCAPE),
    "escapes in a source": changed("environment", {"source": ESCAPE}),
    "half a surrogate pair in a problem": changed("config.problem", HALF),
    "half a surrogate pair in an optimizer": changed("config.optimizer", f"a{HALF}.py:b{HALF}"),
    "half a surrogate pair in a hyperparameter": changed("config.hyperparams.x", HALF),
    "half a surrogate pair in a machine": changed("environment", {"device_name": HALF}),
    "half a surrogate pair in a source": changed("environment", {"source": HALF}),
    "half a surrogate pair in an error": changed("error", HALF),
    "packages that are a number": changed("environment", {"packages": 3}),
    "a version that is a list": changed("environment", {"packages": {"torch": ["a"]}}),
    "threads that are a text": changed("environment", {"threads": "x"}),
    "a machine that is an object": changed("environment", {"device_name": {}}),
    "a problem of 300 letters": changed("config.problem", "p" * 300),
    "an optimizer of 300 letters": changed("config.optimizer", "O" * 300),
    "a metric of 3,000 letters": changed("records.1.metrics.test", {"m" * 3000: 1.0}),
    "broken mathematics in a problem": changed("config.problem", r"$\frac{$"),
    "broken mathematics in an optimizer": changed("config.optimizer", r"$\frac{$"),
    "markup in a problem": changed("config.problem", "<img src=x onerror=alert(1)>"),
    "the end of a script in an optimizer": changed("config.optimizer", "</script><script>"),
    "a formula in a problem": changed("config.problem", "=cmd|' /C calc'!A0"),
    "an empty problem": changed("config.problem", ""),
    "a problem of colons": changed("config.problem", "::"),
    "a rate that is a list": changed("config.hyperparams.lr", [0.1]),
    "a rate that is a text": changed("config.hyperparams.lr", "1e-3"),
    "a clock without a number": changed(
        "records.1.clocks", {"data": None, "forward_backward": 1.0, "optimizer": 1.0}
    ),
    "clocks that overflow": changed(
        "records.1.clocks", {"data": 1e308, "forward_backward": 1e308, "optimizer": 1e308}
    ),
    "values at the ends of floats": changed(
        "records.1.metrics.test", {"objective": -1.7e308, "loss": 5e-324}
    ),
    "telemetry of lists 900 deep": changed("records.1.telemetry", nested(900)),
    "UTF-16": content(json.dumps(plain()).encode("utf-16")),
    "an epoch of 2^62 steps": every("steps_per_epoch", 2**62),
    "a citation in an optimizer": changed("config.optimizer", "m:[@nobody2026]"),
    "a citation in a problem": changed("config.problem", "[@paszke2019] [@x]"),
    "a citation in a machine": changed("environment", {"device": "cpu", "device_name": "[@x]"}),
    "markup of the terminal in a problem": changed("config.problem", "[red]x[/red][/]"),
    "markup of the terminal in a hyperparameter": changed("config.hyperparams", {"[/]": "[/x]"}),
    "lines in an optimizer": changed("config.optimizer", "m:a\nwrote /etc/passwd\n"),
    "what formats obey in an optimizer": changed("config.optimizer", "m:{0} %s ${x} {{7*7}}"),
    "names of JavaScript in an optimizer": changed("config.optimizer", "__proto__"),
    "names of JavaScript in a metric": changed(
        "records.1.metrics.test", {"objective": 1.0, "__proto__": 1.0, "constructor": 1.0}
    ),
    "seeds far apart": changed("config.seed", 2**62),
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four results as they should be."""
    place = tmp_path / "results"
    place.mkdir()
    for seed in (1, 2):
        for optimizer in ("SGD", "Adam"):
            write(place, plain(seed, optimizer=optimizer), f"{optimizer}-{seed}.json")
    return place


def report(folder, capsys, *more):
    """Return what a report prints and writes."""
    words = ["report", str(folder), "--no-baselines", "--formats", "html,csv,latex", *more]
    assert main(words) == 0
    printed = capsys.readouterr()
    files = [path for path in (folder / "report").rglob("*") if path.is_file()]
    for text in (printed.out, printed.err, *(file.read_text("utf-8") for file in files)):
        assert HIDDEN.search(text) is None
    return printed


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_result_beyond_use_is_named_and_left_out(folder, capsys, case):
    LEFT_OUT[case](folder)
    printed = report(folder, capsys)
    assert "skipped: " in printed.err
    assert "hostile.json" in printed.err
    rows = (folder / "report" / "evaluations.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 * 2


@pytest.mark.parametrize("case", SHOWN)
def test_a_strange_result_is_shown(folder, capsys, case):
    SHOWN[case](folder)
    report(folder, capsys)
    rows = (folder / "report" / "evaluations.csv").read_text().splitlines()
    assert len(rows) == 1 + 5 * 2


def test_a_file_name_with_escapes_is_printed_without(folder, capsys):
    (folder / f"{ESCAPE.replace('/', '')}.json").write_text("{")
    assert "skipped: " in report(folder, capsys).err


@pytest.mark.parametrize("name", [r"$\frac{$", ESCAPE, HALF, "O" * 300])
def test_figures_of_strange_names_are_drawn(tmp_path, name):
    write(tmp_path, plain(1, problem="two_d_branin", optimizer=name), "a.json")
    write(tmp_path, plain(1, problem="two_d_branin"), "b.json")
    words = ["plot", str(tmp_path), "curves", "--no-baselines", "--out", str(tmp_path / "a.png")]
    assert main(words) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def table(text):
    return make_table("k", "K", text, [words("Name", "name")], [{"name": text}])


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+x", "-x", "@SUM(1)", "\t=1", " =1", "\x1b=1", "\r=1", "=HYPERLINK()"),
        *("\n=1", "\xa0=1", "\u3000@x", "\u2003\u202f+x", '"=1', "\xad=1", "\u2800=1", "\x85=1"),
        *("\uff1d1+1", "\uff0bx", "\uff20SUM(1)", "\uff0dx", "\ufe66x", "\u207ax"),
    ],
)
def test_no_cell_is_a_formula(text):
    [_, [cell]] = csv.reader(csv_table(table(text)).splitlines())
    assert cell.startswith("'")


@pytest.mark.parametrize("divider", ["\n", "\r", "\r\n", "\x0b", "\u2028", "\t", ";", "; ", "|"])
def test_no_part_of_a_cell_is_a_row_or_a_formula(divider):
    for text in (f"a{divider}=1+1", f'a"{divider}@SUM(1),b', f"a{divider}-x"):
        lines = csv_table(table(text)).splitlines()
        assert len(lines) == 2
        for part in re.split(r"[\t;|]", lines[1]):
            assert not re.match(r'[\s"\ufffd]*[=@-]', part)


@pytest.mark.parametrize("number", ["-1.5", "+2", "-1e-3", "-inf"])
def test_a_number_stays_a_number(number):
    assert csv_table(table(number)).splitlines()[-1] == number


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[x](javascript:y)", r"\[x](javascript:y)"),
        ("a|b", r"a\|b"),
        ("`a`", r"\`a\`"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("\x1b[2J", "\N{REPLACEMENT CHARACTER}\\[2J"),
        ("http://a.org WWW.a.org ftp://b.org", r"http\://a.org WWW\.a.org ftp\://b.org"),
        ("@user a@b.org", "@<!-- -->user a@<!-- -->b.org"),
        ("$x$ ~~y~~", r"\$x\$ \~\~y\~\~"),
    ],
)
def test_markdown_has_no_markup_of_results(text, shown):
    written = markdown_table(table(text))
    assert f"| {shown} |" in written
    assert written.endswith(f"\n{shown}\n")


@pytest.mark.parametrize("name", ["[2cm] x", "*x", "[", 'a"b'])
def test_no_name_is_an_argument_of_a_command_of_latex(name):
    written = table(name).to_latex()
    assert not re.search(r"(?:\\\\|rule)\s*[\[*]", written)
    assert "textquotedbl" not in written


def packed(folder, files, **contents):
    """Make a packed set of somebody else."""
    folder.mkdir()
    described = {"name": "theirs", "title": "t", "licence": "l", "files": files}
    (folder / "set.json").write_text(json.dumps(described))
    for name, written in contents.items():
        (folder / f"{name}.jsonl.xz").write_bytes(written)
    return folder


PACKED = {
    "an xz file of zeros": ({"p": "p.jsonl.xz"}, lzma.compress(bytes(2**20))),
    "an xz file cut short": ({"p": "p.jsonl.xz"}, lzma.compress(b"{}" * 1000)[:-20]),
    "no xz file": ({"p": "p.jsonl.xz"}, b"\x00" * 100),
    "a line 100,000 deep": ({"p": "p.jsonl.xz"}, lzma.compress(b"[" * 100_000)),
    "a file elsewhere": ({"p": "../p.jsonl.xz"}, b""),
    "an absolute path": ({"p": "/etc/hostname"}, b""),
    "no file": ({"p": "q.jsonl.xz"}, b""),
    "a damaged gzip file": ({"p": "p.jsonl.gz"}, b""),
}


@pytest.mark.parametrize("case", PACKED)
def test_a_hostile_set_is_refused(tmp_path, monkeypatch, capsys, case):
    monkeypatch.setattr(sets, "MOST_UNPACKED", 2**18)
    files, written = PACKED[case]
    folder = packed(tmp_path / "set", files, p=written)
    (folder / "p.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00" + b"\x07" * 40)
    assert main(["report", str(folder), "--out", str(tmp_path / "report")]) == 2
    assert "deepobs:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", '{"name": 1}', "\x00", '{"name": "a", "x": ' + "[" * 50_000]
)
def test_a_hostile_description_of_a_set_is_refused(tmp_path, text):
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(UsageError, match=r"set\.json"):
        sets.read_set(tmp_path)


def test_results_need_no_file_to_be_hostile(tmp_path):
    """The builder of this module writes what is read when nothing is changed."""
    write(tmp_path, plain())
    assert len(load_results(Path(tmp_path))) == 1


CLAIMS = [
    {"baselines": "tuned-2026"},
    {"baselines": "official"},
    {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"},
    {"source": "official"},
    {"origin": "official"},
    {"provenance": "tuned-2026"},
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_field_of_a_file_makes_a_result_official(tmp_path, claim):
    data = plain()
    data["environment"] = claim
    data["origin"] = data["baselines"] = "tuned-2026"
    write(tmp_path, data)
    (result,) = load_results(tmp_path)
    assert provenance_of(result) == ("original" if "source" in claim else "yours")


NAMES = [
    "official",
    "Official",
    "\uff4ffficial",
    "official\u200b",
    " yours ",
    "tuned-2026",
    "TUNED-2026",
    "",
    *(
        f"official{c}"
        for c in "\xad\u034f\u3164\u115f\uffa0\u2800\ufe00\U000e0020\u180e\u17b4.-_ ~"
    ),
    *(f"tuned{c}2026" for c in "\u2011\u2212\u2013\uff0d\ufe63\u2043\xad_ ."),
    *("tuned-2O26", "tuned--2026", "tuned-2026.", "t\xfaned-2026", "tuned-2\u04302 6"),
    *("0fficial", "officiaI", "offic\u0131al", "off\xefcial", "\u043efficial", "offici\u0430l"),
    *(
        "official 2019",
        "the-official",
        "yours) (official",
        "SGD, official",
        "\u0443ours",
        "orig1nal",
    ),
    "\ua4f3\ua4dd\ua4dd\ua4f2\ua4da\ua4f2\ua4ee\ua4e1",
    "a" * 100,
]


@pytest.mark.parametrize("name", NAMES)
def test_no_set_has_the_name_of_another(tmp_path, name):
    (tmp_path / "set.json").write_text(
        json.dumps({"name": name, "title": "", "licence": "", "files": {}})
    )
    with pytest.raises(UsageError, match=r"cannot be called|Two baseline sets") as error:
        sets.choose_sets([str(tmp_path)])
    assert HIDDEN.search(str(error.value)) is None


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lab-2026", "lab-2026"),
        ("results (copy)", "results -copy"),
        ("Gr\xf6\xdfe", "Gr\xf6\xdfe"),
        ("Gro\u0308\xdfe", "Gr\xf6\xdfe"),
        ("a\u2011b\xadc", "a-b-c"),
    ],
)
def test_a_folder_of_results_has_a_name_that_a_label_can_show(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    assert sets.read_set(tmp_path / folder).name == name


def test_sets_that_are_chosen_together_do_not_look_alike(tmp_path):
    for name in ("lab-1", "lab-l"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="Two baseline sets"):
        sets.choose_sets([str(tmp_path / "lab-1"), str(tmp_path / "lab-l")])


@pytest.mark.parametrize(
    "optimizer",
    [
        "x.py:SGD (official)",
        "m:SGD (tuned-2026)",
        "SGD (official)",
        "SGD \uff08official\uff09",
        "m:SGD\u00a0(official)",
        "m:SGD\n(official)",
        "m:SGD, official",
    ],
)
def test_no_name_of_an_optimizer_claims_to_be_of_a_set(tmp_path, optimizer):
    write(tmp_path, plain(1, optimizer=optimizer), "a.json")
    write(tmp_path, plain(2, optimizer="SGD"), "b.json")
    hyperparams = {"lr": 0.1, "a": "1 (official)", "b (official)": 1}
    write(tmp_path, plain(3, optimizer="SGD", hyperparams=hyperparams), "c.json")
    for setting in settings_of(load_results(tmp_path)):
        for text in (setting.optimizer, setting.label):
            bare = re.sub(r"'[^']*'", "", text)
            assert "official" not in bare
            assert "tuned-2026" not in bare


ALIKE = [
    "SGD\xad",
    "SG\u034fD",
    "SGD\u3164",
    "SGD\u2800",
    "S\ufe0fGD",
    "SGD\U000e0041",
    "SGD\u200d",
    "SGD\n",
]


@pytest.mark.parametrize("name", ALIKE)
def test_a_name_shows_what_it_hides(tmp_path, name):
    write(tmp_path, plain(1, optimizer=name), "a.json")
    write(tmp_path, plain(1, problem=name), "b.json")
    first, second = settings_of(load_results(tmp_path))
    for shown in (first.optimizer, first.label, second.problem):
        assert "\ufffd" in shown
        assert "\n" not in shown


def test_hidden_characters_are_those_of_unicode():
    formats = {
        chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cf", "Cc", "Cs")
    }
    missed = {c for c in formats - {"\t", "\n"} if not HIDDEN.match(c)}
    # Characters that a newer Unicode than that of the table adds.
    assert {c for c in missed if unicodedata.ucd_3_2_0.category(c) != "Cn"} == set()


@pytest.mark.parametrize("length", [201, 5000, 9_900])
def test_a_long_name_is_shortened(tmp_path, length):
    write(tmp_path, plain(1, optimizer="m:" + "W" * length), "a.json")
    write(tmp_path, plain(1, optimizer="m:" + "W" * length + "x"), "b.json")
    write(tmp_path, plain(1, hyperparams={"lr": 0.1, "x": "y" * length}), "c.json")
    settings = settings_of(load_results(tmp_path))
    assert all(len(s.optimizer) <= 250 and len(s.label) <= 1050 for s in settings)
    assert len({s.optimizer for s in settings}) == 3


@pytest.mark.parametrize("name", [ESCAPE, "a\x07b", "\x9b31m", "\x1b]8;;http://x\x1b\\"])
@pytest.mark.parametrize("kind", ["curves", "sensitivity"])
def test_no_warning_of_a_figure_holds_control_characters(tmp_path, name, kind, recwarn):
    for rate in (0.01, 0.1, 1.0):
        for optimizer in (f"m:{name}", "SGD"):
            data = plain(1, problem=name, optimizer=optimizer, hyperparams={"lr": rate})
            write(tmp_path, data, f"{optimizer == 'SGD'}{rate}.json")
    words = ["plot", str(tmp_path), kind, "--no-baselines", "--out", str(tmp_path / "a.pdf")]
    assert main(words) == 0
    assert [str(w.message) for w in recwarn if HIDDEN.search(str(w.message))] == []


@pytest.mark.parametrize("text", [ESCAPE, "\x1b[2J", "\u202e"])
def test_an_error_that_nothing_expects_is_printed_without_escapes(text, capsys):
    print_traceback(RuntimeError, RuntimeError(text), None)
    assert capsys.readouterr().err.startswith("RuntimeError: ")
    print_traceback(RuntimeError, RuntimeError(text), None)
    assert HIDDEN.search(capsys.readouterr().err) is None
