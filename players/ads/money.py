"""Currencies of ISO 4217 in use, and amounts as people write them.

The decimal places are the minor units of ISO 4217's table A.1. Libraries have others: Unicode's CLDR, which Babel
reads, gives the places that are customary, and pycountry gives none.
"""

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal

from pipeline.errors import UserError

_CODES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY "
    "COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK "
    "MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF "
    "SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU "
    "UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
_NO_CENTS = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THOUSANDTHS = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]

CURRENCIES = {code: 0 if code in _NO_CENTS else 3 if code in _THOUSANDTHS else 2 for code in _CODES.split()}
"""Number of decimal places of each currency, by its code."""


MONEY_MAX = Decimal(1_000_000_000)
"""Largest amount that is taken, in whole units of its currency."""
_SHOWN_MAX = 40
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SPELLINGS = {
    0: ("digits alone", "1200"),
    2: ("digits, at most two of them after a point", "1200.50"),
    3: ("digits, at most three of them after a point", "1200.500"),
}
"""Words for the spelling of an amount, and an example, by the number of decimal places of its currency."""


def check_currency(code: str) -> None:
    """Raise UserError unless `code` is a currency in use, as ISO 4217 writes it."""
    if code in CURRENCIES:
        return
    meant = code.strip().upper()
    if meant in CURRENCIES:
        raise UserError(f"{code!r} is not written as ISO 4217 has it; write {meant}")
    raise UserError(f"there is no currency {code!r}; use an ISO 4217 code: EUR, KRW")


def parse_amount(written: str | int | float, currency: str) -> Decimal:
    """Return an amount of a known currency, 0 to MONEY_MAX. It is written in digits, a point before its minor units.

    Raises UserError, with an example of the right spelling, for whatever might mean another amount elsewhere. Such are
    signs for thousands, a comma for the point, exponents, letters, and more places than the currency has.
    """
    places = CURRENCIES[currency]
    text = f"{Decimal(repr(written)):f}" if isinstance(written, float) else str(written)
    if not _PLAIN.fullmatch(text) or len(text.partition(".")[2]) > places:
        shown = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
        raise UserError(
            f'{shown!r} is no amount of {currency}; write {_SPELLINGS[places][0]}, such as "{_example(text, places)}"'
        )
    if len(text) > _SHOWN_MAX or Decimal(text) > MONEY_MAX:
        raise UserError(f"{text[:_SHOWN_MAX]} is more than {MONEY_MAX} {currency}; write a smaller amount")
    return Decimal(text)


def _example(text: str, places: int) -> str:
    """Return what `text` surely means, as it should be written; any amount where that cannot be told."""
    plain = unicodedata.normalize("NFKC", text).strip()
    found = re.fullmatch(
        r"[^\w.,()%\u2013\u2212-]*([1-9][0-9]{0,2}(?:([^\w-])[0-9]{3})+|[0-9]+)(?:([.,])([0-9]+))?[^\w.,()%\u2013\u2212-]*",
        plain,
    )
    if not found:
        return _SPELLINGS[places][1]
    whole, thousands, mark, minor = re.sub("[^0-9]", "", found[1]), found[2], found[3], (found[4] or "").rstrip("0")
    alone = bool(thousands) and not mark and len(re.findall("[^0-9]", found[1])) == 1
    unsure = (places and alone and thousands in ".,") or mark == thousands is not None or len(minor) > places
    meant = f"{whole.lstrip('0') or '0'}{'.' + minor.ljust(places, '0') if minor else ''}"
    return _SPELLINGS[places][1] if unsure or not float(meant) or len(meant) > 10 else meant


def as_text(amount: Decimal, currency: str) -> str:
    """Return an amount and its currency, such as `12.50 EUR`; finer than cents where the amount is: `0.016 EUR`."""
    return f"{in_full(amount, currency):f} {currency}".rstrip()


def in_full(amount: Decimal, currency: str) -> Decimal:
    """Return an amount with the decimal places of its currency, or with more where it is finer than that."""
    cents = to_cents(amount, currency)
    return cents if cents == amount else amount.normalize()


def to_cents(amount: Decimal, currency: str) -> Decimal:
    """Round an amount half up to the smallest unit of its currency, hundredths where the currency is unknown."""
    return amount.quantize(Decimal(1).scaleb(-CURRENCIES.get(currency, 2)), rounding=ROUND_HALF_UP)
