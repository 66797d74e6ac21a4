"""The report of a station's audience by its command: numbers, spreadsheet and pictures, in English and Korean."""

import csv
import io
import re
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib as mpl
import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure
from PIL import Image

from pipeline.streams import Terminal
from players.commands.report import report
from players.ledger.ledger import Ledger
from players.reports.audience import audience
from players.reports.drawing import style
from players.reports.report import as_table
from players.screen.fonts import PLOT_FONT
from players.statistics.reading import reading_counts
from tests.players.recording import STATION
from tests.players.statistics.years import BEGINS_S, write_year


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with ten days of counts of two places, and a ledger without plays."""
    folder = tmp_path_factory.mktemp("station")
    (folder / "state").mkdir(mode=0o700)
    Ledger(folder / "state" / "ledger-main.sqlite", STATION, "main").close()
    write_year(folder / "state" / "audience.sqlite", days=10, places=2, a_day=600)
    (folder / "station.toml").write_text(
        '[station]\nname = "stop-7"\nstate_dir = "state"\ntimezone = "Asia/Seoul"\n'
        '[[cameras]]\nname = "kerb1"\nsource = "sample"\n[[screens]]\nlanguage = "ko"\n'
    )
    return folder / "station.toml"


@pytest.fixture(scope="module", autouse=True)
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Open the fonts, which matplotlib keeps open for good."""
    for language in ("en", "ko"):
        with mpl.rc_context(style(language)):
            figure = Figure()
            figure.suptitle("한 글", fontweight="bold")
            figure.supxlabel("한 글")
            figure.savefig(tmp_path_factory.mktemp("fonts") / "plot.png")


def _report(station: Path, *words: str) -> Result:
    done = CliRunner().invoke(report, ["audience", "--station", str(station), *words])
    assert done.exit_code == 0, done.output
    return done


def test_a_report_tells_who_came_could_see_and_looked(station: Path, tmp_path: Path) -> None:
    _report(station, "--by", "camera", "--format", "csv", "--out", str(tmp_path / "report.csv"))
    data = (tmp_path / "report.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data, "a Korean Excel knows UTF-8 by the mark"
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["camera"] for row in rows] == ["kerb1", "kerb2", "total"]
    for row in rows:
        people, ots, watchers, long = (int(row[name]) for name in ("people", "ots", "watchers", "watchers_2s"))
        assert 2000 < people > ots > watchers > long > 0
        assert float(row["conversion_pct"]) == pytest.approx(31, abs=3) and float(row["measured_pct"]) == 99.0
        assert 0 < float(row["attention_s"]) < float(row["dwell_s"]) < 20
    assert int(rows[2]["people"]) == sum(int(row["people"]) for row in rows[:2])


def test_a_report_needs_no_ledger_but_somebody_who_was_counted(station: Path, tmp_path: Path) -> None:
    with_ledger = _report(station, "--by", "camera", "--format", "json").stdout
    (tmp_path / "state").mkdir(mode=0o700)
    copy = tmp_path / "station.toml"
    copy.write_text(station.read_text())
    for command in ("audience", "corrected", "forecast"):
        empty = CliRunner().invoke(report, [command, "--station", str(copy)])
        assert empty.exit_code == 2
        assert "audience.sqlite: nobody was counted yet; let the station run first" in empty.output
    shutil.copy(station.parent / "state" / "audience.sqlite", tmp_path / "state")
    assert _report(copy, "--by", "camera", "--format", "json").stdout == with_ledger


def test_a_report_fits_a_terminal_of_80_columns(station: Path) -> None:
    """No heading is cut there; csv and JSON have all columns."""
    out = io.StringIO()
    with reading_counts(station.parent / "state" / "audience.sqlite") as counts:
        made = audience(None, ("weekday", "gender"), ZoneInfo("Asia/Seoul"), counts=counts, now_s=BEGINS_S + 1e7)
    Terminal(out, width=80).print(as_table(made))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = {word for line in lines[:4] for word in line.split()}
    assert {"weekday", "gender", "people", "ots", "watchers", "share", "attention", "measured", "pct"} <= words
    assert len(made.rows) == 22 and {"dwell_s", "watchers_2s"} <= {*made.columns}


PICTURES = {
    "weekday,hour": ("Audience by weekday and hour", "요일과 시간대별 방문자"),
    "gender,decade": ("Audience by age and gender", "성별과 연령대별 방문자"),
    "camera": ("From an opportunity to see to a look", "노출 기회에서 주목까지"),
    "hour,gender": ("Audience by hour and gender", "시간대별 · 성별 방문자"),
    "day": ("Audience by day", "날짜별 방문자"),
}


@pytest.mark.parametrize(
    "by", ["weekday,hour", *(pytest.param(by, marks=pytest.mark.slow) for by in PICTURES if by != "weekday,hour")]
)
def test_pictures_are_in_the_language_of_the_screen_or_the_one_asked_for(
    station: Path, tmp_path: Path, by: str, capfd: pytest.CaptureFixture[str]
) -> None:
    english, korean = PICTURES[by]
    for title, words in ((korean, ()), (english, ("--language", "en"))):
        _report(station, "--by", by, "--plot", str(tmp_path / "plot.svg"), *words)
        drawn = (tmp_path / "plot.svg").read_text("utf-8")
        assert f"<!-- {title} -->" in drawn
        assert bool(re.search("<!-- [^>]*[가-힣]", drawn)) == (title == korean)
    _report(station, "--by", by, "--plot", str(tmp_path / "plot.png"))
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size[0] > 1000
    assert "plot_letters_missing" not in capfd.readouterr().err


def test_any_korean_name_has_glyphs() -> None:
    from fontTools.ttLib import TTFont

    letters = TTFont(PLOT_FONT).getBestCmap()
    assert all(ord(letter) in letters for letter in "모카 서울특별시 강남구 역삼동 a-Z0~9".replace(" ", ""))
    assert style("ko")["font.family"][0] == style("en")["font.family"][1] == "Noto Sans CJK KR"
