"""Fusion: one calibrated answer about a person from several answers about single crops.

Answers about one person are not independent: whoever looks older than he is does so in every frame. So their evidence
is averaged, not added. The card's calibration is that of good crops: evidence of poor ones is trusted less, and that of
several answers a little more. `python -m bench.fusion` shows what comes of it.
"""

import math

from msgspec import Struct, field

from models.cards import DECADES, Unknown
from models.estimate import NOTHING_KNOWN, Estimate, estimate
from pipeline.messages import FaceAnswer

_TRUST_GENDER, _TRUST_AGE = 0.5, 0.7
"""Share of the evidence of the poorest crop that is believed; of the best one all is."""
_GROWTH = 0.15
"""Growth of the trust with the logarithm of the number of answers. More would be surer than it is right."""
_UNJUDGED = 0.5
"""Quality by which an answer counts whose crop was not judged. It is believed as the card says."""
_LEAST_GENDER, _LEAST_DECADE = 0.005, 1e-4
"""Smallest probability that is believed: one wrong answer that is sure of itself outweighs no seven others."""
_MINOR_DECADES = 2
"""Decades of those under 20: they are minors where an answer does not say how probable that is."""


class Fused(Struct):
    """Sums over the answers about one person, each weighted by the square of its crop's quality."""

    answers: int = 0
    _weight: float = 0.0
    _squares: float = 0.0
    _quality: float = 0.0
    _gender: float = 0.0
    _years: float = 0.0
    _minor: float = 0.0
    _decades: list[float] = field(default_factory=lambda: [0.0] * len(DECADES))

    def add(self, answer: FaceAnswer, quality: float) -> None:
        """Take in an answer; `quality` is that of its crop, 0 where it was not judged."""
        if len(answer.p_decade) != len(DECADES):
            return
        weight = (quality or _UNJUDGED) ** 2
        self.answers += 1
        self._weight += weight
        self._squares += weight * weight
        self._quality += weight * (quality or 1.0)
        self._gender += weight * (_log(answer.p_male, _LEAST_GENDER) - _log(1 - answer.p_male, _LEAST_GENDER))
        self._years += weight * answer.age_years
        p_minor = sum(answer.p_decade[:_MINOR_DECADES]) if answer.p_minor is None else answer.p_minor
        self._minor += weight * (_log(p_minor, _LEAST_DECADE) - _log(1 - p_minor, _LEAST_DECADE))
        evidence = (weight * _log(p, _LEAST_DECADE) for p in answer.p_decade)
        self._decades = [before + more for before, more in zip(self._decades, evidence, strict=True)]

    @property
    def p_male(self) -> float:
        """Probability of a man; .5 without an answer."""
        return 1 / (1 + math.exp(-self._sharpness(_TRUST_GENDER) * self._gender))

    @property
    def age_years(self) -> float:
        """Mean of the ages, in years; 0 without an answer."""
        return self._years / self._weight if self.answers else 0.0

    @property
    def p_decade(self) -> tuple[float, ...]:
        """Probabilities of the decades [9]; all alike without an answer."""
        sharpness, highest = self._sharpness(_TRUST_AGE), max(self._decades)
        powers = [math.exp(sharpness * (value - highest)) for value in self._decades]
        return tuple(power / sum(powers) for power in powers)

    @property
    def p_minor(self) -> float | None:
        """Probability that the person is a minor, as the answers understand it; None without an answer."""
        return 1 / (1 + math.exp(-self._sharpness(_TRUST_AGE) * self._minor)) if self.answers else None

    def estimate(self, unknown: Unknown | None) -> Estimate:
        """Return what may be said of the person by a card's thresholds; nothing without an answer or a card."""
        if not self.answers or unknown is None:
            return NOTHING_KNOWN
        return estimate(self.p_male, self.age_years, self.p_decade, unknown)

    def _sharpness(self, least_trust: float) -> float:
        """Return the factor that makes of a weighted sum of logarithms the fused one: that of an average, trusted."""
        if not self.answers:
            return 0.0
        quality = self._quality / self._weight
        equal_answers = self._weight**2 / self._squares  # Kish's effective size of a weighted sample
        trust = least_trust + (1 - least_trust) * quality
        return trust * (1 + _GROWTH * math.log(equal_answers)) / self._weight


def _log(p: float, least: float) -> float:
    return math.log(max(p, least))
