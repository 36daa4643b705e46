"""What all tests need on a machine that is busy, and where several processes share them."""

import pytest
from hypothesis import HealthCheck, settings

LONGEST = "test_reference_application.py"  # the longest of the suite, in one piece

# A quarter of a second of wall time is what the machine makes of it, and no property of the code:
# a test that bounds time says so itself, in CPU time. Everything else is as it was chosen: under CI
# hypothesis takes examples that do not change from run to run.
settings.register_profile(
    "busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in a process of pytest-xdist; elsewhere it comes last
        items.sort(key=lambda item: item.path.name != LONGEST)
