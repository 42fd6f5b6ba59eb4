"""The page of a leaderboard in a real browser: sorting, filters, findings, the keyboard, and a phone."""

import pytest

from divbench.leaderboard.build import build
from tests.browser import open_browser, size
from tests.leaderboard.boards import OURS, make_board, put, scored, three

ROWS = "[...document.querySelectorAll('#{} tbody tr')].filter(r => r.offsetHeight)"
SELECT = """const one = document.querySelector('form[data-table={}]').elements[{}];
one.value = '{}'; one.dispatchEvent(new Event('input', {{bubbles: true}}))"""
LABELS = ("data set", "IPC", "quantity", "kind", "claimed gain")
"""Filters of the table of every number, in their order."""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = make_board(tmp_path_factory.mktemp("board"), [*three(), ("a", scored(ipc=50, cosine=None))])
    for ipc in (10, 100):
        put(folder, "b", scored(ipc=ipc, dataset="svhn"))
    build(folder)
    return folder / "index.html"


def show(driver, page, width=1280, phone=False, part=""):
    size(driver, width, phone=phone)
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page.as_uri() + part)
    return driver


def run(driver, script):
    return driver.execute_script(script)


def shown(driver, table, column=None):
    """Texts of a column of the rows that are seen, or how many there are."""
    wanted = "length" if column is None else f"map(r => r.cells[{column}].innerText)"
    return run(driver, f"return {ROWS.format(table)}.{wanted}")


def count(driver, table):
    return run(driver, f"return document.querySelector('form[data-table={table}] output').textContent")


def choose(driver, table, place, value):
    run(driver, SELECT.format(table, place, value))


def search(driver, table, words):
    run(driver, "const one = document.querySelector('form[data-table=" + table + "] input[type=search]');"
        f"one.value = '{words}'; one.dispatchEvent(new Event('input', {{bubbles: true}}))")  # fmt: skip


