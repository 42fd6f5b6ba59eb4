"""Read before torch: threads that wait by spinning, or for cores of others, make tests crawl."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
pytest_plugins = ["pytester"]


def _keep_to_own_cores() -> None:
    """Under pytest-xdist every worker has its share of the cores, where the system can say so."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, set(cores[int(worker.removeprefix("gw")) % len(cores) :: workers]))


_keep_to_own_cores()
