"""The order of tests where several processes share them: who works longest starts first."""

import pytest

LONGEST = "test_reference_application.py"  # four minutes of the suite's, in one piece


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # in a process of pytest-xdist; elsewhere it comes last
        items.sort(key=lambda item: item.path.name != LONGEST)
