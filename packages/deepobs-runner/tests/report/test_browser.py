"""The page in a real browser without a network; skipped where there is no Chromium."""

import csv
import io
import json
import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from runner_builders import run_of

from deepobs_runner import load_results
from deepobs_runner.report import report
from deepobs_runner.results.store import save_result

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

EPOCHS = np.arange(13)
STEPS = 7
CHARTS = ".chart .u-over"
TABS = ("curves", "sensitivity", "tuning", "runs", "methods")
EVIL = '<img src=x onerror="window.evil = 1">'


def curve(rate, seed, problem):
    """Return a curve that falls to a value of its own."""
    return (2 + seed / 100 + 3 * np.exp(-rate * EPOCHS) + (problem == "q")).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a new optimizer, tuned over three rates, and with SGD."""
    place = tmp_path_factory.mktemp("results")
    for problem in ("p", "q"):
        for optimizer, rate in (("Mine", 0.6), ("SGD", 0.3)):
            for lr in (0.1, 1.0, 10.0):
                for seed in (1, 2, 3) if lr == 1.0 else (1,):
                    values = curve(rate * lr**-0.3 if lr > 1 else rate * lr**0.3, seed, problem)
                    if lr == 10.0:
                        values[5:] = [None] * (len(values) - 5)
                    run = run_of(
                        values, seed, problem=problem, optimizer=optimizer, lr=lr,
                        per_epoch=STEPS, splits=("train_eval", "test"), batch_size=16,
                        status="diverged" if lr == 10.0 else "done",
                        error=EVIL if lr == 10.0 else None,
                    )  # fmt: skip
                    save_result(run, place, np.zeros(0))
    return place


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory):
    (page, *_) = report(folder, baselines=[]).save(tmp_path_factory.mktemp("page"), ["html"])
    return page.as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Return a function that opens the page; nothing may be requested, and no error printed."""
    problems, contexts = [], []

    def visit(place="", size=(1366, 768), **options):
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        local = ("file:", "blob:", "data:")
        page.on(
            "request",
            lambda request: request.url.startswith(local) or problems.append(request.url),
        )
        page.goto(address + place)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


def names_of(page):
    """Return the optimizers that the values of the first figure are listed of."""
    values = page.locator(".values:visible").first
    values.evaluate("details => { details.open = true; }")
    return values.locator("tbody th").all_inner_texts()


def csv_of(page, button):
    """Return the rows of the file that a button saves."""
    with page.expect_download() as started:
        button.click()
    return list(csv.DictReader(io.StringIO(started.value.path().read_text("utf-8"))))


def test_one_number_in_tooltip_table_download_and_result_file(visit, folder):
    page = visit()
    page.get_by_role("button", name="q", exact=True).click()
    assert page.locator("#problem-name").inner_text() == "q"
    right = page.locator(".chart").nth(1)
    assert "test objective" in right.get_attribute("aria-label")
    box = right.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)  # the last epoch
    tooltip = right.locator(".tooltip").inner_text()
    assert tooltip.startswith("12 epochs")
    (line,) = re.findall(r"Mine\s+(\S+)\s+(\S+) to (\S+)\s+3 seeds", tooltip)

    runs = [
        run for run in load_results(folder)
        if (run.config.problem, run.config.optimizer) == ("q", "Mine")
        and run.config.hyperparams["lr"] == 1.0
    ]  # fmt: skip
    ends = sorted(run.series("test", "objective")[-1] for run in runs)
    assert [float(word) for word in line] == pytest.approx([ends[1], ends[0], ends[2]], rel=5e-4)

    rows = csv_of(page, right.get_by_role("button", name="CSV"))
    last = {
        row["statistic"]: float(row["value"]) for row in rows
        if (row["setting"], row["metric"]) == ("Mine lr=1 batch_size=16", "test objective")
        and row["epochs"] == "12"
    }  # fmt: skip
    assert last["median"] == pytest.approx(ends[1], rel=5e-5)
    assert [last[f"seed {run.config.seed}"] for run in runs] == pytest.approx(
        [run.series("test", "objective")[-1] for run in runs], rel=5e-5
    )
    assert {(row["steps"], row["examples"]) for row in rows if row["epochs"] == "12"} == {
        (str(12 * STEPS), str(12 * STEPS * 16))
    }

    page.get_by_role("tab", name="Runs").click()
    table = page.locator(".runs table")
    found = {
        row.locator("td").nth(1).inner_text(): row.locator("td").nth(5).inner_text()
        for row in table.locator("tbody tr", has_text="Mine lr=1").all()
        if "lr=10" not in row.inner_text()
    }
    assert {seed: float(value) for seed, value in found.items()} == pytest.approx(
        {str(run.config.seed): run.series("test", "objective")[-1] for run in runs}, rel=5e-4
    )


