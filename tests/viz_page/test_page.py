"""The page in a real browser: what it shows, what moves it, what it asks for, and that it follows a run."""

import pytest

from minigrad.record import RunWriter
from minigrad.viz.page import export_page
from tests.browser import Browser
from tests.viz_page.runs import Hand

pytestmark = pytest.mark.browser

READY = "document.documentElement.dataset.ready"
CHARTS = "document.querySelectorAll('.js-plotly-plot').length"
CURSOR = "document.getElementById('loss-chart').layout.shapes[0].x0"
PICTURE = "document.querySelectorAll('#dist-rows .card')[0].querySelectorAll('.js-plotly-plot')"
BARS = f"JSON.stringify([...{PICTURE}].at(-1).data.at(-1).y)"
WIDEST = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("plotly", reason='charts need Plotly; add it with: pip install -e ".[page]"')
    with Browser(width=1280, height=800) as browser:
        yield browser


def opened(browser, address, dark=False):
    page = browser.open(address, dark=dark)
    page.wait(READY, 30)
    return page


def move(page, step):
    page.evaluate(
        f"(() => {{ const slider = document.getElementById('slider'); slider.value = {step}; "
        "slider.dispatchEvent(new Event('input')); })()"
    )
    page.wait(f"{CURSOR} === {step}")


def foreign(page, origin):
    return [address for address in page.requests if not address.startswith((origin, "data:", "blob:"))]


@pytest.mark.parametrize("dark", [False, True])
def test_it_loads_without_complaint_and_asks_only_its_server(browser, recorded, serve, dark):
    server = serve(recorded)
    page = opened(browser, server.url, dark)
    assert (
        page.evaluate(CHARTS) == 4 + 5 + 4 + 2 + 1
    )  # lines, heat maps, two tensors' distributions, units, ranks
    for section in ("loss", "layers", "distributions", "units", "influence", "graph", "notes", "settings"):
        page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
        browser.listen(0.1)
    page.wait("!!document.querySelector('iframe')")
    browser.listen(0.5)
    assert page.console_errors == []
    assert foreign(page, server.url) == []
    assert page.evaluate(WIDEST)
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    assert page.evaluate("document.querySelector('#note-list td b, #note-list script')") is None
    assert page.evaluate(
        "document.getElementById('notes').textContent.includes('<b>the rate</b> is high </script>')"
    )


def test_the_slider_moves_everything(browser, recorded, serve):
    page = opened(browser, serve(recorded).url)
    assert page.evaluate(CURSOR) == 60
    late = page.evaluate(BARS)
    move(page, 6)
    page.wait(f"{BARS} !== {late!r}")
    assert page.evaluate("document.querySelector('#dist-rows .plot-title b').textContent") == "5"
    assert "epoch 1" in page.evaluate("document.getElementById('readout').textContent")
    assert "estimated at step 5" in page.evaluate("document.querySelector('#influence-rows').textContent")
    assert "recorded at step 5" in page.evaluate("document.querySelector('#unit-rows').textContent")
    assert "0 of 2 notes" in page.evaluate("document.getElementById('note-list').textContent")
    assert "step 1 (1 of 2" in page.evaluate("document.getElementById('graph-step').textContent")
    move(page, 39)
    assert "step 31 (2 of 2" in page.evaluate("document.getElementById('graph-step').textContent")
    page.evaluate("document.getElementById('layers').scrollIntoView()")
    page.wait("document.querySelector('#heat-cards .js-plotly-plot').layout.shapes[0].x0 === 39")
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    for key, step in (("ArrowRight", 40), ("ArrowLeft", 39)):
        page.evaluate(
            f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))"
        )
        page.wait(f"{CURSOR} === {step}")
    assert page.console_errors == []


