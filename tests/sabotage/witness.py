"""A pytest plugin that tells which mirrorsync is under test, so that nobody trusts a sabotage that never took place."""

import mirrorsync


def pytest_report_header() -> str:
    return f"testing {mirrorsync.__file__}"
