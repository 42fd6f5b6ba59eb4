"""`divbench leaderboard` as a user meets it: its four commands, what check finds, and their exit statuses."""

import csv
import io
import json
import subprocess

import pytest
from click.testing import CliRunner

from divbench.cli import main
from divbench.leaderboard.add import add
from divbench.leaderboard.changes import Change
from divbench.results import save_result
from tests.leaderboard.boards import claim, gaining, make_board, put, scored

FILES = ("README.md", "index.html", "numbers.csv")


def run(command, folder, *arguments, folder_option=True):
    options = ["--folder", folder] if folder_option else []
    return CliRunner().invoke(main, ["leaderboard", command, *map(str, (*arguments, *options))])


def well(done):
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout


def bytes_of(folder):
    return {one: one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def listed(done):
    """The changes that a check or an addition printed: number -> old, new, verdict."""
    rows = list(csv.reader(io.StringIO(done.stdout)))
    return {(row[0].split("/")[2], row[1]): tuple(row[2:]) for row in rows[1:] if len(row) == 5}


@pytest.fixture
def folder(tmp_path):
    made = make_board(tmp_path / "board", gaining())
    well(run("build", made))
    return made


# --- check


def test_a_fresh_leaderboard_passes_and_nothing_is_written(folder):
    before = bytes_of(folder)
    said = well(run("check", folder))
    assert said.startswith(f"{folder}: all is well. 2 measured entries in 1 table; ")
    assert bytes_of(folder) == before


def test_every_stale_file_is_named_and_a_build_mends_them(folder):
    (folder / "README.md").write_text((folder / "README.md").read_text().replace("0.1", "0.2"))
    (folder / "numbers.csv").unlink()
    done = run("check", folder)
    assert done.exit_code == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        str(folder / "README.md"), str(folder / "numbers.csv"),
    ]  # fmt: skip
    assert "divbench leaderboard build" in done.stderr
    assert "all is well" not in done.output
    well(run("build", folder))
    well(run("check", folder))
    (folder / "index.html").write_text("")
    assert run("check", folder).stderr.startswith(str(folder / "index.html"))


def test_a_changed_number_is_listed_old_and_new(folder):
    put(folder, "a", scored(coverage=0.125))
    done = run("check", folder, "--format", "csv")
    assert done.exit_code == 1
    changes = listed(done)
    assert changes["a", "coverage, class scope"] == ("0.1", "0.125", "beyond")
    assert {what.partition(",")[0] for _, what in changes} == {"coverage"}
    assert {method for method, _ in changes} == {"a"}
    assert [str(folder / name) in done.stderr for name in FILES] == [True] * 3
    assert "0.001" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("tolerance", "verdict"), [("0.01", "within"), ("0.001", "beyond"), ("0", "beyond")])
def test_the_tolerance_is_a_share_of_the_number(folder, tolerance, verdict):
    put(folder, "a", scored(vendi=2.01))
    done = run("check", folder, "--tolerance", tolerance, "--format", "csv")
    assert listed(done)["a", "vendi, class scope"] == ("2", "2.01", verdict)
    assert done.exit_code == 1  # stale all the same
    assert ("changed by" in done.stderr) == (verdict == "beyond")


def test_what_is_gone_is_beyond_any_tolerance_and_what_is_new_is_not():
    assert Change("p", "m", 0.5, None).beyond(1e9)
    assert not Change("p", "m", None, 0.5).beyond(0)
    assert Change("p", "m", 0.0, 1e-9).beyond(0.5)
    assert not Change("p", "m", 1.0, 1.0009).beyond(1e-3)
    assert Change("p", "m", -1.0, -1.002).beyond(1e-3)
    assert Change("p", "m", 1.0, -1.0).beyond(1)


def test_a_removed_entry_is_listed_and_a_new_one_is_not(folder):
    for file in (folder / "results").rglob("a+x/*.json"):
        file.unlink()
    put(folder, "b", scored())
    changes = listed(run("check", folder, "--format", "csv", "--tolerance", "1000"))
    assert {method for method, _ in changes} == {"a+x"}
    assert {(new, verdict) for _, new, verdict in changes.values()} == {("", "beyond")}
    assert {what for _, what in changes} >= {f"{m}, {s} scope" for m in ("coverage", "vendi", "cosine") for s in
                                             ("class", "dataset")}  # fmt: skip


def test_all_that_is_wrong_with_entries_is_said_at_once_and_a_build_writes_nothing(folder):
    put(folder, "b", scored()).write_text("{")
    put(folder, "random", scored(real="other"))
    (folder / "results" / "notes.txt").write_text("x")
    before = bytes_of(folder)
    for command, status in (("check", 1), ("build", 2), ("audit", 2)):
        done = run(command, folder)
        assert done.exit_code == status
        assert done.stdout == ""
        for part in ("b/hand", "random/hand", "notes.txt: is no entry", "is no divbench result", "real"):
            assert part in done.stderr
    assert bytes_of(folder) == before


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("methods.toml", "[a", "is no TOML"), ("reported/p.toml", "", "missing required field"),
        ("claims/p.claims.toml", claim("c", "vendi", 1, 2), "p.claims.toml, line 1: c: "),
        ("numbers.csv", "no,table\n1,2\n", "is no table of numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem(folder, file, text, message):
    (folder / file).write_text(text)
    done = run("check", folder)
    assert done.exit_code == 1
    assert message in done.stderr
    assert "all is well" not in done.output


def test_questions_that_are_wrong(folder, tmp_path):
    for arguments in (["--tolerance", "-1"], ["--tolerance", "x"], ["--format", "x"], ["--against"]):
        assert run("check", folder, *arguments, folder_option=False).exit_code == 2
    for command in ("check", "build", "audit"):
        done = run(command, tmp_path / "nowhere")
        assert done.exit_code == (1 if command == "check" and "no such folder" not in done.stderr else 2)
        assert f"{tmp_path / 'nowhere'}: there is no such folder" in done.stderr
        assert "--folder" in done.stderr


# --- against a commit


def git(where, *arguments):
    settings = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *arguments], cwd=where, check=True, capture_output=True)