def in_view(driver, number):
    """Wait until a finding has been scrolled to."""
    from selenium.webdriver.support.wait import WebDriverWait

    box = f"document.getElementById('finding-{number}').getBoundingClientRect()"
    WebDriverWait(driver, 5).until(lambda d: 0 <= run(d, f"return {box}.top") < 900)


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
@pytest.mark.parametrize("ours", [False, True])
def test_nothing_overflows_is_blocked_or_is_logged(browser, page, width, phone, ours):
    show(browser, OURS / "index.html" if ours else page, width, phone)
    assert run(browser, "return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert run(browser, "return performance.getEntriesByType('resource').length") == 0
    assert run(browser, "return document.documentElement.classList.contains('scripted')")  # the script ran
    assert run(browser, "return getComputedStyle(document.querySelector('.filters')).display") == "flex"  # so did style
    wide = "return [...document.querySelectorAll('table')].filter(t => !t.closest('.scroll')).length"
    assert run(browser, wide) == 0
    run(browser, "document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert run(browser, "return document.documentElement.scrollWidth") <= width


def test_a_measured_table_is_sorted_by_a_column(browser, page):
    show(browser, page)
    heading = "[...document.querySelectorAll('#measured-0 thead th')].find(t => t.textContent.startsWith('coverage ↑'))"
    names = "return [...document.querySelectorAll('#measured-0 tbody tr')].map(r => r.cells[0].textContent)"
    before = run(browser, names)
    run(browser, f"{heading}.querySelector('button').click()")
    assert run(browser, f"return {heading}.getAttribute('aria-sort')") == "descending"
    assert run(browser, names) == ["Aa + Xx", "Random real", "Aa", *before[3:]]
    run(browser, f"{heading}.querySelector('button').click()")
    assert run(browser, f"return {heading}.getAttribute('aria-sort')") == "ascending"
    assert run(browser, names)[:5] == ["Aa", "Random real", "Aa + Xx", "Bb", "Bb + Xx"]
    assert sorted(run(browser, names)[-3:]) == sorted(before[-3:])  # yardsticks stay below
    printed = heading.replace("coverage ↑", "vendi printed")
    run(browser, f"{printed}.querySelector('button').click()")
    assert run(browser, names)[:4] == ["Aa + Xx", "Aa", "Bb", "Bb + Xx"]


def test_all_numbers_are_sorted_by_value(browser, page):
    show(browser, page)
    search(browser, "all-numbers", "printed vendi")
    assert shown(browser, "all-numbers") == 4
    for order in (["1.60", "1.50", "1.20", "1.20"], ["1.20", "1.20", "1.50", "1.60"]):
        run(browser, "document.querySelectorAll('#all-numbers thead button')[5].click()")
        assert shown(browser, "all-numbers", 5) == order


@pytest.mark.parametrize(
    ("place", "value", "column", "seen"),
    [
        (0, "svhn", 0, {"svhn"}), (0, "cifar10", 0, {"cifar10"}), (1, "50", 1, {"50"}), (1, "10", 1, {"10"}),
        (2, "cosine", 3, {"cosine"}), (2, "accuracy", 3, {"accuracy"}), (3, "printed", 6, {"printed"}),
        (3, "measured", 6, {"measured"}), (1, "not stated", 1, {"not stated"}),
    ],
)  # fmt: skip
def test_a_filter_narrows_the_numbers_and_the_count_says_so(browser, page, place, value, column, seen):
    show(browser, page)
    every = shown(browser, "all-numbers")
    assert count(browser, "all-numbers") == f"{every} of {every}"
    expected = sum(text in seen for text in shown(browser, "all-numbers", column))
    choose(browser, "all-numbers", place, value)
    assert set(shown(browser, "all-numbers", column)) == seen
    assert 0 < shown(browser, "all-numbers") == expected < every
    assert count(browser, "all-numbers") == f"{expected} of {every}"
    choose(browser, "all-numbers", place, "")
    assert shown(browser, "all-numbers") == every


def test_the_filters_are_those_that_their_labels_say(browser, page):
    show(browser, page)
    form = "document.querySelector('form[data-table=all-numbers]')"
    labels = f"return [...{form}.querySelectorAll('label')].map(l => l.firstChild.textContent.trim())"
    assert run(browser, labels)[:6] == [*LABELS, "Search"]
    options = f"return [...{form}.elements[{{}}].options].map(o => o.text)"
    assert run(browser, options.format(0)) == ["all", "cifar10", "svhn"]
    assert run(browser, options.format(1)) == ["all", "10", "50", "100", "not stated"]


def test_gains_findings_and_words_narrow_together(browser, page):
    show(browser, page)
    every = shown(browser, "all-numbers")
    for word, held in (("holds", 2), ("refuted", 1), ("inconclusive", 1), ("not measured", 1)):
        choose(browser, "all-numbers", 4, word)
        gains = shown(browser, "all-numbers", 8)
        assert gains
        assert all(word in gain for gain in gains)
        search(browser, "all-numbers", "printed")
        assert shown(browser, "all-numbers") == held, word
        search(browser, "all-numbers", "")
    choose(browser, "all-numbers", 4, "")
    browser.find_element("css selector", "form[data-table=all-numbers] input[type=checkbox]").send_keys(" ")
    numbers = shown(browser, "all-numbers", 9)
    assert 0 < len(numbers) < every
    assert all(text.strip() for text in numbers)
    search(browser, "all-numbers", "AA  convnet")
    assert {text for text in shown(browser, "all-numbers", 2)} == {"Aa", "Aa + Xx"}
    assert set(shown(browser, "all-numbers", 4)) == {"ConvNet"}
    search(browser, "all-numbers", "nothing like it")
    assert shown(browser, "all-numbers") == 0
    assert count(browser, "all-numbers") == f"0 of {every}"


def test_findings_are_filtered_by_severity_and_sorted_by_it(browser, page):
    show(browser, page)
    every = shown(browser, "all-findings")
    severities = shown(browser, "all-findings", 1)
    for severity in ("error", "warning", "info"):
        choose(browser, "all-findings", 0, severity)
        assert shown(browser, "all-findings", 1) == [severity] * severities.count(severity)
        assert count(browser, "all-findings") == f"{severities.count(severity)} of {every}"
    choose(browser, "all-findings", 0, "")
    search(browser, "all-findings", "refuted q")
    assert shown(browser, "all-findings") < every
    assert count(browser, "all-numbers").split()[0] == count(browser, "all-numbers").split()[2]  # the other table's


def test_a_number_leads_to_its_finding_even_where_that_is_filtered_out(browser, page):
    show(browser, page)
    choose(browser, "all-findings", 0, "info")
    row = ROWS.format("all-numbers") + ".find(r => r.textContent.includes('Table 2: Aa + Xx, 50'))"
    number = run(browser, f"return {row}.querySelector('a').textContent")
    title = run(browser, f"return {row}.querySelector('a').title")
    assert title == "error: refuted improvement"
    assert number not in shown(browser, "all-findings", 0)
    run(browser, f"{row}.querySelector('a').click()")
    assert number in shown(browser, "all-findings", 0)
    in_view(browser, number)
    assert "47.5 % -> 46.0 %" in run(browser, f"return document.getElementById('finding-{number}').innerText")
    assert count(browser, "all-findings").split()[0] == count(browser, "all-findings").split()[2]
    show(browser, page, part=f"#finding-{number}")
    in_view(browser, number)


@pytest.mark.slow
def test_the_keyboard_reaches_the_filters_and_uses_them(browser, page):
    from selenium.webdriver.common.keys import Keys

    show(browser, page)
    body = browser.find_element("tag name", "body")
    body.send_keys(Keys.TAB)
    assert run(browser, "return document.activeElement.textContent") == "To the tables"
    reached = []
    for _ in range(200):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        table = "document.activeElement.closest('form')?.dataset.table || ''"
        reached.append(run(browser, f"return [document.activeElement.tagName, {table}]"))
        if reached[-1] == ["INPUT", "all-numbers"]:
            break
    assert reached.count(["SELECT", "all-numbers"]) == len(LABELS)
    assert reached.count(["SELECT", "all-findings"]) == 1
    assert ["BUTTON", ""] in reached  # headings that sort
    every = shown(browser, "all-numbers")
    browser.switch_to.active_element.send_keys("svhn")
    assert 0 < shown(browser, "all-numbers") < every
    browser.switch_to.active_element.send_keys(Keys.ENTER)  # submits nothing
    assert 0 < shown(browser, "all-numbers") < every
    browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert shown(browser, "all-numbers") == 0  # svhn has no findings
    assert run(browser, "return location.search") == ""
    assert browser.get_log("browser") == []


def test_names_of_methods_run_nothing(browser, tmp_path):
    folder = make_board(tmp_path, three())
    evil = "<script>document.title = 'run'</script><img src=x onerror='document.title=1'>"
    methods = (folder / "methods.toml").read_text()
    (folder / "methods.toml").write_text(methods.replace('"On A"', f'"{evil}"'))
    build(folder)
    show(browser, folder / "index.html")
    assert browser.title == "Leaderboards of dataset distillation"
    assert evil in run(browser, "return document.getElementById('all-methods').textContent")
    assert browser.get_log("browser") == []
