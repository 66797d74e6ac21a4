"""Currencies of ISO 4217 in use, and amounts as people write them."""

from decimal import ROUND_HALF_UP, Decimal

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


def as_text(amount: Decimal, currency: str) -> str:
    """Return an amount and its currency, such as `12.50 EUR`; finer than cents where the amount is: `0.016 EUR`."""
    cents = to_cents(amount, currency)
    return f"{cents if cents == amount else amount.normalize():f} {currency}".rstrip()


def to_cents(amount: Decimal, currency: str) -> Decimal:
    """Round an amount half up to the smallest unit of its currency, hundredths where the currency is unknown."""
    return amount.quantize(Decimal(1).scaleb(-CURRENCIES.get(currency, 2)), rounding=ROUND_HALF_UP)
