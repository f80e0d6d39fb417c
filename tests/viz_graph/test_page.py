"""The page in a real browser: what it shows, what a click does; it asks for nothing and runs nothing foreign."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad.viz.graph import write_graph_page
from tests.browser import Browser
from tests.viz_graph.test_layout import overlapping
from tests.viz_graph.traces import Maker, large, resnet

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def show(browser, tmp_path):
    pages = []

    def show(trace, title="A step"):
        path = write_graph_page(trace, tmp_path / "page.html", title)
        pages.append(browser.open(path))
        assert pages[-1].requests == [path.as_uri()]
        return pages[-1]

    yield show
    for page in pages:
        assert page.console_errors == []
        assert len(page.requests) == 1, "the page asked for something"


def count(page, selector: str) -> int:
    return page.evaluate(f"document.querySelectorAll({selector!r}).length")


def text(page, selector: str = "#panel") -> str:
    return page.evaluate(f"document.querySelector({selector!r}).innerText")


def rectangles(page) -> list[list[float]]:
    return page.evaluate(
        "[...state.drawing.rectangles].filter(([n]) => !state.drawing.openedSet.has(n)).map(([, at]) => at)"
    )


def test_a_resnet_opens_at_its_blocks_within_a_second(show):
    page = show(resnet(parts=True), "ResNet-50")
    assert page.evaluate("document.title") == text(page, "h1") == "ResNet-50"
    assert count(page, ".faces .box.module") == 16
    assert count(page, ".sheets .box.open") == 5
    assert count(page, ".faces .box") == 16 + 6 + 2
    assert not overlapping(rectangles(page))
    paint = page.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert paint < 3000  # 0.2 s where it was written


def test_a_click_shows_the_record_and_opens_modules(show):
    page = show(resnet(parts=True))
    page.click('.faces .box[data-path="layer1.0"] .opener')
    page.click('.faces .box[data-path="layer1.0.conv3"] .face')
    shown = text(page)
    for wanted in ("conv_bn_act_5", "layer1.0.bn3", "He et al. 2016", "y = conv_bn_act(x)", "32×256×56×56", "float32",
                   "layer1.0.conv3.weight", "models/resnet.py:", "GFLOP", "MiB", "802816, 12544, 224, 4", "activation",
                   "skewness", "99 % quantile", "layer1.1.conv1 · conv_bn_act_6"):  # fmt: skip
        assert wanted in shown, wanted
    assert count(page, "#panel details[open] .histogram rect") > 60
    assert count(page, ".edge.lit") >= 3
    page.click("#panel [data-parts]")
    assert count(page, '.faces .box[data-path="layer1.0.conv3"]') == 4
    assert not overlapping(rectangles(page))
    page.click("#panel .links [data-go]")
    assert "layer1.0.conv3" not in text(page, "#panel h2")


def test_a_header_closes_its_module(show):
    page = show(resnet())
    before = count(page, ".faces .box")
    page.click('.sheets .box[data-path="layer3"] .header')
    assert count(page, ".faces .box") == before - 5
    page.click("#close-all")
    assert count(page, ".faces .box") == 9 + 3
    page.click("#open-all")
    assert count(page, ".faces .box") == 60
    page.click("#open-some")
    assert count(page, ".faces .box") == before


def test_colours_follow_the_measure_and_the_legend_names_it(show):
    page = show(resnet())
    fills = {}
    for measure in page.evaluate("[...document.querySelectorAll('#measure option')].map(o => o.value)"):
        page.choose("#measure", measure)
        fills[measure] = page.evaluate(
            "[...document.querySelectorAll('.faces .op .face')].map(f => f.getAttribute('fill'))"
        )
        assert page.evaluate(f"MEASURES[{measure!r}].label").lower() in text(page, "#legend").lower()
    assert set(fills) == {"time", "memory", "gradient", "dead", "nonfinite"}
    assert len({tuple(f) for f in fills.values()}) == 5
    assert len(set(fills["nonfinite"])) == 1
    light = fills["time"]
    page.dark()
    page.choose("#measure", "time")
    assert (
        page.evaluate("[...document.querySelectorAll('.faces .op .face')].map(f => f.getAttribute('fill'))")
        != light
    )


def test_what_is_not_finite_is_marked_and_what_was_not_recorded_says_so(show):
    trace = resnet()
    trace["records"][20]["outputs"][0]["gradient"].update(nans=7, mean=float("nan"), maximum=float("inf"))
    page = show(trace)
    assert count(page, ".faces .alarm") == 1
    assert "7 values" in text(page)
    bare = show(resnet(level="meta"))
    bare.choose("#measure", "gradient")
    assert "not recorded at level “meta”" in text(bare, "#legend")
    assert bare.evaluate("document.querySelector('.faces .op .face').getAttribute('fill')") == "url(#unknown)"


def test_search_finds_opens_and_goes(show):
    page = show(resnet())
    page.press("/")
    page.type("layer3.4 conv2")
    assert text(page, "#hits") == "1 found"
    assert count(page, ".box.hit") == 1
    page.press("Enter")
    assert "layer3.4.conv2" in text(page)
    assert page.evaluate("document.querySelector('.box.selected').dataset.path") == "layer3.4.conv2"
    box = page.evaluate(
        "(({x, y}) => [x, y])(document.querySelector('.box.selected').getBoundingClientRect())"
    )
    assert 0 < box[0] < 1050
    assert 0 < box[1] < 900


def test_the_graph_is_moved_and_zoomed_and_reached_by_keys(show):
    page = show(resnet())
    start = page.evaluate("({...view.view})")
    page.wheel(500, 500, dy=120)
    moved = page.wait(f"view.view.y !== {start['y']} && ({{...view.view}})")
    assert moved["k"] == start["k"]
    page.wheel(500, 500, dy=-120, ctrl=True)
    page.wait(f"view.view.k > {start['k']}")
    page.drag((500, 840), (560, 800))
    page.press("0")
    page.evaluate("document.querySelector('.faces .box[data-path=\"layer1.1\"]').focus()")
    page.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.path") == "layer1.2"
    page.press("Enter")
    assert count(page, '.sheets .box[data-path="layer1.2"]') == 1


def test_texts_are_never_markup(show):
    evil = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>@DATA@"
    m = Maker()
    m.modules[evil] = evil
    x = m.add("relu", [], [2, 3], evil, others=[m.outside(evil, [2, 3], evil)], params={evil: evil})
    m.add(evil, [x], [2, 3], evil)
    for record in m.records:
        record.update(
            formula=evil, reference=evil, source={"file": evil, "line": 1, "function": evil, "text": evil}
        )
        record["outputs"][0].update(name=evil, dtype=evil)
    page = show(m.trace(), evil)
    assert page.evaluate("document.title") == text(page, "h1") == evil
    page.evaluate("for (const box of boxes) select(box.number, { go: true })")
    page.evaluate("toggle(boxes.findIndex((box) => box.kind === 'module' && box.number))")
    assert evil in page.evaluate("document.querySelector('#panel').textContent")
    assert page.evaluate("[window.hacked ?? null, document.images.length, document.scripts.length]") == [
        None,
        0,
        2,
    ]


def test_the_policy_lets_nothing_else_run(show):
    page = show(resnet((1,)))
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
    )
    assert page.evaluate("window.hacked ?? null") is None
    assert any("Content Security Policy" in error for error in page.console_errors)
    page.console_errors.clear()


def test_modules_that_run_in_turns_are_drawn_with_edges_back(show):
    m = Maker()
    x = m.add("linear", [], [2, 3], "a.one", others=[m.outside("x", [2, 3])])
    x = m.add("linear", [x], [2, 3], "b.one")
    x = m.add("linear", [x], [2, 3], "a.two")
    m.add("linear", [x], [2, 3], "b.two")
    page = show(m.trace())
    page.evaluate("openModules((box) => box.path === ''); arrange()")
    assert page.evaluate("state.drawing.routes.filter((piece) => piece.arrives).length") == 3
    assert not overlapping(rectangles(page))


def test_three_thousand_operations_are_laid_out_in_seconds(show):
    page = show(large(3000))
    opening = "const t = performance.now(); document.getElementById('open-all').click(); return performance.now() - t;"
    seconds = page.evaluate(f"(() => {{ {opening} }})()") / 1000
    assert count(page, ".faces .box") > 3000
    assert not overlapping(rectangles(page))
    assert seconds < 15  # 1 s where it was written


def test_the_page_and_the_drawing_lay_out_alike(show):
    from minigrad.viz.graph.layout import draw
    from minigrad.viz.graph.tree import box_tree, opened, visible_edges

    data = resnet()
    page = show(data)
    root = box_tree(data)
    is_open = opened(root)
    drawing = draw(root, visible_edges(root, data["records"], is_open), is_open)
    there = page.evaluate("[...state.drawing.rectangles]")
    assert {n for n, _ in there} == set(drawing.rectangles)
    for number, at in there:
        assert at == pytest.approx(drawing.rectangles[number], abs=0.1)


def test_a_real_trace(show):
    net = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.ReLU(), mg.nn.Linear(8, 3))
    with mg.trace(level="stats") as trace:
        loss = mg.nn.functional.cross_entropy(net(mg.ones(5, 4)), mg.tensor([0, 1, 2, 1, 0]))
        loss.backward()
    page = show(trace)
    operations = page.evaluate("boxes.filter((box) => box.kind === 'op').length")
    assert operations == len(trace.records) >= 3
    page.click(".faces .op .face")
    assert "Mathematics".upper() in text(page).upper()
    assert count(page, "#panel .histogram.gradient") >= 1
