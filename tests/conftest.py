"""What holds for every test."""

import os

import pytest

# Before torch is imported: threads that wait by spinning, or for cores of others, make tests crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
pytest_plugins = ["pytester"]


def _keep_to_own_cores() -> None:
    """Under pytest-xdist every worker has its share of the cores, where the system can say so."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, set(cores[int(worker.removeprefix("gw")) % len(cores) :: workers]))


_keep_to_own_cores()


@pytest.fixture(scope="module")
def few_digits():
    """The data set ``digits`` with 32 training images of a class, where a test is about what is made of them."""
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    whole = load_digits()
    few = Bunch(images=whole.images[:400], target=whole.target[:400])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.datasets.load_digits", lambda: few)
        yield
