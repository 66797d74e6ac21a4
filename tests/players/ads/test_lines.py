"""Lines and their targets."""

from players.ads.lines import Target


def test_a_target_in_words_says_all_that_it_asks() -> None:
    asks = Target(gender="F", family=True, min_watchers=2, min_share=0.5)
    assert asks.text() == "F family, at least 2 people, at least 50 % of the audience"
    assert (Target(family=True).text(), Target().text()) == ("family", "anyone")
