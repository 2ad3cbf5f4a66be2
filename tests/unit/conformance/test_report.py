from __future__ import annotations

import json

import pytest

from rangebar_enrich.conformance import CheckResult, ConformanceReport


def report(*statuses):
    results = [CheckResult(f"check_{i}", one, "so\nand so") for i, one in enumerate(statuses)]
    return ConformanceReport("momentum", "1.0.0", "native", tuple(results))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["passed", "passed"], True),
        (["passed", "expected"], True),
        (["passed", "failed"], False),
        (["passed", "skipped"], False),
        ([], False),
    ],
)
def test_report_passes_only_when_every_check_did(statuses, expected):
    assert report(*statuses).passed is expected


def test_report_says_how_many_checks_ran():
    text = str(report("passed", "skipped", "failed"))

    assert text == (
        "momentum 1.0.0 (native)\n"
        "  passed    check_0                     so\n"
        "            and so\n"
        "  skipped   check_1                     so\n"
        "            and so\n"
        "  failed    check_2                     so\n"
        "            and so\n"
        "does not conform: 2 of 3 checks ran; 1 passed, 1 failed, 1 skipped"
    )


def test_checks_that_one_reason_kept_from_running_are_one_line():
    results = [CheckResult("declaration", "failed", "no name")]
    results += [CheckResult(f"check_{i}", "skipped", "not run: no name") for i in range(14)]
    results += [CheckResult("pickling", "skipped", "not run: tired")]

    text = str(ConformanceReport("momentum", None, "native", tuple(results)))

    assert text.splitlines()[1:4] == [
        "  failed    declaration                 no name",
        "  skipped   14 checks                   not run: no name",
        "  skipped   pickling                    not run: tired",
    ]


def test_report_is_json():
    document = json.loads(json.dumps(report("passed", "failed").to_dict()))

    assert document["passed"] is False
    assert document["results"][1] == {
        "check": "check_1",
        "status": "failed",
        "detail": "so\nand so",
    }


def test_report_gives_a_result_by_name():
    assert report("failed").result("check_0").status == "failed"
    with pytest.raises(KeyError, match="no check 'warmup'"):
        report("failed").result("warmup")
