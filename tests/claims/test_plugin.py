"""The pytest plugin: claim files are tests, failures are verdicts, and the fixture asserts gains."""

import pytest

import divbench.claims.asserting  # noqa: F401 - numpy cannot be loaded anew by each inner run, in this one process
from divbench.results import save_result
from tests.report.stories import entry

CLAIMS = """
[[claim]]
id = "spreads"
baseline = "before"
candidate = "after"
metric = "vendi"

[[claim]]
id = "reaches"
baseline = "before"
candidate = "after"
metric = "coverage"

[[claim]]
id = "shrinks"
baseline = "after"
candidate = "before"
metric = "cosine"
"""


@pytest.fixture
def project(pytester):
    save_result(entry(), pytester.path / "before.json")
    save_result(entry("after", vendi=2.4, cosine=0.7), pytester.path / "after.json")
    (pytester.path / "paper.claims.toml").write_text(CLAIMS)
    return pytester


def test_each_claim_is_a_test_and_its_failure_the_verdict(project):
    done = project.runpytest("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=2)
    text = done.stdout.str()
    assert "paper.claims.toml, line 8: reaches" in text
    assert "inconclusive: coverage 0.3 → 0.3: gain" in text
    assert "refuted: cosine 0.7 → 0.8: gain -0.1" in text
    assert "Traceback" not in text
    assert "judge.py" not in text


def test_inconclusive_claims_may_be_skipped_and_one_be_chosen(project):
    project.runpytest("--divbench-accept-inconclusive").assert_outcomes(passed=1, failed=1, skipped=1)
    project.runpytest("paper.claims.toml::spreads").assert_outcomes(passed=1)
    project.runpytest("-k", "shrinks").assert_outcomes(failed=1, deselected=2)


def test_results_may_lie_elsewhere(project):
    (project.path / "results").mkdir()
    for name in ("before", "after"):
        (project.path / f"{name}.json").rename(project.path / "results" / f"{name}.json")
    project.runpytest().assert_outcomes(failed=3)
    project.runpytest("--divbench-results", "results").assert_outcomes(passed=1, failed=2)


def test_a_file_that_is_wrong_is_an_error_with_its_line(project):
    (project.path / "paper.claims.toml").write_text(CLAIMS.replace("candidate", "candidat", 1))
    done = project.runpytest()
    assert done.ret != 0
    assert "paper.claims.toml, line 2: Object contains unknown field `candidat`" in done.stdout.str()
    (project.path / "paper.claims.toml").write_text("")
    done = project.runpytest()
    assert done.ret != 0
    assert "states no claim" in done.stdout.str()


@pytest.mark.slow
def test_claims_are_shared_out_by_xdist(project):
    pytest.importorskip("xdist")
    project.runpytest("-n", "2").assert_outcomes(passed=1, failed=2)


def test_the_fixture_asserts_gains_of_result_files(project):
    project.makepyfile(
        """
        def test_it_spreads(diversity):
            verdict = diversity.assert_gain("after.json", over="before.json", metric="vendi", at_least=0.2)
            assert verdict.gain.effect > 0.39

        def test_it_shrinks(diversity):
            diversity.assert_gain("before.json", over="after.json", metric="vendi")
        """
    )
    done = project.runpytest("-k", "test_it")
    done.assert_outcomes(passed=1, failed=1, deselected=3)
    assert "AssertionError: refuted: vendi 2.4 → 2: gain -0.4" in done.stdout.str()
    assert "asserting.py" not in done.stdout.str()
