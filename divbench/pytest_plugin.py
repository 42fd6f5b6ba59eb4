"""pytest plugin: claim files are tests, and a fixture asserts a gain. Comes with the package; imports no torch.

`*.claims.toml` files are collected, a test for each claim and pin, whose failure is the verdict. The fixture
``diversity`` has `assert_gain`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from divbench.claims.asserting import Diversity
    from divbench.claims.judge import Verdict

SUFFIX = ".claims.toml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where results are, and what an inconclusive claim is worth."""
    group = parser.getgroup("divbench", "claims of diversity gains")
    group.addoption("--divbench-results", metavar="DIR", help="folder that claims name results in")
    group.addoption(
        "--divbench-accept-inconclusive", action="store_true", help="skip claims that are not told from noise"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ClaimCollector | None":
    """Claim files, by their name."""
    return ClaimCollector.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


@pytest.fixture(scope="session")
def diversity() -> "Diversity":
    """Asserts that one set is more diverse than another: ``diversity.assert_gain(candidate, over=baseline, ...)``."""
    from divbench.claims.asserting import Diversity

    return Diversity()


class ClaimCollector(pytest.File):
    """A claim file; its claims are judged together, as those of a family share the chance of a false alarm."""

    _verdicts: "dict[str, Verdict] | None" = None

    def collect(self) -> "Iterator[ClaimItem]":
        from divbench.claims.claim import load_claims
        from divbench.errors import ClaimError

        try:
            self.file = load_claims(self.path)
        except ClaimError as problem:
            raise self.CollectError(str(problem)) from None
        for name, line in self.file.lines.items():
            yield ClaimItem.from_parent(self, name=name, line=line)

    def verdict(self, name: str) -> "Verdict":
        """The verdict on the claim or pin ``name``; the first call judges all of them."""
        from divbench.claims.judge import judge, results_in
        from divbench.claims.pins import judge_pins

        if self._verdicts is None:
            folder = self.config.getoption("--divbench-results")
            load = results_in(self.path.parent if folder is None else Path(folder))
            found = judge(self.file, load) + judge_pins(self.file, load)
            self._verdicts = {verdict.about.id: verdict for verdict in found}
        return self._verdicts[name]


class ClaimItem(pytest.Item):
    """One claim or pin."""

    def __init__(self, *, line: int, **values: Any) -> None:
        super().__init__(**values)
        self.line = line

    def runtest(self) -> None:
        assert isinstance(self.parent, ClaimCollector)
        verdict = self.parent.verdict(self.name)
        if verdict.status == "inconclusive" and self.config.getoption("--divbench-accept-inconclusive"):
            pytest.skip(f"inconclusive: {verdict.text}")
        if verdict.status != "holds":
            raise ClaimNotHeldError(f"{verdict.status}: {verdict.text}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **values: Any) -> Any:
        """The verdict, without a traceback."""
        if isinstance(excinfo.value, ClaimNotHeldError):
            return f"{self.path.name}, line {self.line}: {self.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, *args, **values)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, f"claim: {self.name}"


class ClaimNotHeldError(Exception):
    """A claim is refuted, inconclusive, or cannot be judged; the message is the verdict."""
