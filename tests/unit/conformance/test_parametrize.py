from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROVIDERS = """
    import polars as pl
    from rangebar_enrich.conformance import CHECKS, parametrize_with_checks

    class Sound:
        name, version, columns, min_bars = "sound", "1", ("sound_x",), 4
        def expressions(self, context):
            yield pl.col("close").rolling_mean(5).alias("sound_x")

    class Impatient(Sound):
        name, columns = "impatient", ("impatient_x",)
        def expressions(self, context):
            yield pl.col("close").rolling_mean(20).alias("impatient_x")
"""


@pytest.fixture
def run_tests(tmp_path):
    """Run pytest on a file of its own, in a process of its own."""

    def run(body, *options):
        file = tmp_path / "test_contract.py"
        file.write_text(textwrap.dedent(PROVIDERS) + textwrap.dedent(body))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(file)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return run


def test_one_test_for_each_provider_and_check(run_tests):
    made = run_tests(
        """
        @parametrize_with_checks([Sound(), Impatient])
        def test_contract(provider, check):
            assert provider is not None
            check(provider)
        """,
        "-v",
    )

    assert "test_contract[sound-no_look_ahead] PASSED" in made.stdout
    assert "test_contract[impatient-warm_up] FAILED" in made.stdout
    assert "min_bars is 4, but its first value comes in row 19" in made.stdout
    assert "1 failed, 31 passed" in made.stdout


@pytest.mark.slow
def test_check_alone_is_enough(run_tests):
    made = run_tests(
        """
        @parametrize_with_checks([Impatient()], expected_failures={"warm_up": "issue 12"})
        def test_contract(check):
            check()
        """
    )

    assert "15 passed, 1 xfailed" in made.stdout
    assert made.returncode == 0


@pytest.mark.slow
def test_expected_failure_that_passes_is_an_error(run_tests):
    made = run_tests(
        """
        @parametrize_with_checks([Sound()], expected_failures={"warm_up": "issue 12"})
        def test_contract(check):
            check()
        """
    )

    assert "[XPASS(strict)] issue 12" in made.stdout
    assert "1 failed, 15 passed" in made.stdout


@pytest.mark.slow
def test_check_that_cannot_run_is_not_green(run_tests):
    made = run_tests(
        """
        Sound.version = ""
        @parametrize_with_checks([Sound()], expected_failures={"declaration": "later"})
        def test_contract(check):
            check()
        """
    )

    assert "15 failed, 1 xfailed" in made.stdout


def test_package_does_not_import_pytest():
    code = "import sys, rangebar_enrich.conformance; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
