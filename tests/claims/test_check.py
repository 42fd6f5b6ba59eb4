"""`divbench check` and `divbench claim new` as a user meets them: exit status, formats, pins."""

import json
import time
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from divbench.claims.claim import load_claims
from divbench.cli import main
from divbench.results import save_result
from tests.report.stories import entry


def run(*arguments, **environment):
    return CliRunner().invoke(main, [str(a) for a in arguments], env=environment)


def claim(name, metric="vendi", candidate="after", **fields):
    lines = {"id": name, "baseline": "before", "candidate": candidate, "metric": metric, **fields}
    return "[[claim]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


@pytest.fixture
def folder(tmp_path):
    save_result(entry(), tmp_path / "before.json")
    save_result(entry("after", vendi=2.4, cosine=0.7), tmp_path / "after.json")
    save_result(entry("worse", vendi=1.6), tmp_path / "worse.json")
    return tmp_path


def check(folder, text, *options, **environment):
    (folder / "x.claims.toml").write_text(text)
    return run("check", folder / "x.claims.toml", *options, **environment)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (claim("a"), 0),
        (claim("a") + claim("b", "coverage"), 3),
        (claim("a") + claim("b", "coverage") + claim("c", candidate="worse"), 1),
        (claim("a") + claim("c", candidate="worse") + claim("d", candidate="none"), 2),
        ("", 2),
        (claim("a", min_gian=1), 2),
    ],
)
def test_the_exit_status_is_that_of_the_worst_claim(folder, text, status):
    assert check(folder, text).exit_code == status


def test_inconclusive_may_be_accepted_but_nothing_else(folder):
    assert check(folder, claim("a", "coverage"), "--accept-inconclusive").exit_code == 0
    assert check(folder, claim("a", candidate="worse"), "--accept-inconclusive").exit_code == 1


def test_the_table_shows_claimed_beside_measured(folder):
    done = check(folder, claim("dire", claimed=[1.87, 2.25], min_gain=0.1))
    assert "1 claims: 1 holds" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("dire"))
    assert "✓ holds" in row
    assert "1.87 → 2.25" in row
    assert "2 → 2.4" in row
    assert "sign-flip over 10 classes" in done.stdout


def test_json_holds_everything(folder):
    (found,) = json.loads(check(folder, claim("a"), "--format", "json").stdout)
    assert (found["status"], found["line"], found["about"]["metric"]) == ("holds", 1, "vendi")
    assert found["gain"]["effect"] == pytest.approx(0.4)
    (found,) = json.loads(check(folder, claim("a", "diversity"), "--format", "json").stdout)
    assert len(found["conditions"]) == 4
    assert set(found["gains"]) >= {"coverage", "vendi", "cosine"}


def test_annotations_name_the_line_and_a_table_goes_to_the_summary(folder):
    text = claim("a") + "\n" + claim("b, 100%: c", candidate="worse")
    summary = folder / "summary.md"
    done = check(folder, text, "--format", "github", GITHUB_STEP_SUMMARY=str(summary))
    first, second = done.stdout.splitlines()
    assert first.startswith("::notice file=")
    assert ",line=1,title=a holds::vendi" in first
    assert "::error " in second
    assert ",line=7,title=b%2C 100%25%3A c refuted::" in second
    assert "## Claims: refuted" in summary.read_text()
    assert "| a" in summary.read_text()


def test_junit_says_what_failed(folder):
    out = folder / "junit.xml"
    text = claim("a") + claim("b", "coverage") + claim("c", candidate="worse") + claim("d", candidate="none")
    assert check(folder, text, "--junit", out).exit_code == 2
    (suite,) = ElementTree.parse(out).getroot()
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "4", "failures": "2", "errors": "1",
    }  # fmt: skip
    assert "refuted" in suite.find("testcase[@name='c']/failure").get("message")
    check(folder, claim("b", "coverage"), "--junit", out, "--accept-inconclusive")
    assert ElementTree.parse(out).getroot()[0].get("skipped") == "1"


def test_a_file_that_cannot_be_read_hides_no_verdict_and_no_old_report_stays(folder):
    out = folder / "junit.xml"
    (folder / "bad.claims.toml").write_text("claim = 1")
    (folder / "x.claims.toml").write_text(claim("a"))
    done = run("check", folder / "bad.claims.toml", folder / "x.claims.toml", "--junit", out, "--format", "github")
    assert done.exit_code == 2
    assert "::error file=" in done.stdout
    assert "title=a holds" in done.stdout
    assert len(ElementTree.parse(out).getroot()) == 2
    assert run("check", folder / "x.claims.toml", "--junit", folder / "x.claims.toml").exit_code == 2
    assert check(folder, claim("a").replace("before", "be\\u0000fore")).exit_code == 2