def test_playing_advances_and_stops_at_the_end(browser, recorded, serve):
    page = opened(browser, serve(recorded).url)
    move(page, 50)
    page.click("#play")
    assert page.evaluate("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    page.wait("Number(document.getElementById('slider').value) > 51")
    page.choose("#speed", "4")
    page.wait(f"{CURSOR} === 60", 20)
    page.wait("document.getElementById('play').getAttribute('aria-label') === 'Play'")
    page.click("#play")  # from the beginning again
    page.wait("Number(document.getElementById('slider').value) < 30")
    page.click("#play")
    assert page.console_errors == []


def test_choices(browser, recorded, serve):
    page = opened(browser, serve(recorded).url)
    page.choose("#dist-kind", "output")
    page.choose("#dist-layer", "relu")
    page.wait("document.querySelector('#dist-rows h3').textContent === 'relu'")
    page.choose("#unit-what", "dead output")
    page.wait("document.querySelector('#unit-rows').textContent.includes('conv: unit by step')")
    page.choose("#heat-kind", "gradient")
    page.choose("#heat-what", "not_finite")
    page.wait("document.querySelector('[data-what=choice] .js-plotly-plot').data[0].y.includes('conv.bias')")
    page.click("#theme")
    page.wait("document.documentElement.dataset.theme === 'dark'")
    browser.listen(0.5)
    assert page.console_errors == []


def test_the_graph_is_in_a_frame_that_touches_nothing(browser, recorded, serve):
    page = opened(browser, serve(recorded).url)
    page.evaluate("document.getElementById('graph').scrollIntoView()")
    page.wait("!!document.querySelector('iframe')")
    assert page.evaluate("document.querySelector('iframe').getAttribute('sandbox')") == "allow-scripts"
    browser.listen(0.5)
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None
    assert page.console_errors == []


def test_two_runs(browser, recorded, second, serve):
    page = opened(browser, serve(recorded, second).url)
    assert page.evaluate("[...document.querySelectorAll('.run b')].map(e => e.textContent)") == [
        "first",
        "second",
    ]
    assert page.evaluate(CHARTS) == 4 + 5 * 2 + 2 * 3 + 4 + 2
    colours = page.evaluate(
        "[...new Set(document.getElementById('loss-chart').data.map(trace => trace.line.color))]"
    )
    assert len(colours) == 2
    limits = page.evaluate(
        "[...document.querySelectorAll('[data-what=norm] .js-plotly-plot')].map(e => [e.data[0].zmin, e.data[0].zmax])"
    )
    assert limits[0] == limits[1]
    assert page.evaluate("document.getElementById('setting-table').textContent.includes('settings.lr')")
    page.choose("#graph-run", "1")
    assert page.evaluate("document.getElementById('graph-runs').hidden") is False
    assert page.console_errors == []
    assert page.evaluate(WIDEST)


def test_it_follows_a_run_that_is_being_recorded(browser, tmp_path, serve):
    hand = Hand(tmp_path / "live")
    hand.steps(1, 30)
    page = opened(browser, serve(hand.folder).url)
    assert page.evaluate("document.getElementById('slider').max") == "29"
    points = "document.getElementById('loss-chart').data[0].x"
    assert page.evaluate(f"{points}.at(-1)") == 29
    hand.steps(30, 45)
    page.wait(f"{points}.at(-1) === 44", 8)
    assert page.evaluate(f"JSON.stringify({points})") == str(list(range(1, 45))).replace(" ", "")
    page.wait(f"{CURSOR} === 44")  # it follows
    move(page, 10)
    hand.writer.note(46, "stop", "loss", "the loss is not finite")
    hand.steps(45, 50)
    page.wait(f"{points}.at(-1) === 49", 8)
    assert page.evaluate(CURSOR) == 10, "whoever looks at a step is left there"
    page.wait("!!document.querySelector('#marks .stop')", 8)
    for section in ("layers", "distributions", "units"):
        page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
        page.wait(f"document.querySelector('#{section} .js-plotly-plot').data[0].x.at(-1) === 49", 8)
    hand.writer.close()
    page.wait("document.getElementById('names').textContent.includes('finished')", 8)
    assert page.console_errors == []


def test_a_run_that_has_just_begun(browser, tmp_path, serve):
    writer = RunWriter(tmp_path / "new", {})
    writer.flush()
    page = opened(browser, serve(tmp_path / "new").url)
    assert page.evaluate("document.querySelector('.run').textContent").endswith("no step yet")
    assert page.evaluate(CHARTS) == 0
    assert page.evaluate("document.querySelectorAll('.missing').length") >= 10
    writer.step(1, loss=2.0)
    writer.step(2, loss=1.0)
    writer.flush()
    page.wait(f"{CHARTS} === 1", 8)
    page.wait("document.getElementById('loss-chart').data[0].x.length === 2", 8)
    assert page.console_errors == []
    writer.close()


def test_the_exported_file_is_the_same_page_and_asks_for_nothing(browser, recorded, second, tmp_path):
    size, left_out = export_page([recorded, second], tmp_path / "page.html")
    assert size > 4e6, "Plotly is inside"
    assert left_out == []
    page = opened(browser, tmp_path / "page.html")
    assert page.evaluate(CHARTS) == 4 + 5 * 2 + 2 * 3 + 4 + 2
    late = page.evaluate(BARS)
    move(page, 6)
    page.wait(f"{BARS} !== {late!r}")
    page.choose("#dist-kind", "gradient")
    page.wait("document.querySelector('#dist-rows h3').textContent === 'conv.weight'")
    page.choose("#unit-what", "dead output")
    page.evaluate("document.getElementById('graph').scrollIntoView()")
    page.wait("!!document.querySelector('iframe[srcdoc]')")
    browser.listen(0.7)
    assert page.console_errors == []
    asked = [address for address in page.requests if not address.startswith(("data:", "blob:", "about:"))]
    assert asked == [(tmp_path / "page.html").as_uri()]
