"""Read before torch: threads that wait by spinning make tests crawl on machines that do something else as well."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
pytest_plugins = ["pytester"]