def test_a_draft_from_another_folder_names_files_that_are_found(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    done = run("claim", "new", folder / "before.json", folder / "after.json", "-o", other / "d.claims.toml")
    assert done.exit_code == 0, done.stderr
    assert run("check", other / "d.claims.toml").exit_code == 0
    assert run("claim", "new", folder / "before.json", folder / "before.json").exit_code == 2
    save_result(entry("after", vendi=2.4), folder / "after")
    done = run("claim", "new", folder / "before.json", folder / "after")
    assert done.exit_code == 2
    assert "expected a name in .json" in done.stderr


def test_results_may_lie_elsewhere(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("claims")
    (other / "x.toml").write_text(claim("a"))
    assert run("check", other / "x.toml").exit_code == 2
    assert run("check", other / "x.toml", "--results", folder).exit_code == 0


PIN = '[[pin]]\nid = "p"\nresult = "before"\nmetric = "vendi"\ntolerance = 0.05\n'


def test_a_pinned_value_is_written_and_fails_and_then_holds(folder):
    done = check(folder, PIN)
    assert done.exit_code == 2
    assert "write it with --regenerate" in done.stdout
    done = run("check", folder / "x.claims.toml", "--regenerate")
    assert done.exit_code == 1
    assert "written 2, was not there" in done.stdout
    assert json.loads((folder / "x.claims.pins.json").read_text())["pins"] == {"p": pytest.approx(2.0)}
    assert run("check", folder / "x.claims.toml").exit_code == 0
    assert run("check", folder / "x.claims.toml", "--regenerate").exit_code == 0  # nothing has moved
    save_result(entry(vendi=2.04), folder / "before.json")
    assert run("check", folder / "x.claims.toml").exit_code == 0
    save_result(entry(vendi=2.1), folder / "before.json")
    done = run("check", folder / "x.claims.toml")
    assert done.exit_code == 1
    assert "pinned 2, now 2.1, moved by 0.1 of 0.05 that are tolerated" in done.stdout
    assert run("check", folder / "x.claims.toml", "--regenerate").exit_code == 1


def test_pins_that_cannot_be_measured_hide_no_verdict(folder):
    done = check(folder, claim("a") + PIN.replace("before", "none"), "--regenerate")
    assert done.exit_code == 2
    assert "2 claims: 1 holds, 1 error" in done.stdout
    assert "none.json: is not there; 'none' is the name of a result file below the folder of --results" in done.stdout


def test_damaged_pins_are_one_line(folder):
    check(folder, PIN)
    (folder / "x.claims.pins.json").write_text('{"schema": 1, "pins": {"p": NaN}}')
    done = run("check", folder / "x.claims.toml")
    assert done.exit_code == 2
    assert "holds no pinned values" in done.stdout
    assert run("check", folder / "x.claims.toml", "--regenerate").exit_code == 1
    assert run("check", folder / "x.claims.toml").exit_code == 0


def test_a_draft_holds_of_what_it_was_made_of(folder):
    out = folder / "new.claims.toml"
    done = run("claim", "new", folder / "before.json", folder / "after.json", "-o", out)
    assert done.exit_code == 0, done.stderr
    claims = {one.metric: one for one in load_claims(out).claims}
    assert set(claims) == {"vendi", "cosine"}
    assert claims["vendi"].min_gain == pytest.approx(0.3)  # three quarters of 0.4
    assert (claims["vendi"].baseline, claims["vendi"].candidate) == ("before", "after")
    assert "# No gain was shown: coverage" in out.read_text()
    assert run("check", out).exit_code == 0
    assert run("claim", "new", folder / "before.json", folder / "after.json", "-o", out).exit_code == 2
    assert run("claim", "new", folder / "before.json", folder / "after.json").stdout.startswith("# after beside before")


def test_a_draft_of_what_does_not_compare_is_refused(folder):
    save_result(entry("after", ipc=50), folder / "after.json")
    done = run("claim", "new", folder / "before.json", folder / "after.json")
    assert done.exit_code == 2
    assert "unequal images per class" in done.stderr


def test_a_hundred_claims_over_a_hundred_classes_are_quick(tmp_path):
    classes = tuple(f"c{i}" for i in range(100))
    for i in range(11):
        save_result(entry(f"e{i}", classes=classes, vendi=2 + 0.1 * i), tmp_path / f"e{i}.json")
    pairs = [(i, j) for i in range(11) for j in range(i)][:50]
    text = "".join(
        claim(f"{i}-{j}-{metric}", metric, f"e{i}", baseline=f"e{j}")
        for i, j in pairs
        for metric in ("vendi", "cosine")
    )
    run("check", "--help")  # imports
    started = time.perf_counter()
    done = check(tmp_path, text)
    assert time.perf_counter() - started < 2.0
    assert done.exit_code == 3
    assert "100 claims: 50 holds, 50 inconclusive" in done.stdout


def test_plan_says_what_it_takes(folder):
    done = run("plan", "--gain", 0.02, "--classes", 10, "--class-sd", 0.03)
    assert done.exit_code == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[4:9]] == ["1", "2", "3", "5", "10"]
    assert [line.split()[-1] for line in done.stdout.splitlines()[4:7]] == ["sets", "method", "method"]
    assert "power 0.8 takes 4 seeds at 10 classes, or 20 classes with one set each" in done.stdout
    few = run("plan", "--gain", 0.02, "--classes", 3, "--class-sd", 0.03)
    assert [line.split()[0] for line in few.stdout.splitlines()[4:6]] == ["2", "3"]
    done = run("plan", folder / "before.json", folder / "after.json", "--metric", "vendi", "--gain", 0.1)
    assert "over 10 classes; standard deviation" in done.stdout
    alone = run("plan", "--gain", 1, "--classes", 10, "--class-sd", 0)
    assert "--class-sd" in alone.stderr
    points = run("plan", folder / "before.json", folder / "after.json", "--metric", "accuracy/convnet3", "--gain", 2)
    assert points.exit_code == 2
    assert (
        "--gain 2: of accuracy/convnet3 it is a share of the test images, at most 1; a point is 0.01" in points.stderr
    )
    for wrong in (("--gain", 0.1), ("--gain", 0.1, folder / "before.json"), ("--gain", 0, "--classes", 3)):
        assert run("plan", *wrong).exit_code == 2