@pytest.fixture(params=["", "deep/er"])
def published(tmp_path, request):
    """A leaderboard in the root of a repository, or deeper, with one commit."""
    root = tmp_path / "repository"
    made = make_board(root / request.param if request.param else root, gaining())
    git(root, "init", "-b", "main")
    (root / "file").write_text("x")
    git(root, "add", "file")
    git(root, "commit", "-m", "without")
    git(root, "tag", "without")
    well(run("build", made))
    git(root, "add", "-A")
    git(root, "commit", "-m", "first")
    return made


def test_a_replaced_number_is_listed_against_the_commit(published, tmp_path, monkeypatch):
    assert "all is well" in well(run("check", published, "--against", "main"))
    mine = tmp_path / "mine.json"
    save_result(scored("new", coverage=0.125), mine)
    done = run("add", published, mine, "--method", "a", "--replace")
    assert "0.125" in well(done)
    well(run("check", published))
    for where, folder in ((tmp_path, published), (published, ".")):
        monkeypatch.chdir(where)
        done = run("check", folder, "--against", "main", "--format", "csv")
        assert done.exit_code == 1
        assert listed(done)["a", "coverage, class scope"] == ("0.1", "0.125", "beyond")
        assert {method for method, _ in listed(done)} == {"a"}
        assert "of main" in done.stderr
    done = run("check", published, "--against", "main", "--tolerance", "0.5")
    assert done.exit_code == 0
    assert "within" in done.stdout
    git(published, "commit", "-am", "second")
    well(run("check", published, "--against", "HEAD"))
    assert run("check", published, "--against", "HEAD~1").exit_code == 1


def test_new_entries_are_no_change(published):
    put(published, "b", scored())
    well(run("build", published))
    assert "all is well" in well(run("check", published, "--against", "main"))


def test_a_commit_without_a_leaderboard_has_nothing_to_compare(published):
    done = run("check", published, "--against", "without")
    assert (done.exit_code, "all is well" in done.stdout) == (0, True)


@pytest.mark.parametrize("commit", ["nowhere", "main:file", "--output=x", "-h", "", "main..main"])
def test_what_is_no_commit_is_refused(published, commit, monkeypatch):
    monkeypatch.chdir(published)
    before = bytes_of(published)
    done = run("check", published, f"--against={commit}")
    assert done.exit_code == 2
    assert f"--against {commit}" in done.stderr
    assert ("expected a branch, tag or commit" in done.stderr) == commit.startswith("-")
    assert bytes_of(published) == before


def test_no_repository_is_said(folder):
    done = run("check", folder, "--against", "main")
    assert done.exit_code == 2
    assert "--against main: " in done.stderr
    assert "git repository" in done.stderr


# --- build, add and audit


def test_add_says_where_the_entry_is_and_writes_the_tables(folder, tmp_path):
    mine = tmp_path / "mine.json"
    save_result(scored("new", coverage=0.3), mine)
    said = well(run("add", folder, mine, "--method", "b", "--note", "by hand"))
    assert said.splitlines()[0] == f"{folder}/results/cifar10/ipc10/b/{next(folder.rglob('b/*.json')).name}: Bb"
    assert "by hand" in (folder / "README.md").read_text()
    well(run("check", folder))
    before = bytes_of(folder)
    for arguments, message in (
        (["--method", "b"], "--replace"), (["--method", "bb"], "did you mean 'b'"), ([], "--method"),
        (["--method", "a", "--dataset", "CIFAR"], "is no key of a data set"),
    ):  # fmt: skip
        done = run("add", folder, mine, *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr
    assert run("add", folder, tmp_path / "none.json", "--method", "a").exit_code == 2
    assert bytes_of(folder) == before
    save_result(scored("new", dataset="svhn"), mine)
    assert "svhn/ipc10/b" in well(run("add", folder, mine, "--method", "b"))


def test_an_addition_by_hand_needs_a_build(folder, tmp_path):
    save_result(scored("new"), tmp_path / "mine.json")
    add(tmp_path / "mine.json", folder, "b")
    assert run("check", folder).exit_code == 1
    assert "3 measured entries" in well(run("build", folder))
    well(run("check", folder))


def test_audit_lists_findings_by_paper_and_severity(folder):
    everything = json.loads(well(run("audit", folder, "--format", "json")))["rows"]
    assert {row["rule"] for row in everything} >= {"refuted improvement", "printed elsewhere"}
    numbers = [row[""] for row in everything]
    assert numbers == list(range(1, len(numbers) + 1))
    levels = ("error", "warning", "info")
    for last, severity in enumerate(levels, 1):
        rows = json.loads(well(run("audit", folder, "--format", "json", "--severity", severity)))["rows"]
        assert rows == [row for row in everything if row["severity"] in levels[:last]]
    of_q = json.loads(well(run("audit", folder, "--paper", "q", "--format", "json")))["rows"]
    assert 0 < len(of_q) < len(everything)
    assert all(row in everything for row in of_q)
    assert {row["rule"] for row in of_q} == {"printed elsewhere"}
    markdown = well(run("audit", folder, "--format", "markdown"))
    assert markdown.count("\n| ") >= len(everything)
    assert "refuted improvement" in well(run("audit", folder))
    done = run("audit", folder, "--paper", "dire")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is none; papers are p, q" in done.stderr
