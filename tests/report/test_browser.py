"""The page in a real browser: nothing overflows, nothing is logged, and sorting, choosing and searching work."""

import base64
from dataclasses import replace

import pytest

from divbench.report.page import Wording, page
from tests.browser import open_browser, size
from tests.report.stories import entry
from tests.report.test_page import pair, pictures

WIDTHS = pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        yield driver


def show(driver, tmp_path, text, width=1280, phone=False):
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    size(driver, width, phone=phone)
    driver.get(path.as_uri())
    return driver


def run(driver, script):
    return driver.execute_script(script)


@WIDTHS
def test_nothing_overflows_fails_to_load_or_is_logged(browser, tmp_path, width, phone):
    gallery = pictures()
    gallery = replace(gallery, classes=[*gallery.classes, *pictures("dog").classes])
    text = page(pair(), gallery, Wording(note="a" * 400))
    show(browser, tmp_path, text, width, phone)
    assert run(browser, "return document.documentElement.scrollWidth") <= width
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    assert run(browser, broken) == []
    assert run(browser, "return document.images.length") > 5
    assert browser.get_log("browser") == []
    assert (
        run(
            browser,
            "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))",
        )
        == []
    )


def test_a_script_in_a_name_does_not_run(browser, tmp_path):
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    show(browser, tmp_path, page([entry(evil), entry(f"{evil}+x")], pictures(evil), Wording(title="safe", note=evil)))
    assert browser.title == "safe"
    assert browser.get_log("browser") == []


def test_a_column_sorts_by_its_numbers_and_yardsticks_stay_below(browser, tmp_path):
    results = [entry("a", vendi=10.0), entry("b", vendi=9.0), entry("c", vendi=2.0)]
    show(browser, tmp_path, page(results))
    first = "return [...document.querySelectorAll('#scope-class tbody tr')].map(r => r.cells[0].textContent)"
    before = run(browser, first)
    column = "[...document.querySelectorAll('#scope-class thead th')].find(t => t.textContent.startsWith('vendi'))"
    run(browser, f"{column}.querySelector('button').click()")
    assert run(browser, f"return {column}.getAttribute('aria-sort')") == "descending"
    assert run(browser, first)[:3] == before[:3] == ["a", "b", "c"]
    run(browser, f"{column}.querySelector('button').click()")
    after = run(browser, first)
    assert after[:3] == ["c", "b", "a"]
    assert all(name.startswith("(") for name in after[3:])


def test_a_long_name_leaves_room_for_numbers_on_a_phone(browser, tmp_path):
    long = "a-very-long-name-of-an-entry-" * 4
    show(browser, tmp_path, page([entry(long), entry(long + "+x")]), 390, True)
    width = "return document.querySelector('#scope-class tbody th').offsetWidth"
    assert run(browser, width) < 200
    assert browser.get_log("browser") == []


def test_print_opens_everything_and_cuts_nothing_off(browser, tmp_path):
    levels = {f"metric_{i}": 1.0 for i in range(9)}
    show(browser, tmp_path, page([entry("x", **levels), entry("x+y", vendi=2.4, **levels)]), 720)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    run(browser, "window.dispatchEvent(new Event('beforeprint'))")
    assert run(browser, "return document.querySelectorAll('details:not([open])').length") == 0
    assert run(browser, "return [...document.querySelectorAll('table')].every(t => t.offsetWidth <= 720)")
    run(browser, "window.dispatchEvent(new Event('afterprint'))")
    assert run(browser, "return document.querySelectorAll('details:not([open])').length") > 0


def test_names_with_control_characters_break_no_figure(browser, tmp_path):
    show(browser, tmp_path, page([entry("a\x07b", classes=tuple(f"c\x01{i}" for i in range(10)))]))
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    assert run(browser, broken) == []


def test_sorting_works_with_the_keyboard(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys

    show(browser, tmp_path, page([entry("a", vendi=3.0), entry("b", vendi=9.0)]))
    heading = browser.find_element("css selector", "#scope-class thead th:first-child button")
    heading.send_keys(Keys.ENTER)
    rows = "return [...document.querySelectorAll('#scope-class tbody tr')].map(r => r.cells[0].textContent).slice(0, 2)"
    assert run(browser, rows) == ["b", "a"]
    assert run(browser, "return document.activeElement.textContent") == "entry"


def test_one_class_is_shown_at_a_time_and_all_in_print(browser, tmp_path):
    gallery = replace(pictures(), classes=[*pictures("cat").classes, *pictures("dog").classes])
    show(browser, tmp_path, page(pair(), gallery))
    seen = "[...document.querySelectorAll('article.class')].filter(a => a.offsetHeight)"
    shown = f"return {seen}.map(a => a.querySelector('h3').textContent)"
    assert run(browser, shown) == ["cat"]
    run(browser, "const s = document.getElementById('class'); s.value = '1'; s.dispatchEvent(new Event('change'))")
    assert run(browser, shown) == ["dog"]
    run(browser, "window.dispatchEvent(new Event('beforeprint'))")
    assert run(browser, shown) == ["cat", "dog"]
    printed = browser.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")


def test_a_thousand_classes_are_searched(browser, tmp_path):
    classes = tuple(f"class number {i}" for i in range(1000))
    show(browser, tmp_path, page([entry("x", classes=classes), entry("x+y", vendi=2.4, classes=classes)]))
    visible = "return [...document.querySelectorAll('#class-0 tbody tr')].filter(r => r.offsetHeight).length"
    assert run(browser, visible) == 20
    browser.find_element("id", "search").send_keys("number 77")
    assert run(browser, visible) == 11
    browser.find_element("id", "search").clear()
    run(browser, "document.getElementById('search').dispatchEvent(new Event('input'))")
    assert run(browser, visible) == 20
    browser.find_element("id", "all").send_keys(" ")
    assert run(browser, visible) == 1000
