"""Amounts and currencies: those of other countries are refused with an example, never read as something else."""

import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from players.ads.campaigns import load_catalogue
from players.ads.lines import Line
from players.ads.money import CURRENCIES, check_currency, parse_amount, to_cents
from tests.players.campaign_files import UTC, little, read


def refusal(written: str | int | float, currency: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_amount(written, currency)
    return str(caught.value)


def example(message: str) -> str:
    found = re.search(r'such as "([^"]*)"$', message)
    assert found, message
    return found[1]


@pytest.mark.parametrize(
    ("written", "currency", "meant"),
    [
        ("1,200", "KRW", "1200"), ("1.200", "KRW", "1200"), ("10.000", "KRW", "10000"), ("10,000", "KRW", "10000"),
        ("1 200", "KRW", "1200"), ("1\u00a0200", "KRW", "1200"), ("1\u202f200", "EUR", "1200"),
        ("1'200", "CHF", "1200"), ("1\u2019200", "CHF", "1200"), ("１２００", "JPY", "1200"), ("₩1200", "KRW", "1200"),
        ("₩ 1,200", "KRW", "1200"),
        ("1.200,50", "EUR", "1200.50"), ("1,200.50", "USD", "1200.50"), ("0,12", "EUR", "0.12"),
        ("0,5", "EUR", "0.50"), ("+5", "EUR", "5"),
        ("0,120", "KWD", "0.12"), ("1.200.000", "IDR", "1200000"), ("1200.00", "KRW", "1200"), (1200.0, "JPY", "1200"),
        ("€ 5,50", "EUR", "5.50"),
    ],
)  # fmt: skip
def test_an_amount_of_another_country_is_refused_with_what_it_means(
    written: str | float, currency: str, meant: str
) -> None:
    message = refusal(written, currency)
    assert f"is no amount of {currency}; write digits" in message
    assert Decimal(example(message)) == Decimal(meant)


@pytest.mark.parametrize(
    ("written", "currency"),
    [
        ("1.200", "EUR"), ("1,200", "EUR"), ("1,200", "KWD"), ("1e3", "EUR"), ("-5", "EUR"), ("-1.200", "KRW"),
        ("12.505", "EUR"), ("0.125", "EUR"), ("0.1", "JPY"), ("12,5", "KRW"), ("", "EUR"), (".5", "EUR"), ("5.", "EUR"),
        ("5 EUR", "EUR"), ("1200원", "KRW"), ("1_200", "KRW"), ("NaN", "EUR"), ("Infinity", "EUR"),
        (float("nan"), "EUR"), ("(5)", "EUR"),
        ("\u22125", "EUR"), ("50%", "EUR"), ("٣", "EUR"), ("1/2", "EUR"), ("twelve", "EUR"),
        ("1..2", "EUR"), ("1.200,5.0", "EUR"),
    ],
)  # fmt: skip
def test_an_amount_that_may_mean_two_things_or_none_is_refused_with_some_example(
    written: str | float, currency: str
) -> None:
    assert example(refusal(written, currency)).startswith("1200")


@given(st.text(max_size=12) | st.from_regex(r"[0-9.,' ]{1,9}", fullmatch=True), st.sampled_from(["KRW", "EUR", "KWD"]))
def test_an_amount_is_what_its_digits_say_or_is_refused_with_an_example_that_is_taken(text: str, code: str) -> None:
    places = CURRENCIES[code]
    try:
        amount = parse_amount(text, code)
    except UserError as error:
        assert "\n" not in str(error)
        assert parse_amount(example(str(error)), code) >= 0
        return
    assert re.fullmatch(r"[0-9]+" + (rf"(\.[0-9]{{1,{places}}})?" if places else ""), text)
    assert amount == Decimal(text) == to_cents(amount, code)


@given(st.integers(0, 10**12), st.sampled_from(sorted(CURRENCIES)))
def test_every_amount_of_every_currency_can_be_written(smallest_units: int, code: str) -> None:
    amount = Decimal(smallest_units).scaleb(-CURRENCIES[code])
    if amount <= 10**9:
        assert parse_amount(f"{amount:f}", code) == amount
    else:
        assert "is more than 1000000000" in refusal(f"{amount:f}", code)


@pytest.mark.parametrize(
    ("code", "says"),
    [("eur", "write EUR"), (" EUR", "write EUR"), *((code, "there is no") for code in ("EURO", "₩", "BGN", "XAU"))],
)
def test_a_currency_is_an_iso_code_in_use(code: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_currency(code)


def test_minor_units_are_those_of_iso_4217() -> None:
    assert [CURRENCIES[code] for code in ("KRW", "JPY", "VND", "EUR", "IDR", "TWD", "HUF", "KWD", "TND")] == [
        0, 0, 0, 2, 2, 2, 2, 3, 3,
    ]  # fmt: skip


def test_the_amounts_of_the_cases_are_refused_each_with_its_example(shared_dir: Path) -> None:
    catalogue = load_catalogue(shared_dir / "cases" / "campaigns" / "money", UTC, 8.0)
    assert not catalogue.lines
    said = dict(problem.split(": ", 1) for problem in catalogue.problems)
    assert {name for name in said if name.endswith(".toml")} == {"commas.toml", "dots.toml", "euro.toml"}
    assert example(said["commas.toml"]) == "10000"
    assert example(said["dots.toml"]) == "10000"
    assert example(said["euro.toml"]) == "0.12"


def test_amounts_are_read_in_quotes_and_without(folder: Path) -> None:
    lines: list[Line] = []
    for price in ('"1.50"', "1.5", '"1.5"', "1.50"):
        (folder / "a.toml").write_text('currency = "EUR"\n' + little(line=f"price = {price}\nbudget = 1_000"))
        lines += read(folder).lines
    assert [(line.price, line.budget) for line in lines] == [(Decimal("1.5"), Decimal(1000))] * 4


def test_an_amount_in_a_comment_is_nobodys(folder: Path) -> None:
    said = 'price = "1.20"  # before, price = 1.200\n# budget = 10.000'
    (folder / "a.toml").write_text('currency = "EUR"\n' + little(line=said))
    assert [line.price for line in read(folder).lines] == [Decimal("1.20")]
    (folder / "a.toml").write_text('currency = "EUR"\n' + little(line="  price=1.200"))
    assert "price in line 7: '1.200' is no amount of EUR" in read(folder).problems[0]


def test_a_price_that_an_older_version_misread_does_not_play_on_from_its_cache(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "media.cache"
    (folder / "a.toml").write_text('currency = "KRW"\n' + little(line='price = "1200"'))
    (folder / "b.toml").write_text('currency = "KRW"\n' + little("b", line='price = "7"'))
    assert len(load_catalogue(folder, UTC, 8.0, cache).lines) == 2
    (folder / "a.toml").write_text('currency = "KRW"\n' + little(line='price = "1.200"'))
    kept = msgspec.msgpack.decode(cache.read_bytes())
    for path, (_, campaign) in kept["campaigns"].items():
        if path.endswith("a.toml"):
            campaign["lines"][0]["price"] = "1.200"
    cache.write_bytes(msgspec.msgpack.encode(kept))
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert [line.id for line in catalogue.lines] == ["b-line"]
    assert "'1.200' is no amount of KRW" in catalogue.problems[0] and "plays on" not in catalogue.problems[0]
