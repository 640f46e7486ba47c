"""The alert rules and the dashboard in docs/monitoring."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.unit.observe.metrics_kit import exported, named

DOCS: Final = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
RULES: Final = (DOCS / "mirrorsync.rules.yml").read_text()
DASHBOARD: Final[dict[str, Any]] = json.loads((DOCS / "mirrorsync.json").read_text())
PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")


class Case(msgspec.Struct, frozen=True):
    """Synthetic series during which an alert is silent, fires, and is silent again."""

    alert: str
    series: Mapping[str, str]
    quiet_at: int
    """Minutes."""
    fires_at: int
    over_at: int
    labels: Mapping[str, str]
    step: int = 1
    """Minutes from one value to the next."""


_A: Final = {"instance": "a"}
_WARNING: Final = {**_A, "severity": "warning"}
_CRITICAL: Final = {**_A, "severity": "critical"}
_REQUESTS: Final = 'mirrorsync_upstream_requests_total{instance="a",host="h",code="%s"}'
_STAMP: Final = '{instance="a"}'
"""A timestamp that stops in the middle of the series and then advances again."""
_JOB: Final = '{job="mirrorsync",instance="a"}'
_AWAY: Final = "stale _x19"
"""Twenty minutes without a listener to scrape."""
_DAY: Final = 24 * 60
"""Minutes."""
CASES: Final = [
    Case(
        "MirrorsyncNotRunning",
        {'up{job="mirrorsync",instance="a"}': "1x10 0x20 1x30"},
        10,
        20,
        45,
        {**_CRITICAL, "job": "mirrorsync"},
    ),
    Case(
        "MirrorsyncNotRunning",
        {f"mirrorsync_observed_timestamp_seconds{_STAMP}": "0+60x10 600x50 3660+60x10"},
        30,
        50,
        65,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncAbsent",
        {f"mirrorsync_build_info{_STAMP}": "1x5 stale _x30 1x20"},
        4,
        35,
        45,
        {"severity": "critical"},
    ),
    Case("MirrorsyncHalted", {f"mirrorsync_halted{_STAMP}": "0x5 1x10 0x10"}, 5, 10, 20, _CRITICAL),
    Case("MirrorsyncHalted", {f"mirrorsync_last_run_halted{_STAMP}": "0x5 1x10 0x10"}, 5, 10, 20, _CRITICAL),
    Case("MirrorsyncHalted", {f"mirrorsync_halted{_STAMP}": f"0x5 1 {_AWAY} 0x10"}, 5, 25, 40, _CRITICAL),
    Case(
        "MirrorsyncHalted",
        {f"mirrorsync_last_run_halted{_STAMP}": f"0x5 {_AWAY} 1 {_AWAY} 0x10"},
        20,
        45,
        55,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncHalted",
        {
            f"mirrorsync_last_run_halted{_STAMP}": "0x5 1x90",
            f"mirrorsync_last_run_end_timestamp_seconds{_STAMP}": "0x5 360x90",
            f"mirrorsync_start_timestamp_seconds{_STAMP}": "0x20 1260x75",
        },
        5,
        45,
        60,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncRestartLoop",
        {f"mirrorsync_start_timestamp_seconds{_STAMP}": "1x10 1+60x8 600x60"},
        13,
        25,
        70,
        _WARNING,
    ),
    Case(
        "MirrorsyncRestartLoop",
        {
            f"mirrorsync_start_timestamp_seconds{_JOB}": f"0x5 {_AWAY} {_AWAY} 2760 {_AWAY} 4020x40",
            f"up{_JOB}": "1x5 0x39 1 0x19 1x40",
        },
        45,
        60,
        85,
        {**_WARNING, "job": "mirrorsync"},
    ),
    Case(
        "MirrorsyncBehind",
        {f"mirrorsync_complete_timestamp_seconds{_STAMP}": "0+60x10 600x100 6660+60x20"},
        75,
        90,
        115,
        _WARNING,
    ),
    Case(
        "MirrorsyncBehind",
        {  # started again each day; never complete, until it is after the eleventh one
            f"mirrorsync_start_timestamp_seconds{_STAMP}": " ".join(f"{day * 86_400}x23" for day in range(14)),
            f"mirrorsync_complete_timestamp_seconds{_STAMP}": f"_x{11 * 24} {11 * 86_400}+3600x60",
        },
        10 * _DAY,
        10 * _DAY + 120,
        11 * _DAY + 120,
        _WARNING,
        step=60,
    ),
    Case(
        "MirrorsyncFarBehind",
        {
            f"mirrorsync_complete_timestamp_seconds{_STAMP}": "0x900",  # of the whole: one project fails for ever
            f"mirrorsync_behind_seconds{_STAMP}": "60x400 60+60x400 60x100",
            f"mirrorsync_observed_timestamp_seconds{_STAMP}": "0+60x901",
        },
        700,
        790,
        820,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncFarBehind",
        {
            f"mirrorsync_behind_seconds{_STAMP}": "60x500",
            f"mirrorsync_observed_timestamp_seconds{_STAMP}": "0+60x10 600x400 24660+60x20",
        },
        365,
        385,
        415,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncUnmetForLong",
        {f"mirrorsync_failing_since_timestamp_seconds{_STAMP}": "_x10 600x400 stale _x20"},
        370,
        390,
        420,
        _WARNING,
    ),
    Case(
        "MirrorsyncUpstreamSilent",
        {f"mirrorsync_polled_timestamp_seconds{_STAMP}": "0+60x10 600x50 3660+60x10"},
        40,
        50,
        65,
        _WARNING,
    ),
    Case(
        "MirrorsyncUpstreamSilent",
        {  # started again each ten minutes; never polled, until it is in the second hour
            f"mirrorsync_start_timestamp_seconds{_STAMP}": " ".join(f"{number * 600}x9" for number in range(9)),
            f"mirrorsync_polled_timestamp_seconds{_STAMP}": "_x60 3600+60x30",
        },
        30,
        40,
        65,
        _WARNING,
    ),
    Case(
        "MirrorsyncUpstreamErrors",
        {_REQUESTS % "200": "0+60x90", _REQUESTS % "503": "0x20 0+30x30 900x60", _REQUESTS % "none": "0x90"},
        20,
        45,
        80,
        {**_WARNING, "host": "h"},
    ),
    Case(
        "MirrorsyncDiskFilling",
        {
            f"mirrorsync_disk_free_bytes{_STAMP}": "100000x400 100000-20x400 92000x500",
            f"mirrorsync_disk_min_free_bytes{_STAMP}": "50000x1300",
        },
        400,
        700,
        1200,
        _WARNING,
    ),
    Case(
        "MirrorsyncDiskFull",
        {
            f"mirrorsync_disk_free_bytes{_STAMP}": "100x10 40x10 100x20",
            f"mirrorsync_disk_min_free_bytes{_STAMP}": "50x40",
        },
        12,
        18,
        30,
        _CRITICAL,
    ),
    Case(
        "MirrorsyncDiskFull", {f"mirrorsync_disk_free_inodes{_STAMP}": "20000x10 9x10 20000x20"}, 12, 18, 30, _CRITICAL
    ),
    Case(
        "MirrorsyncRemovalHeld",
        {'mirrorsync_trouble{instance="a",at="removals"}': "0x10 1x20 0x20"},
        15,
        25,
        40,
        {**_WARNING, "at": "removals"},
    ),
    Case(
        "MirrorsyncRemovalHeld",
        {'mirrorsync_unmet_projects{instance="a",reason="held"}': "0x10 1x20 0x20"},
        15,
        25,
        40,
        {**_WARNING, "reason": "held"},
    ),
    Case(
        "MirrorsyncSinkNotTold",
        {'mirrorsync_sink_failed_attempts{instance="a",sink="varnish cache"}': "0x10 3x5 4+1x30 0x20"},
        25,
        35,
        60,
        {**_WARNING, "sink": "varnish cache"},
    ),
    Case(
        "MirrorsyncAuditBehind",
        {
            f"mirrorsync_audit_began_timestamp_seconds{_STAMP}": "0x400",
            f"mirrorsync_audit_period_seconds{_STAMP}": "36000x400",
            f"mirrorsync_audit_done_projects{_STAMP}": "0+2x50 100x150 430+2x200",
            f"mirrorsync_projects{_STAMP}": "1200x400",
        },
        100,
        190,
        210,
        _WARNING,
    ),
]


def promtool(*arguments: str) -> None:
    done = subprocess.run([PROMTOOL or "", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def story(case: Case) -> Mapping[str, Any]:
    expected = {"exp_labels": dict(case.labels)}
    times: Sequence[tuple[int, list[Any]]] = [(case.quiet_at, []), (case.fires_at, [expected]), (case.over_at, [])]
    return {
        "interval": f"{case.step}m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minutes}m", "alertname": case.alert, "exp_alerts": alerts} for minutes, alerts in times
        ],
    }


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(DOCS / "mirrorsync.rules.yml"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """Return what promtool says of each case, in their order.

    One process tests them all, each with the rule of its alert only: to evaluate all rules takes 12 s.
    """
    # promtool compares whole annotations: they are for people, and are left out here.
    bare = re.sub(r"\n        annotations:\n(?:          .*\n|\n(?=          ))+", "\n", RULES)
    assert "annotations" not in bare
    folder = tmp_path_factory.mktemp("rules")
    head, *rules = re.split(r"(?=\n      - alert: )", bare)
    for rule in rules:
        (folder / f"{rule.split()[2]}.rules.yml").write_text(f"{head}{rule}\n")
    for number, case in enumerate(CASES):
        tests = {
            "rule_files": [f"{case.alert}.rules.yml"],
            "evaluation_interval": f"{case.step}m",
            "tests": [story(case)],
        }
        (folder / f"{number}.yml").write_text(json.dumps(tests))
    command = [PROMTOOL or "", "test", "rules", *(f"{number}.yml" for number in range(len(CASES)))]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
    )
    found = done.stdout.split("Unit Testing: ")[1:]
    assert len(found) == len(CASES), done.stdout
    return found


@needs_promtool
@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=lambda number: f"{CASES[number].alert} {next(iter(CASES[number].series))}"
)
def test_each_alert_fires_in_its_trouble_and_clears_after_it(number: int, verdicts: Sequence[str]) -> None:
    assert re.fullmatch(rf"\s*{number}\.yml\s+SUCCESS\s*", verdicts[number]), verdicts[number]


def test_every_alert_has_a_case_a_delay_a_severity_and_advice() -> None:
    rules = re.split(r"\n      - alert: ", RULES)[1:]
    assert {case.alert for case in CASES} == {rule.partition("\n")[0] for rule in rules}
    for rule in rules:
        assert re.search(r"\n        for: \d+[mh]\n", rule), rule
        assert re.search(r"\n          severity: (?:warning|critical)\n", rule), rule
        assert re.search(r'\n          summary: ".+"\n', rule), rule
        assert "Do: " in rule, rule


def test_every_metric_that_the_rules_name_is_exported() -> None:
    expressions = " ".join(re.findall(r"expr: (.*?)\n        for:", RULES, re.DOTALL))
    assert len(named(expressions)) > 12
    assert named(expressions) - exported() == set()


def test_every_metric_that_the_dashboard_names_is_exported() -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    assert len(queries) >= 20
    assert named(" ".join(queries)) - exported() == set()


@needs_promtool
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    filled = [re.sub(r"\$__rate_interval", "5m", query) for query in queries]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(filled)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_each_panel_has_a_title_a_source_and_its_own_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
