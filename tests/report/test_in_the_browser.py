import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

from tests.made_up_runs import tidy
from tsl.runs.records import read_table, write_table

MakeRun = Callable[..., Path]
Report = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of selenium's own connections


@pytest.fixture
def visit(browser: WebDriver, report: Report) -> Callable[..., WebDriver]:
    """Open the report of runs, whose page has to load without errors and without asking for anything but itself."""

    def open_page(*runs: Path) -> WebDriver:
        for log in ("browser", "performance"):
            browser.get_log(log)
        url = report(*runs).as_uri()
        browser.get(url)
        assert browser.execute_script("return document.body.dataset.ready") == "true"
        assert browser.get_log("browser") == []
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        asked = {request["request"]["url"] for request in requests if request["documentURL"] == url}
        assert {address for address in asked if not address.startswith(("data:", "blob:"))} == {url}
        return browser

    return open_page


def trace(browser: WebDriver, figure: str, number: int = 0) -> dict[str, Any]:
    """What a figure draws."""
    script = "const {x, y, z, customdata, name} = document.getElementById(arguments[0]).data[arguments[1]];"
    return browser.execute_script(f"{script} return {{x, y, z, customdata, name}};", figure, number)


def choose(browser: WebDriver, select: str, value: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"#{select} option[value='{value}']").click()


def move_slider(browser: WebDriver, to: int) -> None:
    script = "const s = document.getElementById('epoch'); s.value = arguments[0]; s.dispatchEvent(new Event('input'));"
    browser.execute_script(script, to)
    WebDriverWait(browser, 10).until(lambda _: not browser.execute_script("return waiting"))


