"""The printed numbers: counts, values typed by hand, structure, strict reading."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import divbench
from divbench.errors import ResultError
from divbench.leaderboard.facts import facts, normalise
from divbench.leaderboard.reported import load_paper, load_reported

FOLDER = Path(divbench.__file__).parents[1] / "leaderboards" / "reported"


@pytest.fixture(scope="module")
def papers():
    return load_reported(FOLDER)


@pytest.fixture(scope="module")
def known(papers):
    return list(facts(papers))


def test_every_printed_number_is_there(known):
    assert Counter(f.paper for f in known) == {
        "cda": 8, "cv-dd": 30, "dc": 11, "deda": 33, "delt": 15, "dire": 372, "dwa": 27, "edc": 1, "g-vbsm": 19,
        "infer": 21, "lpld": 7, "rded": 16, "sre2l": 21, "wmdd": 35,
    }  # fmt: skip
    assert Counter((f.source, f.table) for f in known if f.paper == "dire") == {
        **{("paper", f"Table {n}"): count for n, count in (
            (2, 28), (3, 36), (4, 30), (5, 30), (6, 26), (7, 30), (8, 32), (9, 36), (10, 20), (11, 16), (12, 16),
            (13, 12), (14, 28), (15, 3), (16, 8), (17, 6),
        )},
        ("supplement", "Table 1"): 8, ("supplement", "Table 2"): 4, ("paper", "Section 4.9"): 2,
        ("paper", "Section 3.2"): 1,
    }  # fmt: skip


# paper, table, block, row, column: value, deviation, places; typed by hand from the transcribed tables.
BY_HAND = """
dire|Table 2||SRe2L|10|27.2|0.4|1
dire|Table 2||INFER(D) + DiRe|50|85.1|0.3|1
dire|Table 2||DELT + DiRe|50|76.3|0.2|1
dire|Table 3||SRe2L|cosine|0.90||2
dire|Table 3||G-VBSM|coverage|0.04||2
dire|Table 3||DELT + DiRe|vendi|2.28||2
dire|Table 3||DELT|coverage|0.9||1
dire|Table 4||SRe2L + DiRe|100|66.5|0.2|1
dire|Table 4||INFER (D)|50|68.9|0.1|1
dire|Table 5||DWA + DiRe|coverage|32.75||2
dire|Table 5||INFER|vendi|2.66||2
dire|Table 6||SRe2L|10|17.7|0.7|1
dire|Table 6||G-VBSM|100|51.0|0.4|1
dire|Table 7||G-VBSM + DiRe|coverage|45.5||1
dire|Table 7||SRe2L|coverage|30||0
dire|Table 7||DELT|coverage|6.5||1
dire|Table 7||CDA|vendi|6.41||2
dire|Table 8||CDA|50|52.5|0.3|1
dire|Table 8||DELT|10|46.1|0.4|1
dire|Table 9||G-VBSM + DiRe|vendi|13.2||1
dire|Table 9||SRe2L + DiRe|coverage|6.4||1
dire|Table 10|IPC=50|ResNet-101|SRe2L|51.4|2.6|1
dire|Table 10|IPC=100|ViT|SRe2L + DiRe|46.6|0.9|1
dire|Table 11|IPC=50|SRe2L|VGG-16|32.50|0.45|2
dire|Table 11|IPC=100|SRe2L + DiRe|ViT|28.20|0.33|2
dire|Table 12|IPC=10|SRe2L|ShuffleNet|9.0|0.7|1
dire|Table 12|IPC=50|DWA|MobileNetV2|51.6|0.5|1
dire|Table 13|CIFAR-10|1|MTT + DiRe|49.1|0.2|1
dire|Table 13|CIFAR-100|50|MTT|47.7|0.2|1
dire|Table 14||EDM|coverage|1.00||2
dire|Table 14||CD + CDM + EDM|accuracy|34.7|0.3|1
dire|Table 15||SRe2L + DiRe|time|1579.9||1
dire|Table 16|Coverage|SRe2L|CLIP|0.064||3
dire|Table 16|Vendi Score|SRe2L + DiRe|CLIP|2.42||2
dire|Table 17||SRe2L + DiRe|coverage|0.45||2
dire|Table 1|CIFAR-100|10|DM + DiRe|31.8|0.5|1
dire|Table 2||SRe2L + DiRe|memory|13.0||1
wmdd|Table 7||DC|time per iteration|2.154|0.104|3
wmdd|Table 7||WMDD|time|207.53||2
deda|Table 8||LPLD|time|34.16||2
deda|Section 11||DEDA|baseline|0.0223||4
cda|README|ImageNet-1K|CDA|50|53.5||1
cv-dd|README|CIFAR-10|CV-DD|50|70.1||1
delt|README|ImageNet-1K|DELT|100|62.4||1
dwa|README|CIFAR-10|SRe2L|10|27.2||1
edc|abstract||EDC|10|48.6||1
g-vbsm|README|CIFAR-100|G-VBSM|1|25.9||1
infer|README|Tiny ImageNet|INFER (D)|50|54.6||1
lpld|README|ImageNet-1K|LPLD|20|33.0||1
rded|tables of DELT and CV-DD|ImageNette|RDED|50|80.4||1
sre2l|README|ImageNet-1K, ResNet-101|SRe2L|200|65.9||1
dc|README|CIFAR-10|DM|100|67.0||1
"""


@pytest.mark.parametrize("line", BY_HAND.split("\n")[1:-1])
def test_values_typed_by_hand(known, line):
    *place, value, std, decimals = line.split("|")
    found = [f for f in known if [f.paper, f.table, f.block, f.row, f.column] == place]
    wanted = (float(value), float(std) if std else None, int(decimals))
    assert wanted in [(f.value, f.std, f.decimals) for f in found]


def test_settings_are_facts_where_they_are_numbers(papers, known):
    found = {(f.table, f.source, f.value) for f in known if f.quantity == "setting: lambda" and "tiny" in f.dataset}
    assert found == {("Table 6", "supplement", 300.0), ("README", "readme", 500.0)}
    squeeze = next(p for p in papers if p.paper == "wmdd").settings[0]
    assert squeeze.values["optimizer"] == "SGD"
    assert not any(f.quantity == "setting: optimizer" for f in known)


def test_a_fact_says_all_that_is_stated(known):
    fact = next(f for f in known if f.table == "Table 10" and f.row == "ViT" and f.column == "SRe2L + DiRe")
    assert (fact.dataset, fact.ipc, fact.network, fact.method, fact.host) == (
        "cifar100", 50, "ViT", "SRe2L+DiRe", "SRe2L",
    )  # fmt: skip
    assert fact.shown == "35.0 ± 0.5 %"
    assert fact.place == "dire Table 10 (IPC=50): ViT, SRe2L + DiRe"
    fact = next(f for f in known if f.table == "Table 3" and f.row == "G-VBSM")
    assert (fact.printed, fact.shown, fact.half_step, fact.ipc) == ("0.04%", "0.04%", 0.005, None)
    fact = next(f for f in known if f.table == "Table 16" and f.column == "CLIP")
    assert (fact.embedder, fact.quantity, fact.unit) == ("CLIP", "coverage", "")
    fact = next(f for f in known if f.table == "Table 14" and f.row == "CD + CDM")
    assert (fact.method, fact.variant, fact.unit) == ("SRe2L+DiRe", "CD + CDM", "min-max")
    assert (
        next(f for f in known if f.source == "supplement").place == "deda supplement Table 8: LPLD, time per iteration"
    )
    assert {f.host for f in known if f.method == "SRe2L++"} == {""}


def test_missing_cells_are_absent(known):
    infer = [f.ipc for f in known if f.table == "Table 2" and f.method == "INFER"]
    assert infer == [10, 50]
    zero = {(f.paper, f.table) for f in known if f.value == 0}
    assert zero == {("dire", "Table 14"), ("wmdd", "Table 6")}


def test_every_method_with_dire_stands_beside_the_one_without(papers, known):
    dire = [f for f in known if f.paper == "dire" and f.host and f.table[:5] == "Table"]
    there = {(f.source, f.table, f.block, f.method, f.ipc, f.network, f.embedder, f.quantity) for f in known}
    alone = {
        (f.source, f.table)
        for f in dire
        if (f.source, f.table, f.block, f.host, f.ipc, f.network, f.embedder, f.quantity) not in there
    }
    assert alone == {("paper", "Table 14"), ("paper", "Table 17")}  # the ablation, and the comparison with RDED
    assert {f.method.removeprefix(f.host) for f in dire} == {"+DiRe"}


def test_names_come_from_short_lists(known):
    assert {f.dataset for f in known} == {
        "", "cifar10", "cifar100", "tiny-imagenet", "imagenet-1k", "imagenette", "imagenet-21k", "imagenet-100",
    }  # fmt: skip
    assert {f.unit for f in known} == {"", "%", "s", "h", "GB", "x", "min-max"}
    assert {f.method for f in known if not f.host} == {
        "CDA", "CV-DD", "DC", "DEDA", "DELT", "DM", "DSA", "DWA", "EDC", "G-VBSM", "INFER", "INFER(D)", "LPLD", "MTT",
        "RDED", "SRe2L", "SRe2L++", "WMDD", "torchmetrics",
    }  # fmt: skip
    assert all(f.unit == "%" and 0 < f.value < 100 for f in known if f.quantity == "accuracy")


def test_normalised_columns_reach_0_and_1(known):
    for quantity in ("vendi", "cosine", "coverage"):
        column = [f.value for f in known if f.table == "Table 14" and f.quantity == quantity]
        assert (len(column), min(column), max(column)) == (7, 0, 1)


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("INFER(D) + DiRe", "infer-d+dire"),
        ("INFER (D)", "infer-d"),
        ("SRe2L++", "SRe2L++"),
        ("SRe2L++  +  DiRe", "SRe2L+++dire"),
    ],
)
def test_aliases_of_methods(printed, name):
    assert normalise(printed, {"INFER (D)": "infer-d", "DiRe": "dire"}) == name


def test_aliases_reach_methods_hosts_and_baselines(papers):
    found = list(facts(papers, {"SRe2L": "sre2l", "DiRe": "dire"}))
    overhead = next(f for f in found if f.quantity == "overhead")
    assert (overhead.method, overhead.host, overhead.baseline) == ("sre2l+dire", "sre2l", "sre2l")


GOOD = """paper = "x"
title = "X"
[[table]]
id = "Table 1"
caption = "c"
dataset = "cifar10"
quantity = "accuracy"
unit = "%"
down = "method"
across = "ipc"
columns = ["10", "50"]
[table.rows]
A = { 10 = [1.0, 0.1], 50 = 2 }
B = { 50 = { value = 2.50, printed = "2.50%" } }
[[settings]]
id = "Table 2"
caption = "s"
method = "A"
[settings.values]
lr = 0.1
"""


def written(tmp_path, old="", new=""):
    assert old in GOOD
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD, encoding="utf-8")
    return path


def test_the_example_reads(tmp_path):
    path = written(tmp_path, "{ 10 = [1.0, 0.1], 50 = 2 }", "{ 50 = 2, 10 = [1.0, 0.1] }")
    got = list(facts([load_paper(path)]))  # in the order of the columns, however the cells are written
    assert [(f.method, f.ipc, f.value, f.std, f.shown) for f in got] == [
        ("A", 10, 1.0, 0.1, "1.0 ± 0.1 %"),
        ("A", 50, 2.0, None, "2 %"),
        ("B", 50, 2.5, None, "2.50%"),
        ("A", None, 0.1, None, "0.1"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "%"', 'unti = "%"', "Table 1: .*unknown field `unti`"),
        ('caption = "c"', "", "Table 1: .*missing required field `caption`"),
        ('title = "X"', 'title = "X"\nname = "y"', "unknown field `name`"),
        ("50 = 2 }", '50 = "2" }', "Table 1: A, 50: .*got `str`"),
        ("50 = 2 }", "50 = true }", "Table 1: A, 50: .*got `bool`"),
        ("50 = 2 }", "50 = [2, 0.1, 3] }", "Table 1: A, 50: .*length 2"),
        ("50 = 2 }", "50 = { value = 2, sd = 1 } }", "Table 1: A, 50: .*unknown field `sd`"),
        ("50 = 2 }", "50 = nan }", "Table 1: A, 50: numbers must be finite"),
        ("[1.0, 0.1]", "[1.0, -0.1]", "Table 1: A, 10: numbers must be finite, and deviations not negative"),
        ("B = { 50", "B = { 100", "Table 1: B: unknown column '100'; the table has 10, 50"),
        ('columns = ["10", "50"]', 'columns = ["10", "50", "100"]', "column '100' has no cell"),
        ('columns = ["10", "50"]', 'columns = ["10", "50", "50"]', "names a column twice"),
        ('columns = ["10", "50"]', 'columns = ["10", "50", "0"]', "'0' is no IPC"),
        ('across = "ipc"', 'across = "method"', "down and across are both 'method'"),
        ('across = "ipc"', 'across = "network"\nnetwork = "y"', "network is given for the whole table and by its"),
        ('down = "method"', 'down = "network"', "does not say its method"),
        ('quantity = "accuracy"', "", "does not say its quantity"),
        ('unit = "%"', 'units = { accuracy = "%" }', "units names 'accuracy', which is no quantity of its columns"),
        ("lr = 0.1", "lr = true", "Table 2: lr is a number, text or list of numbers, got True"),
        ("lr = 0.1", "lr = []", "Table 2: lr is a number"),
        ("[table.rows]", "[table.rows", "is no TOML"),
    ],
)
def test_errors_name_the_file_and_the_place(tmp_path, old, new, message):
    path = written(tmp_path, old, new)
    with pytest.raises(ResultError, match=message) as error:
        load_paper(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_one_table_stands_once(tmp_path):
    path = tmp_path / "x.toml"
    table = GOOD[GOOD.index("[[table]]") : GOOD.index("[[settings]]")]
    path.write_text(GOOD + table, encoding="utf-8")
    with pytest.raises(ResultError, match="Table 1 stands there twice"):
        load_paper(path)
    path.write_text(GOOD + table.replace('id = "Table 1"', 'id = "Table 1"\nblock = "below"'), encoding="utf-8")
    assert len(load_paper(path).table) == 2


def test_folders_and_files_that_hold_nothing(tmp_path):
    with pytest.raises(ResultError, match=r"holds no \.toml"):
        load_reported(tmp_path)
    (tmp_path / "a.toml").write_text('paper = "x"\ntitle = "X"\n')
    with pytest.raises(ResultError, match="holds no number"):
        load_reported(tmp_path)
    written(tmp_path).rename(tmp_path / "a.toml")
    written(tmp_path)
    with pytest.raises(ResultError, match=r"x\.toml: paper 'x' is .*a\.toml already"):
        load_reported(tmp_path)
    with pytest.raises(ResultError, match="cannot be read"):
        load_paper(tmp_path / "b.toml")


def test_printed_numbers_need_neither_torch_nor_numpy():
    code = "import sys, divbench.leaderboard.facts\nprint('torch' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
