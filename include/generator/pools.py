"""Draw the customers and products from the seed, with Faker for the words and NumPy for the proportions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from faker import Faker
from numpy.typing import NDArray

from include.contract.columns import CURRENCIES, DEVICES
from include.generator.vocabulary import (
    ASSORTMENTS,
    HOURLY_ACTIVITY,
    HOURLY_WILLINGNESS,
    LIST_PRICE_FACTORS,
    MARKETS,
    SEGMENT_SHARES,
    SEGMENT_WILLINGNESS,
    Assortment,
)

CUSTOMERS = 20_000
PRODUCTS_PER_CATEGORY = 120
CITIES_PER_MARKET = 40
BRANDS_PER_CATEGORY = 12

# Exponents of the two power laws by which a few customers and products cause most of the traffic.
ACTIVITY_EXPONENT = 0.7
POPULARITY_EXPONENT = 1.05
DEVICE_SHARES = {"desktop": 0.35, "mobile": 0.55, "tablet": 0.10}

# Loading only these providers makes a locale start in a quarter of the time.
_PROVIDERS = ["faker.providers.address", "faker.providers.person"]


@dataclass(frozen=True)
class Customers:
    """The customers, as arrays of one entry each.

    Parameters
    ----------
    texts:
        Column name to the text of that column for each customer.
    currency:
        Index into ``CURRENCIES``.
    device:
        Index into ``DEVICES`` of each customer's main device.
    willingness:
        Relative readiness to buy by UTC hour, shape (24, customers).
    visit_odds:
        Cumulative odds of a visit by UTC hour h and customer, shape (24 * customers,). They rise from h to h + 1 within
        each hour, so one search for ``h + u`` with u uniform draws a customer.
    """

    texts: Mapping[str, list[str]]
    currency: NDArray[np.int8]
    device: NDArray[np.int8]
    willingness: NDArray[np.float32]
    visit_odds: NDArray[np.float64]


@dataclass(frozen=True)
class Products:
    """The products, as arrays of one entry each.

    Parameters
    ----------
    texts:
        Column name to the text of that column for each product.
    price_cents:
        Prices in hundredths, shape (products, currencies).
    popularity:
        Cumulative odds of being viewed, rising to 1.
    """

    texts: Mapping[str, list[str]]
    price_cents: NDArray[np.int64]
    popularity: NDArray[np.float64]


def make_pools(seed: int) -> tuple[Customers, Products]:
    """Draw customers and products; the same seed gives the same shop for any start of the run."""
    rng = np.random.default_rng(seed)
    fakers = {}
    for market in MARKETS:
        fakers[market.country] = Faker(market.locale, providers=_PROVIDERS)
        fakers[market.country].seed_instance(seed)
    return _customers(rng, fakers), _products(rng, fakers)


def _customers(rng: np.random.Generator, fakers: Mapping[str, Any]) -> Customers:
    cities = [[fakers[market.country].city() for _ in range(CITIES_PER_MARKET)] for market in MARKETS]
    market = rng.choice(len(MARKETS), CUSTOMERS, p=[market.share for market in MARKETS])
    city = rng.integers(0, CITIES_PER_MARKET, CUSTOMERS)
    # Customers are sorted by rank, so the first are the most active and belong to the best segments.
    activity = np.arange(1, CUSTOMERS + 1) ** -ACTIVITY_EXPONENT
    segments = [name for name, share in SEGMENT_SHARES.items() for _ in range(round(share * CUSTOMERS))]
    number = rng.permutation(CUSTOMERS) + 1

    offset = np.array([market.utc_offset_hours for market in MARKETS])[market]
    local_hour = (np.arange(24)[:, None] + offset) % 24
    weight = activity * np.array(HOURLY_ACTIVITY)[local_hour]
    odds = np.cumsum(weight, axis=1)
    odds = np.arange(24)[:, None] + odds / odds[:, -1:]
    segment_willingness = np.array([SEGMENT_WILLINGNESS[name] for name in segments])
    return Customers(
        texts={
            "user_id": [f"U{one:07d}" for one in number],
            "customer_segment": segments,
            "country": [MARKETS[one].country for one in market],
            "city": [cities[one][which] for one, which in zip(market, city, strict=True)],
            "currency": [MARKETS[one].currency for one in market],
        },
        currency=np.array([CURRENCIES.index(market.currency) for market in MARKETS], np.int8)[market],
        device=rng.choice(len(DEVICES), CUSTOMERS, p=[DEVICE_SHARES[name] for name in DEVICES]).astype(np.int8),
        willingness=(np.array(HOURLY_WILLINGNESS)[local_hour] * segment_willingness).astype(np.float32),
        visit_odds=odds.ravel(),
    )


def _products(rng: np.random.Generator, fakers: Mapping[str, Any]) -> Products:
    texts: dict[str, list[str]] = {"product_name": [], "category": [], "brand": []}
    cents = []
    names = list(fakers.values())
    for category, assortment in ASSORTMENTS.items():
        brands = [names[one % len(names)].last_name() for one in range(BRANDS_PER_CATEGORY)]
        texts["product_name"] += _product_names(rng, assortment)
        texts["category"] += [category] * PRODUCTS_PER_CATEGORY
        texts["brand"] += [brands[one] for one in rng.integers(0, len(brands), PRODUCTS_PER_CATEGORY)]
        euros = assortment.median_price * rng.lognormal(0, assortment.price_spread, PRODUCTS_PER_CATEGORY)
        ending = rng.choice([1, 5, 10, 50], PRODUCTS_PER_CATEGORY)
        for currency in CURRENCIES:
            whole = np.maximum(2, np.rint(euros * LIST_PRICE_FACTORS[currency]))
            cents.append(whole.astype(np.int64) * 100 - ending)
    count = len(texts["category"])
    texts["product_id"] = [f"P{one:05d}" for one in range(1, count + 1)]
    price_cents = np.array(cents).reshape(len(ASSORTMENTS), len(CURRENCIES), -1).transpose(0, 2, 1).reshape(count, -1)
    odds = np.cumsum((rng.permutation(count) + 1.0) ** -POPULARITY_EXPONENT)
    return Products(texts=texts, price_cents=price_cents, popularity=odds / odds[-1])


def _product_names(rng: np.random.Generator, assortment: Assortment) -> list[str]:
    """Return distinct names, each made of a quality, a noun and a detail."""
    sizes = (len(assortment.qualities), len(assortment.nouns), len(assortment.details))
    names = []
    for code in rng.choice(int(np.prod(sizes)), PRODUCTS_PER_CATEGORY, replace=False):
        quality, noun, detail = np.unravel_index(code, sizes)
        names.append(f"{assortment.qualities[quality]} {assortment.nouns[noun]}{assortment.details[detail]}")
    return names