def test_the_slider_moves_the_points_to_what_was_recorded(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run(layers=2, seed=7, splits=("train", "val"), epochs=[0, 1, 4, 6])
    browser = visit(run)
    nodes = read_table(run, "student_nodes").query("split == 'val'")
    for place, epoch in enumerate([0, 1, 4, 6]):
        move_slider(browser, place)
        assert browser.find_element(By.ID, "epoch-words").text == f"{epoch} of 6"
        for layer in (1, 2):
            expected = nodes[(nodes["epoch"] == epoch) & (nodes["layer"] == layer)]  # by replicate and node
            drawn = trace(browser, "l-shape", layer - 1)
            np.testing.assert_allclose(drawn["x"], expected["best_correlation"], atol=2e-5)
            np.testing.assert_allclose(drawn["y"], expected["strength"], rtol=1e-6)
            named = np.column_stack([expected["node"], expected["replicate"] + 7, expected["best_teacher"]])
            np.testing.assert_array_equal(drawn["customdata"], named)


def test_the_slider_is_moved_by_keys_and_the_movie_plays_to_its_end(make_run: MakeRun, visit: Callable[..., WebDriver]):
    browser = visit(make_run(epochs=[0, 3, 6]))
    browser.find_element(By.ID, "epoch").send_keys(Keys.ARROW_LEFT)
    words = browser.find_element(By.ID, "epoch-words")
    WebDriverWait(browser, 10).until(lambda _: words.text == "3 of 6")
    browser.find_element(By.ID, "play").click()
    WebDriverWait(browser, 10).until(lambda _: words.text == "6 of 6")
    WebDriverWait(browser, 10).until(lambda _: browser.find_element(By.ID, "play").text == "Play")


def test_one_seed_alone_and_the_nodes_of_another_run(make_run: MakeRun, visit: Callable[..., WebDriver]):
    first, second = make_run("first"), make_run("second", multiplier=5, seed=3)
    browser = visit(first, second)
    browser.find_element(By.CSS_SELECTOR, "#outcome button[data-run='1']").click()
    choose(browser, "seed", "4")
    nodes = read_table(second, "student_nodes").query("epoch == 6 and replicate == 1")
    np.testing.assert_allclose(trace(browser, "l-shape")["y"], nodes["strength"], rtol=1e-6)
    assert len(nodes) == 20
    assert browser.find_element(By.CSS_SELECTOR, "#outcome tr.chosen").text.startswith("runs/second")


def test_a_setting_inside_a_run_is_chosen_and_drawn_as_a_run_is(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run("list", polarity=[0.5, 1.0], replicates=4, seed=5)
    browser = visit(run)
    browser.find_element(By.CSS_SELECTOR, "#outcome button[data-run='1']").click()
    chosen = browser.find_element(By.CSS_SELECTOR, "#outcome tr.chosen").text
    assert chosen.startswith("runs/list polarity=1 ")
    seeds = [option.text for option in browser.find_elements(By.CSS_SELECTOR, "#seed option")]
    assert seeds == ["all", "6", "8"]
    nodes = read_table(run, "student_nodes").query("epoch == 6 and replicate in (1, 3)")
    np.testing.assert_allclose(trace(browser, "l-shape")["y"], nodes["strength"], rtol=1e-6)
    losses = read_table(run, "losses")
    for group in (0, 1):  # a band and a curve each
        drawn = trace(browser, "losses", 2 * group + 1)
        means = losses[losses["replicate"] % 2 == group].groupby("epoch")["val_mse"].mean()
        np.testing.assert_allclose(drawn["y"], means, rtol=1e-6)
        assert drawn["name"] == f"runs/list polarity={(0.5, 1)[group]}"


def test_the_heat_map_sorts_students_by_their_best_teacher(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run(pairs=True, layers=2, seed=7)
    browser = visit(run)
    choose(browser, "seed", "8")
    choose(browser, "pair-layer", "1")
    pairs = read_table(run, "pairs").query("replicate == 1 and layer == 2")
    last = pairs[pairs["epoch"] == 6].pivot(index="student_node", columns="teacher_node", values="correlation")
    order = sorted(last.index, key=lambda node: (last.loc[node].idxmax(), -last.loc[node].max()))
    for epoch in (6, 2):
        move_slider(browser, epoch)
        drawn = trace(browser, "pairs")
        assert list(map(int, drawn["x"])) == order
        matrix = pairs[pairs["epoch"] == epoch].pivot(
            index="teacher_node", columns="student_node", values="correlation"
        )
        np.testing.assert_allclose(drawn["z"], matrix[order], atol=2e-5)
        assert f"Epoch {epoch}, seed 8." in browser.find_element(By.ID, "pairs-hint").text


def test_without_pairs_it_says_how_to_get_them(make_run: MakeRun, visit: Callable[..., WebDriver]):
    browser = visit(make_run())
    assert "run it again with `--records.pairs true`" in browser.find_element(By.ID, "pairs-hint").text
    assert not browser.find_element(By.ID, "pairs").is_displayed()
    assert not browser.find_element(By.ID, "certificate").is_displayed()


def test_pointing_at_a_node_shows_its_numbers(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run(replicates=1, seed=7)
    browser = visit(run)
    node = read_table(run, "student_nodes").query("epoch == 6").iloc[5]
    figure = browser.find_element(By.ID, "l-shape")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    point = figure.find_elements(By.CSS_SELECTOR, ".scatterlayer .point")[5]
    ActionChains(browser).move_to_element(point).perform()
    WebDriverWait(browser, 10).until(lambda _: figure.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))
    text = figure.find_element(By.CSS_SELECTOR, ".hoverlayer .hovertext").text
    assert "student node 6, seed 7" in text
    assert f"best teacher node {node['best_teacher']}: ρ* = {node['best_correlation']:.4f}"[:-1] in text
    assert f"strength {node['strength']:.4g}" in text


def test_clicking_a_heading_sorts(make_run: MakeRun, visit: Callable[..., WebDriver]):
    runs = [make_run(f"m{m}", multiplier=m) for m in (2, 10, 1)]
    browser = visit(*runs, make_run("none", epochs=[]))  # this one has no numbers, and stays last

    def names() -> list[str]:
        return [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#outcome tbody th button")]

    heading = browser.find_element(By.XPATH, "//table[@id='outcome']//th[button[text()='ρ_mean']]")
    rho = [read_table(run, "layers").query("epoch == 6")["rho_mean"].mean() for run in runs]
    rising = [f"runs/{runs[index].name}" for index in np.argsort(rho)]
    assert rising != names()[:3]
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert (heading.get_attribute("aria-sort"), names()) == ("ascending", [*rising, "runs/none"])
    heading.find_element(By.TAG_NAME, "button").click()
    assert (heading.get_attribute("aria-sort"), names()) == ("descending", [*rising[::-1], "runs/none"])
    browser.find_element(By.XPATH, "//table[@id='outcome']//th/button[text()='multiplier']").click()
    assert heading.get_attribute("aria-sort") == "none"
    assert names() == ["runs/m1", "runs/m2", "runs/none", "runs/m10"]  # by number, not by spelling


def test_curves_are_the_means_of_the_records(make_run: MakeRun, visit: Callable[..., WebDriver]):
    runs = [make_run("first"), make_run("second", multiplier=1, layers=2)]
    browser = visit(*runs)
    choose(browser, "loss-measure", "train_loss")
    choose(browser, "layer-measure", "cka")
    for index, run in enumerate(runs):
        by_epoch = read_table(run, "losses").groupby("epoch")["train_loss"]
        drawn = trace(browser, "losses", 2 * index + 1)  # after the band
        np.testing.assert_allclose(drawn["y"], by_epoch.mean(), rtol=1e-6)
        np.testing.assert_allclose(drawn["customdata"], np.column_stack([by_epoch.min(), by_epoch.max()]), rtol=1e-6)
    by_epoch = read_table(runs[1], "layers").query("layer == 2").groupby("epoch")
    drawn = [trace(browser, "layers", number)["y"] for number in (7, 8)]
    np.testing.assert_allclose(drawn, [by_epoch["cka"].mean(), by_epoch["cka_null"].mean()], rtol=1e-6)


def test_recovery_counts_seeds_strongest_node_first(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run(polarity=1.0, replicates=5)
    nodes = read_table(run, "teacher_nodes")
    for epoch, rows in nodes.groupby("epoch"):  # the weakest made the strongest
        write_table(
            run, "teacher_nodes", int(str(epoch)), rows.assign(strength=rows["strength"].max() - rows["strength"])
        )
    browser = visit(run)
    move_slider(browser, 3)
    share = nodes.query("epoch == 3").groupby("node")["recovered_0.95"].mean()
    drawn = trace(browser, "recovery")
    assert drawn["x"] == ["4", "3", "2", "1"]
    np.testing.assert_allclose(drawn["y"], share[::-1], rtol=1e-6)


def test_the_certificate(make_run: MakeRun, visit: Callable[..., WebDriver]):
    run = make_run(replicates=2)
    granted = np.array([[[[1e-3, 5.0, np.inf]], [[1e-2, 0.5, 3.0]]]])  # (split, R, layer, nodes)
    values = {
        "granted_epsilon": granted,
        "reached_epsilon": np.where(np.isfinite(granted), [1e-5, 0.7, 0.9], np.inf),
        "condition": granted < 1,
        "vacuous": np.isfinite(granted) & (granted >= 1),
        "conclusion": np.array([[[[1, 1, 0]], [[1, 0, 1]]]], dtype=bool),
        **{name: np.ones_like(granted) for name in ("observed", "observer", "alpha", "gradient_sup_norm")},
        **{name: np.ones_like(granted) for name in ("best_aligned_student", "observer_epsilon")},
    }
    write_table(run, "certificate", 6, tidy(6, ("val",), ["node"], values).drop(columns=["split", "layer"]))
    browser = visit(run)
    marks = {
        trace(browser, "certificate", number)["name"]: trace(browser, "certificate", number) for number in range(1, 5)
    }
    np.testing.assert_allclose(marks["certified"]["x"], [-3, -2], rtol=1e-6)
    np.testing.assert_allclose(marks["certified"]["y"], [-5, -5], rtol=1e-6)
    np.testing.assert_allclose(marks["vacuous"]["customdata"], [[2, 0, 5.0, 0.7], [3, 1, 3.0, 0.9]], rtol=1e-6)
    assert marks["conclusion fails"]["customdata"][0][:2] == [2, 1]
    hint = browser.find_element(By.ID, "certificate-hint").text
    assert "1 nothing observes it, 2 certified, 2 vacuous, 1 conclusion fails" in hint


def test_a_narrow_window_shows_the_outcome_and_scrolls_only_down(make_run: MakeRun, visit: Callable[..., WebDriver]):
    browser = visit(make_run("multiplier=2,polarity=1"), make_run("multiplier=5,polarity=1", multiplier=5))
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        shown = "document.documentElement.scrollWidth == document.documentElement.clientWidth"
        WebDriverWait(browser, 10).until(lambda _: browser.execute_script(f"return {shown}"))  # figures are drawn again
        for heading in browser.find_elements(By.CSS_SELECTOR, "#outcome thead th")[:4]:  # run, loss, ρ_mean, recovered
            assert heading.rect["x"] + heading.rect["width"] < 400
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_is_written_by_others_is_not_run(make_run: MakeRun, visit: Callable[..., WebDriver]):
    evil = "</script><script>document.body.dataset.evil = 1</script>"
    run = make_run("a&b<!--<script>", loss=evil)
    other = make_run("<i>c", loss="mse")
    config = yaml.safe_load((run / "config.yaml").read_text()) | {"experiment": f"$x <b>{evil}"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    browser = visit(run, other)
    assert browser.execute_script("return document.body.dataset.evil") is None
    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("$x <b></script>")
    names = [button.text for button in browser.find_elements(By.CSS_SELECTOR, "#outcome tbody button")]
    assert names == ["runs/a&b<!--<script>", "runs/<i>c"]
