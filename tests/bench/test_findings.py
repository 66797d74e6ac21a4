"""Measures, goals and plans."""

from bench.findings import Goal, Measure, Plan


def test_a_measure_has_a_median_and_a_spread() -> None:
    measure = Measure(name="x", unit="ms", values=(1.0, 5.0, 2.0))
    assert measure.median == 2
    assert measure.spread == 2


def test_a_goal_is_met_at_its_limit() -> None:
    assert Goal(text="", value=4, limit=4, at_least=True).met
    assert not Goal(text="", value=4.1, limit=4, at_least=False).met


def test_a_result_says_the_command_that_made_it() -> None:
    assert Plan().command("ledger") == "stationcast bench ledger"
    assert Plan(size="quick", soak_s=90).command("soak") == "stationcast bench soak --quick --soak-s 90"
    assert Plan(size="quick", soak_s=90).command("ledger") == "stationcast bench ledger --quick"
