"""Pictures of reports: everything is drawn, named as it is written, and fits."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.messages import DECADES
from players.ads.lines import WEEKDAYS
from players.choice import simulate
from players.choice.choose import Rules
from players.ledger.snapshot import reading
from players.reports import plots, queries
from players.reports.audience import audience
from players.reports.delivery import delivery
from players.reports.report import Report
from tests.ads import BERLIN, F20, catalogue, line, present
from tests.players.recording import MOKA, SOJU, Record, at, crowd, some_plays


def test_every_report_can_be_drawn(record: Record, tmp_path: Path) -> None:
    path = record(some_plays(), crowd())
    with reading([path]) as db:
        plots.plot_billing(queries.billing(db, [MOKA]), tmp_path / "billing.png")
        for by in (("line",), ("hour",), ("line", "creative")):
            plots.plot_plays(queries.plays(db, by, BERLIN), tmp_path / f"plays-{'-'.join(by)}.png")
        for by in (("gender", "decade"), ("hour",), ("hour", "gender"), ("weekday", "hour")):
            plots.plot_audience(audience(db, by, BERLIN), tmp_path / f"audience-{'-'.join(by)}.png")
    drawn = sorted(tmp_path.glob("*.png"))
    assert len(drawn) == 8
    for picture in drawn:
        with Image.open(picture) as image:
            assert image.size[0] > 1000
            assert len(image.convert("L").getcolors() or range(999)) > 10


def test_a_report_of_many_rows_is_a_picture_that_can_be_looked_at(tmp_path: Path) -> None:
    """The picture has the first rows and says so; no colour stands for two names."""
    days = [f"2026-05-{day:02}" for day in range(1, 32)]
    rows = [{"day": day, "hour": hour, "people": 20, "share_pct": 1.0} for day in days for hour in range(24)]
    audience = Report(title="Audience", columns=("day", "hour", "people", "share_pct"), rows=rows)
    plots.plot_audience(audience, tmp_path / "audience.svg")
    plots.plot_audience(audience, tmp_path / "audience.png")
    assert "<!-- The first 30 of 744 rows" in (tmp_path / "audience.svg").read_text("utf-8")
    with Image.open(tmp_path / "audience.png") as image:
        assert max(image.size) < 3000


def test_every_decade_has_a_colour_and_every_hour_of_a_week_of_plays_a_place(tmp_path: Path) -> None:
    decades = [*DECADES, "unknown"]
    rows: list[dict[str, Any]] = [{"hour": hour, "decade": name, "people": 20} for hour in (9, 18) for name in decades]
    audience = Report(title="Audience", columns=("hour", "decade", "people"), rows=rows)
    plots.plot_audience(audience, tmp_path / "audience.svg")
    assert "<!-- Audience by hour and decade -->" in (tmp_path / "audience.svg").read_text("utf-8")
    rows = [{"weekday": day, "hour": hour, "plays": 5, "billable": 3} for day in WEEKDAYS for hour in range(24)]
    plays = Report(title="Plays", columns=("weekday", "hour", "plays", "billable"), rows=rows)
    plots.plot_plays(plays, tmp_path / "plays.svg")
    drawn = (tmp_path / "plays.svg").read_text("utf-8")
    assert all(f"<!-- {text} -->" in drawn for text in ("Plays by weekday and hour", "sun", "23"))


def test_the_hours_of_a_simulation_are_those_of_the_clock_when_it_is_set_back(tmp_path: Path) -> None:
    crowds = [simulate.Crowd(0.0, (simulate.Passer("F", 25.0),)), simulate.Crowd(6 * 3600.0, ())]
    played = simulate.simulate(catalogue(MOKA, zone=BERLIN), crowds, at(25, 0, month=10), Rules())
    plots.plot_simulation(played, tmp_path / "night.svg")
    drawn = re.findall(r"<!-- (\d\d) -->", (tmp_path / "night.svg").read_text("utf-8"))
    assert drawn[:6] == ["00", "01", "02", "02", "03", "04"]


def test_the_spend_of_each_currency_has_a_panel_of_its_own(tmp_path: Path) -> None:
    crowds = [simulate.Crowd(0.0, (simulate.Passer("F", 25.0),)), simulate.Crowd(600.0, ())]
    tea = msgspec.structs.replace(MOKA, id="tea")
    played = simulate.simulate(catalogue(MOKA, tea, SOJU, line("free")), crowds, at(4, 9), Rules(), 5)
    plots.plot_simulation(played, tmp_path / "spend.svg")
    drawn = re.findall(r"<!-- (.*) -->", (tmp_path / "spend.svg").read_text("utf-8"))
    assert [text for text in drawn if text.startswith("Spend")] == ["Spend, EUR", "Spend, KRW"]
    for row in delivery(played).rows:
        text = f"{row['line']}  {row['spend']} {row['currency']}"
        assert (text in drawn) == (row["currency"] != ""), text


def test_long_names_and_titles_leave_room_for_what_they_name(record: Record, tmp_path: Path) -> None:
    owner = "Association of Coffee Roasters and Tea Blenders of the Greater Metropolitan Area, " * 2
    ads = [msgspec.structs.replace(MOKA, id=name, advertiser=owner) for name in ("moka-women", "moka-men")]
    path = record([(at(4, 9, n), ad, present(F20), 1.0) for n, ad in enumerate(ads)])
    with reading([path]) as db:
        plots.plot_billing(queries.billing(db), tmp_path / "billing.svg")
        plots.plot_plays(queries.plays(db, queries.PLAYS_BY, BERLIN), tmp_path / "plays.svg")
    billing, plays = ((tmp_path / name).read_text("utf-8") for name in ("billing.svg", "plays.svg"))
    for name in ("Association of Coffee …tan Area, : moka-women", "Association of Coffee …litan Area, : moka-men"):
        assert f"<!-- {name} -->" in billing
    for picture in (billing, plays):
        assert min(float(x) for x in re.findall(r'<g id="text_\d+">.*?translate\(([-\d.]+) ', picture, re.DOTALL)) > 0
    assert "<!-- Plays by advertiser, -->" in plays


def test_a_name_is_drawn_as_it_is_written_and_one_that_reads_total_is_no_total(record: Record, tmp_path: Path) -> None:
    her = present(F20)
    named = {"total": MOKA, "Cash $_$ Carry $": SOJU}
    ads = [msgspec.structs.replace(ad, id="total", campaign="total", advertiser=name) for name, ad in named.items()]
    path = record([(at(4, 9, n), ad, her, 1.0) for n, ad in enumerate(ads)])
    with reading([path]) as db:
        billed, played = queries.billing(db), queries.plays(db, ("advertiser",), BERLIN)
    assert len(billed.rows) == 4 and len(played.rows) == 3
    plots.plot_billing(billed, tmp_path / "billing.svg")
    plots.plot_plays(played, tmp_path / "plays.svg")
    for picture, end in (("billing.svg", ": total"), ("plays.svg", "")):
        for name in named:
            assert f"<!-- {name}{end} -->" in (tmp_path / picture).read_text("utf-8")


@pytest.mark.parametrize("name", ["plot", "plot.txt", "none/plot.png"])
def test_a_picture_is_written_where_it_was_asked_for_or_not_at_all(tmp_path: Path, name: str) -> None:
    report = Report(title="Plays", columns=("line", "plays"), rows=[])
    with pytest.raises(UserError, match="--plot: "):
        plots.plot_plays(report, tmp_path / name)
    assert not list(tmp_path.iterdir())
