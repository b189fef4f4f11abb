"""Tests of generated visits: order of steps, drop-off, returning visitors, and local hours of the day."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest

from include.contract import CATEGORIES, COLUMNS, CURRENCIES, EVENT_TYPES
from include.generator.calendar import Calendar
from include.generator.pools import Customers, Products, make_pools
from include.generator.traffic import (
    CART,
    JOURNEY_EVENTS,
    ORDER,
    PURCHASE,
    VIEW,
    WISHLIST,
    Events,
    Traffic,
    pick,
)
from include.generator.vocabulary import ASSORTMENTS, MARKETS
from include.settings import REPOSITORY

START_MS = 1_772_600_000_000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def pools() -> tuple[Customers, Products]:
    return make_pools(3)


@pytest.fixture
def traffic(pools: tuple[Customers, Products]) -> Traffic:
    return Traffic(*pools, np.random.default_rng(5))


def by_session(events: Events) -> list[Events]:
    sessions = defaultdict(list)
    for index, session in enumerate(events["session"].tolist()):
        sessions[session].append(index)
    return [events[indices] for indices in sessions.values()]


def test_a_journey_goes_from_view_to_purchase(traffic: Traffic) -> None:
    sessions = by_session(traffic.journeys(3000, START_MS, HOUR_MS))
    assert len(sessions) == 3000
    reached: Counter[int] = Counter()
    for steps in sessions:
        types = steps["type"].tolist()
        reached.update(set(types))
        assert types[0] == VIEW
        gaps = np.diff(steps["time_ms"])
        assert len(gaps) == 0 or (gaps.min() >= 799 and gaps.max() <= 600_001), "seconds to minutes"
        assert len(set(steps["customer"])) == len(set(steps["device"])) == len(set(steps["channel"])) == 1
        for later, earlier in ((ORDER, CART), (PURCHASE, ORDER), (CART, VIEW), (WISHLIST, VIEW)):
            if later in types:
                assert types.index(earlier) < types.index(later)
        bought = steps[np.isin(steps["type"], (CART, ORDER, PURCHASE))]
        assert len(set(bought["product"])) <= 1
        assert set(bought["product"]) <= set(steps[steps["type"] == VIEW]["product"])
        assert len(set(bought["quantity"])) <= 1
        assert len(set(steps[np.isin(steps["type"], (ORDER, PURCHASE))]["order"])) <= 1
    assert reached[VIEW] == 3000
    assert reached[VIEW] > reached[CART] > reached[ORDER] > reached[PURCHASE] > 300


def test_fields_are_present_for_the_types_that_need_them(pools: tuple[Customers, Products], traffic: Traffic) -> None:
    journeys = traffic.journeys(2000, START_MS, HOUR_MS)
    alone = traffic.single_events(np.arange(5000, dtype=np.int8) % len(EVENT_TYPES), START_MS, HOUR_MS)
    for events in (journeys, alone):
        for name, present in (
            ("quantity", events["quantity"] > 0),
            ("order_id", events["order"] >= 0),
            ("payment_method", events["payment"] < 4),
        ):
            required = next(column.required_for for column in COLUMNS if column.name == name)
            needs = np.isin(events["type"], [EVENT_TYPES.index(one) for one in required])
            assert np.array_equal(present, needs)


def test_the_mean_journey_is_as_long_as_the_calendar_assumes(traffic: Traffic) -> None:
    assert len(traffic.journeys(20_000, START_MS, 24 * HOUR_MS)) / 20_000 == pytest.approx(JOURNEY_EVENTS, rel=0.1)


def test_session_and_order_numbers_are_unique(traffic: Traffic) -> None:
    events = np.concatenate([traffic.journeys(5000, START_MS, HOUR_MS), traffic.journeys(5000, START_MS, HOUR_MS)])
    assert len(set(events["session"].tolist())) == 10_000
    orders = events[events["type"] == ORDER]["order"].tolist()
    assert len(set(orders)) == len(orders) > 1000


def test_few_products_and_customers_make_up_much_of_the_traffic(traffic: Traffic) -> None:
    glances = traffic.glances(50_000, START_MS, HOUR_MS)
    products = np.sort(np.bincount(glances["product"]))[::-1]
    customers = np.sort(np.bincount(glances["customer"]))[::-1]
    assert 0.45 < products[:60].sum() / 50_000 < 0.8, "a tenth of the products"
    assert products[0] > 20 * np.median(products)
    assert 0.3 < customers[:2000].sum() / 50_000 < 0.8, "a tenth of the customers"
    assert (customers > 1).sum() > 5000, "many come back"


def test_visitors_come_at_their_local_hours(pools: tuple[Customers, Products], traffic: Traffic) -> None:
    country = np.array(pools[0].texts["country"])
    midnight_ms = START_MS // (24 * HOUR_MS) * 24 * HOUR_MS

    def share_of_americans(utc_hour: int) -> float:
        glances = traffic.glances(20_000, midnight_ms + utc_hour * HOUR_MS, HOUR_MS)
        return float((country[glances["customer"]] == "US").mean())

    assert share_of_americans(2) > 2 * share_of_americans(9)


def test_conversion_is_higher_in_the_evening_than_at_night(pools: tuple[Customers, Products], traffic: Traffic) -> None:
    midnight_ms = START_MS // (24 * HOUR_MS) * 24 * HOUR_MS
    country = np.array(pools[0].texts["country"])

    def orders_per_cart(utc_hour: int) -> float:
        events = traffic.journeys(20_000, midnight_ms + utc_hour * HOUR_MS, HOUR_MS)
        german = events["type"][country[events["customer"]] == "DE"]
        return float((german == ORDER).sum() / (german == CART).sum())

    assert orders_per_cart(18) > 1.3 * orders_per_cart(2)


def test_better_segments_convert_better(pools: tuple[Customers, Products], traffic: Traffic) -> None:
    segment = np.array(pools[0].texts["customer_segment"])
    events = traffic.journeys(60_000, START_MS, HOUR_MS)
    carts = Counter(segment[pick(events, np.flatnonzero(events["type"] == CART))["customer"]].tolist())
    orders = Counter(segment[pick(events, np.flatnonzero(events["type"] == ORDER))["customer"]].tolist())
    conversion = {name: orders[name] / carts[name] for name in carts}
    assert conversion["vip"] > conversion["loyal"] > conversion["regular"] > conversion["new"]


def test_pick_equals_indexing(traffic: Traffic) -> None:
    events = traffic.journeys(100, START_MS, HOUR_MS)
    where = np.array([5, 0, 17, 5])
    assert np.array_equal(pick(events, where), events[where])
    assert len(pick(events, where[:0])) == 0


@pytest.mark.slow
def test_the_calendar_carries_visits_over_and_keeps_journeys_whole(traffic: Traffic) -> None:
    calendar = Calendar(traffic, START_MS, 1000.0)
    windows = [calendar.take(number, 200, 1000.0) for number in range(900)]
    for number, events in enumerate(windows):
        assert len(events) == 200
        assert np.all(np.diff(events["time_ms"]) >= 0)
        assert events["time_ms"].max() < START_MS + (number + 1) * 1000
    is_long: Counter[bool] = Counter()
    for steps in by_session(np.concatenate(windows)):
        types = steps["type"].tolist()
        assert types[0] == VIEW
        assert PURCHASE not in types or types.index(ORDER) < types.index(PURCHASE)
        began, ended = ((one - START_MS) // 1000 for one in (steps["time_ms"].min(), steps["time_ms"].max()))
        is_long[bool(ended > began)] += 1
    assert is_long[True] > 10_000, "most journeys reach over several windows"
    # The mix is steady after the first minutes, in which no visitor can have reached a purchase.
    late = np.concatenate(windows[600:])
    assert 0.03 < (late["type"] == PURCHASE).mean() < 0.08
    delay_ms = [START_MS + number * 1000 - events["time_ms"].min() for number, events in enumerate(windows)]
    assert max(delay_ms[600:]) < 1000, "nothing piles up"


_PRINT_POOLS = (
    "import hashlib; from include.generator.pools import make_pools; customers, products = make_pools(3);"
    "print(hashlib.sha256(repr((customers.texts, products.texts)).encode()).hexdigest())"
)


def test_the_pools_are_the_same_in_every_process() -> None:
    """Python salts string hashes in each process, and the output of some Faker locales depends on them."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_POOLS],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in range(3)
    }
    assert len(digests) == 1


def test_the_catalogue_and_the_markets_fit_the_contract(pools: tuple[Customers, Products]) -> None:
    customers, products = pools
    assert tuple(ASSORTMENTS) == CATEGORIES
    assert {market.currency for market in MARKETS} == set(CURRENCIES)
    assert sum(market.share for market in MARKETS) == pytest.approx(1)
    assert set(products.texts["category"]) == set(CATEGORIES)
    assert len(set(products.texts["product_id"])) == len(products.price_cents) == 600
    assert products.price_cents.min() > 100
    assert len(set(customers.texts["user_id"])) == len(customers.device) == 20_000
    assert {len(values) for values in customers.texts.values()} == {20_000}


def test_prices_suit_the_category(pools: tuple[Customers, Products]) -> None:
    category = np.array(pools[1].texts["category"])
    euros = pools[1].price_cents[:, CURRENCIES.index("EUR")] / 100
    median = {name: float(np.median(euros[category == name])) for name in CATEGORIES}
    assert median["Electronics"] > median["Clothing"] > median["Books"]
    pounds = pools[1].price_cents[:, CURRENCIES.index("GBP")] / 100
    assert pounds.sum() == pytest.approx(0.87 * euros.sum(), rel=0.02)