def test_an_optimizer_is_switched_off_everywhere_and_the_address_keeps_the_view(visit):
    page = visit()
    assert names_of(page) == ["Mine", "SGD"]
    chip = page.locator(".chips button", has_text="SGD")
    chip.press("Enter")
    assert chip.get_attribute("aria-pressed") == "false"
    assert names_of(page) == ["Mine"]
    page.get_by_label("y axis").select_option("gap")
    page.get_by_label("x axis").select_option("steps")
    page.locator(".pick", has_text="q").press("Enter")
    page.get_by_role("tab", name="Curves").press("ArrowRight")
    assert page.get_by_role("tab", name="Sensitivity").get_attribute("aria-selected") == "true"
    assert names_of(page) == ["Mine"]
    page.reload()
    assert page.locator("#problem-name").inner_text() == "q"
    assert page.get_by_role("tab", name="Sensitivity").get_attribute("aria-selected") == "true"
    page.get_by_role("tab", name="Curves").click()
    assert names_of(page) == ["Mine"]
    assert page.get_by_label("x axis").input_value() == "steps"
    assert "steps" in page.locator(".plot").first.get_attribute("aria-label")


def test_zoom_by_pointer_and_by_keys(visit):
    page = visit()

    def span():
        values = page.locator(".values:visible").first
        values.evaluate("details => { details.open = true; }")
        heads = values.locator("thead th").all_inner_texts()[1:]
        return float(heads[0]), float(heads[-1])

    assert span() == (0, 12)
    box = page.locator(CHARTS).first.bounding_box()
    at = [(box["x"] + share * box["width"], box["y"] + 60) for share in (0.24, 0.52)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=4)
    page.mouse.up()
    reset = page.get_by_role("button", name="reset zoom")
    reset.wait_for()
    assert span() == (3, 6)
    reset.click()
    assert span() == (0, 12)
    plot = page.locator(".plot").nth(1)
    plot.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.locator(".chart").nth(1).locator(".tooltip").inner_text().startswith("4 epochs")
    page.keyboard.press("+")
    assert span() == (1, 7)
    page.locator(".plot").nth(1).focus()
    page.keyboard.press("0")
    assert span() == (0, 12)


def test_downloads_of_figures_and_latex(visit):
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as started:
            page.locator(".chart").first.get_by_role("button", name=kind).click()
        assert started.value.path().read_bytes().startswith(start)
    forest = csv_of(page, page.get_by_role("button", name="CSV", exact=True).first)
    assert [row["problem"] for row in forest] == ["p", "q"]
    page.get_by_role("button", name="Copy LaTeX").first.click()
    page.locator("#toast", has_text="LaTeX copied").wait_for()
    assert r"\toprule" in page.evaluate("navigator.clipboard.readText()")
    final = csv_of(page, page.locator('[data-csv="final"]'))
    assert {row["Problem"] for row in final} == {"p"}  # what is in sight
    assert float(final[0]["Final test objective sd"]) == pytest.approx(0.01)


def test_names_and_messages_of_results_are_never_markup(visit):
    page = visit("#tab=runs")
    assert EVIL in page.locator(".runs table").inner_text()
    assert page.evaluate("window.evil") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit, theme):
    axe = pytest.importorskip("axe_core_python")
    source = (files(axe) / "axe.min.js").read_text("utf-8")
    page = visit(color_scheme=theme)
    page.evaluate(source)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        for details in page.locator("details:visible").all():
            details.evaluate("details => { details.open = true; }")
        found = page.evaluate("axe.run()")["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], tab


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (1366, 768)])
def test_nothing_sticks_out(visit, size):
    page = visit(size=size)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], tab


def test_the_first_screen_holds_the_verdicts_and_the_figures_begin(visit):
    page = visit()
    for place in (".fairness", "#forest tfoot, #forest tbody tr:last-child", ".chips"):
        box = page.locator(place).first.bounding_box()
        assert box["y"] + box["height"] < 768, place


def test_without_a_script_the_verdicts_read(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#forest tbody tr").count() == 2
    assert (
        "faster" in page.locator("#forest").inner_text().lower()
        or page.locator("#forest .interval circle").count()
    )
    assert page.locator("#table-final").is_visible()
    assert not page.locator(".chips").is_visible()


def test_print_has_the_verdicts_and_a_page_for_each_problem(visit, tmp_path):
    page = visit()
    document = page.pdf(format="A4")
    assert document.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", document))
    assert pages == 4  # verdicts, p, q, methods
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    titles = page.locator("#print > section > h2").all_inner_texts()
    assert titles == ["p", "q", "Methods"]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#print").inner_html() == ""


def test_the_data_of_the_page_is_one_block(visit):
    page = visit()
    block = json.loads(page.locator("#data").inner_text())
    assert [problem["name"] for problem in block["problems"]] == ["p", "q"]
    assert page.locator('script[type="application/json"]').count() == 1
