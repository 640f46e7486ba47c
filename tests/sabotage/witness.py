"""A pytest plugin that reports which mirrorsync is under test: the sabotaged copy, or another one by mistake."""

import mirrorsync


def pytest_report_header() -> str:
    return f"testing {mirrorsync.__file__}"
