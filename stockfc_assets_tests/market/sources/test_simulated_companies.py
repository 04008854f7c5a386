"""Accounts follow the past and know nothing of the future; publications stand on the share basis of their date."""

import datetime as dt

import numpy as np
import pytest

from stockfc_assets.market.sources.simulated_companies import (
    EARNINGS_MEMORY,
    EARNINGS_SPREAD,
    Quarters,
    draw_company,
    keep_accounts,
    publish,
)
from stockfc_assets.market.sources.simulated_market import Quotation, stream

DATES = np.arange(np.datetime64("2020-01-01"), np.datetime64("2021-07-01"))
ENDS = np.array(
    ["2020-03-31", "2020-06-30", "2020-09-30", "2020-12-31", "2021-03-31", "2021-06-30"], dtype="datetime64[D]"
)
QUARTERS = Quarters(ENDS, np.searchsorted(DATES, ENDS))
TRAITS = {
    "earnings_to_price": np.array([0.05, 0.08]),
    "book_to_price": np.array([0.5, 1.0]),
    "sales_to_price": np.array([1.0, 2.0]),
    "payout": np.array([0.4, 0.3]),
    "half_years": np.array([3, 0]),
    "shares": np.array([1e6, 2e6]),
    "publication_lag": np.array([40, 45]),
    "publishes": np.array([True, True]),
}
RNG = np.random.default_rng(0)
PRICE = np.exp(7 + np.cumsum(0.02 * RNG.standard_normal((len(DATES), 2)), axis=0))
SHOCKS = RNG.standard_normal((len(ENDS), 2))
FACTOR = np.ones_like(PRICE)
FACTOR[400:, 0] = 5.0


def test_earnings_follow_the_past_years_mean_price() -> None:
    accounts = keep_accounts(PRICE, QUARTERS, TRAITS, SHOCKS, FACTOR, Quotation())
    for company in range(2):
        surprise = SHOCKS[0, company]
        for quarter, day in enumerate(QUARTERS.days):
            if quarter:
                surprise = EARNINGS_MEMORY * surprise + np.sqrt(1 - EARNINGS_MEMORY**2) * SHOCKS[quarter, company]
            past = PRICE[max(day - 244, 1) : day + 1, company].mean()
            expected = past * TRAITS["earnings_to_price"][company] * (1 + EARNINGS_SPREAD * surprise)
            assert accounts.earnings[quarter, company] == pytest.approx(expected)
            assert accounts.book_value[quarter, company] == pytest.approx(past * TRAITS["book_to_price"][company])


@pytest.mark.parametrize("quarter", range(len(ENDS)))
def test_no_account_knows_a_later_price(quarter: int) -> None:
    other = PRICE.copy()
    other[QUARTERS.days[quarter] + 1 :] *= 3.0
    one, two = (keep_accounts(price, QUARTERS, TRAITS, SHOCKS, FACTOR, Quotation()) for price in (PRICE, other))
    for name in ("earnings", "book_value", "sales", "dividend"):
        np.testing.assert_array_equal(getattr(one, name)[: quarter + 1], getattr(two, name)[: quarter + 1])
    assert quarter == len(ENDS) - 1 or (one.earnings[-1] != two.earnings[-1]).all()


def test_dividends_are_half_the_payout_of_the_quarter_before() -> None:
    accounts = keep_accounts(PRICE, QUARTERS, TRAITS, SHOCKS, FACTOR, Quotation())
    paid = accounts.dividend > 0
    assert not paid[[0, 1, 3, 5], 0].any()  # March and September
    assert not paid[[0, 2, 4], 1].any()  # June and December
    for quarter, company in ((2, 0), (4, 0), (1, 1), (3, 1)):
        factor = FACTOR[QUARTERS.days[quarter] - 1, company]
        earned = max(accounts.earnings[quarter - 1, company], 0.0)
        per_share = round(TRAITS["payout"][company] * earned / 2 / factor, 1)
        assert accounts.dividend[quarter, company] / factor == pytest.approx(per_share)
    assert FACTOR[QUARTERS.days[4] - 1, 0] == 5.0


def test_publications_stand_on_the_share_basis_of_their_date() -> None:
    accounts = keep_accounts(PRICE, QUARTERS, TRAITS, SHOCKS, FACTOR, Quotation())
    facts = publish(
        accounts, QUARTERS, TRAITS, DATES, listed=np.array([0, 100]), split_factor=FACTOR, quotation=Quotation()
    )
    assert facts.published[:, 0].astype(str).tolist() == [
        "2020-05-10", "2020-08-09", "2020-11-09", "2021-02-09", "2021-05-10", "NaT",
    ]  # fmt: skip
    assert facts.published[0, 1].astype(object) == dt.date(2020, 5, 15)
    late = publish(
        accounts, QUARTERS, TRAITS, DATES, listed=np.array([0, 200]), split_factor=FACTOR, quotation=Quotation()
    )
    assert np.isnat(late.published[0, 1])
    assert not np.isnat(late.published[1, 1])
    # The split of day 400 (2021-02-04) lies between the quarter's end and its publication.
    shares, earnings = facts.values["shares_outstanding"][:, 0], facts.values["eps_ttm"][:, 0]
    assert shares[:5].tolist() == [1e6, 1e6, 1e6, 5e6, 5e6]
    assert earnings[2] == pytest.approx(accounts.earnings[2, 0], abs=0.01)
    assert earnings[3] == pytest.approx(accounts.earnings[3, 0] / 5, abs=0.01)
    trailing = accounts.dividend[1:5, 0].sum() / 5
    assert facts.values["dividend_per_share_ttm"][4, 0] == pytest.approx(trailing, abs=1e-4)


def test_companies_differ_within_their_bounds() -> None:
    companies = [draw_company(stream(1, dt.date(2010, 1, 4), f"{n}.T", "company")) for n in range(3000)]
    assert all(0.4 <= each.beta <= 1.6 for each in companies)
    assert all(0.16 <= each.own_volatility <= 0.36 for each in companies)
    assert np.mean([each.beta for each in companies]) == pytest.approx(1.0, abs=0.02)
    assert np.mean([each.listed_after > 0 for each in companies]) == pytest.approx(0.04, abs=0.012)
    assert np.mean([each.publishes for each in companies]) == pytest.approx(29 / 30, abs=0.01)
    assert {each.split_ratio for each in companies} == {2.0, 3.0, 5.0, 10.0}
    assert {each.half_years for each in companies} == {0, 3}
