"""How claimed gains are shown where there are several of them, several scopes, families and sizes."""

from msgspec.structs import replace

from divbench.leaderboard.board import load_board
from divbench.leaderboard.build import derived
from divbench.leaderboard.measured import measured_tables, printed_tables
from tests.leaderboard.boards import CLAIMS, METHODS, claim, gaining, make_board, scored

GAIN = "gain in coverage"


def cells(table, column):
    at = table.columns.index(column)
    return {row[0]: row[at] for row in table.rows}


def test_a_claim_at_dataset_scope_stands_beside_no_class_scope_value(tmp_path):
    two = claim("class", "coverage", 0.0225, 0.035)
    two += claim("dataset", "coverage", 0.0225, 0.035, more='scope = "dataset"')
    board = load_board(make_board(tmp_path, gaining(), claims=two))
    (apart,) = [one for one in board.stated if one.claim.scope == "dataset"]
    assert apart.measured[0].verdict.status != "holds"
    assert cells(measured_tables(board)[0], GAIN)["Aa + Xx"] == "(✓)"


def test_claims_over_two_baselines_are_both_shown(tmp_path):
    two = CLAIMS + claim("more", "vendi", 1.2, 1.6, base="b")
    board = load_board(make_board(tmp_path, [*gaining(), ("b", scored(vendi=1.5))], claims=two))
    assert set(cells(measured_tables(board)[0], "gain in vendi")["Aa + Xx"].split()) == {"(?)", "(✓)"}


def test_where_the_images_per_class_are_not_stated_all_that_was_measured_is_shown(tmp_path):
    table = printed_tables(load_board(make_board(tmp_path, gaining())))[0]
    assert cells(table, GAIN)["Aa + Xx"] == "(✓) IPC 10"


def test_the_readme_has_the_entries_of_each_table_alone(tmp_path):
    text = derived(load_board(make_board(tmp_path, [("a", scored()), ("b", scored(ipc=50))])))["README.md"]
    first = text[text.index("### cifar10, 10 images") : text.index("### cifar10, 50 images")]
    assert "| Aa " in first
    assert "| Bb " not in first


def test_families_of_a_file_are_kept(tmp_path):
    values = {"coverage": (0.0225, 0.035), "cosine": (0.9, 0.95), "vendi": (1.5, 1.6)}
    for apart in (True, False):
        more = [f'family = "{metric}"' if apart else "" for metric in values]
        claims = "".join(claim(m, m, *v, more=extra) for (m, v), extra in zip(values.items(), more, strict=True))
        board = load_board(make_board(tmp_path / str(apart), gaining(), claims=claims))
        assert any("Holm" in m.verdict.text for one in board.stated for m in one.measured) != apart


def test_a_renamed_method_is_shown_by_its_new_name(tmp_path):
    folder = make_board(tmp_path, gaining(), claims="")
    (folder / "methods.toml").write_text(METHODS.replace('name = "Aa"', 'name = "<b>|New", aliases = ["Aa"]'))
    text = derived(load_board(folder))
    assert r"\<b>\|New" in text["README.md"]
    assert "&lt;b&gt;|New" in text["index.html"]
    assert "<b>|New" not in text["README.md"].replace(r"\<b>\|New", "") + text["index.html"]


def test_lists_of_the_readme_are_escaped(tmp_path):
    folder = make_board(tmp_path, gaining())
    (folder / "methods.toml").write_text(METHODS.replace('name = "Xx"', 'name = "<i>x", aliases = ["Xx"]'))
    text = derived(load_board(folder))["README.md"]
    assert "Refuted by entries here:" in text
    assert "<i>" not in text.replace(r"\<i>", "")


def test_a_note_is_shown(tmp_path):
    text = derived(load_board(make_board(tmp_path, [("a", replace(scored(), note="by hand | at home"))])))["README.md"]
    assert r"by hand \| at home" in text
