"""Draw visits: which customer comes at which hour, which products they view, and how far they get to a purchase."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.contract.columns import CHANNELS, DEVICES, EVENT_TYPES, PAYMENT_METHODS
from include.generator.pools import Customers, Products

# One event. The small integers are indices: type into EVENT_TYPES, customer and product into the pools, payment into
# PAYMENT_METHODS (or NO_PAYMENT), channel into CHANNELS, and device into DEVICES. An event without an order has order
# NO_ORDER, one without a quantity has quantity 0.
EVENT = np.dtype(
    [
        ("time_ms", np.int64),
        ("session", np.int64),
        ("order", np.int64),
        ("customer", np.int32),
        ("product", np.int32),
        ("type", np.int8),
        ("quantity", np.int8),
        ("payment", np.int8),
        ("channel", np.int8),
        ("device", np.int8),
    ],
    align=True,
)
Events = NDArray[np.void]

_WORDS = EVENT.itemsize // 8

NO_ORDER = -1
NO_PAYMENT = len(PAYMENT_METHODS)
MAX_QUANTITY = 5

VIEW, CART, WISHLIST, ORDER, PURCHASE = (
    EVENT_TYPES.index(name) for name in ("view", "add_to_cart", "add_to_wishlist", "order", "purchase")
)

MAX_VIEWS = 5
GO_ON_LOOKING = 0.55
ADD_TO_WISHLIST = 0.12
# For a customer of willingness 1. The hour and the segment affect only the step to an order.
ADD_TO_CART = 0.38
PLACE_ORDER = 0.4
PAY = 0.88
# Mean number of events per journey. An error here only shifts rows between windows, since the calendar counts the
# actual events.
JOURNEY_EVENTS = 3.0

# The steps of a journey in order, and the median seconds before each.
_STEPS = np.array([VIEW] * MAX_VIEWS + [WISHLIST, CART, ORDER, PURCHASE], np.int8)
_MEDIAN_GAPS = np.array([0.0] + [10.0] * (MAX_VIEWS - 1) + [4.0, 6.0, 20.0, 9.0])
_GAP_SPREAD = 0.9
_SHORTEST_GAP, _LONGEST_GAP = 0.8, 600.0
_WISHLIST_STEP, _CART_STEP, _ORDER_STEP, _PURCHASE_STEP = range(MAX_VIEWS, MAX_VIEWS + 4)

_USES_MAIN_DEVICE = 0.85
_APP_SHARE = 0.45
_CHANNEL_SHARES = {"web": 0.62, "app": 0.0, "email": 0.20, "social": 0.18}
_PAYMENT_SHARES = {"card": 0.55, "paypal": 0.27, "bank_transfer": 0.12, "gift_card": 0.06}
_CHANNEL_ODDS = np.cumsum([_CHANNEL_SHARES[name] for name in CHANNELS])
_PAYMENT_ODDS = np.cumsum([_PAYMENT_SHARES[name] for name in PAYMENT_METHODS])

# A session or order number is the millisecond of its start followed by 20 bits that advance by an odd stride, so no
# number repeats within a run. Like UUIDv7, ids ordered by time keep lookups close together in an index.
_COUNTER_BITS = 20
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_STRIDE = 0x9E377


def pick(events: Events, where: NDArray[Any]) -> Events:
    """Return ``events[where]``, six times as fast, by moving whole words instead of fields."""
    return np.take(events.view(np.int64).reshape(-1, _WORDS), where, axis=0).reshape(-1).view(EVENT)


class Traffic:
    """A source of random visits of the customers to the products.

    Parameters
    ----------
    customers, products:
        The pools.
    rng:
        The random number generator; the result depends on the order of the calls.
    """

    def __init__(self, customers: Customers, products: Products, rng: np.random.Generator) -> None:
        self._customers = customers
        self._products = products
        self._rng = rng
        self._next_session, self._next_order = (int(one) for one in rng.integers(0, _COUNTER_MASK, 2))

    def journeys(self, count: int, first_ms: float, span_ms: float) -> Events:
        """Draw whole journeys: views, then perhaps a wishlist entry, a cart, an order and its purchase.

        Parameters
        ----------
        count:
            The number of journeys.
        first_ms, span_ms:
            Journeys begin within ``span_ms`` after ``first_ms``, Unix milliseconds; their last steps may be later.

        Returns
        -------
        Events
            Grouped by journey, each in order of time.
        """
        rng = self._rng
        visits = self._visits(count, first_ms, span_ms)
        hour = visits["time_ms"] // 3_600_000 % 24
        willingness = self._customers.willingness[hour, visits["customer"]]

        views = np.minimum(rng.geometric(1 - GO_ON_LOOKING, count), MAX_VIEWS)
        is_taken = np.empty((count, len(_STEPS)), bool)
        is_taken[:, :MAX_VIEWS] = np.arange(MAX_VIEWS) < views[:, None]
        chance = rng.random((count, 4), np.float32)
        is_taken[:, _WISHLIST_STEP] = chance[:, 0] < ADD_TO_WISHLIST
        is_taken[:, _CART_STEP] = chance[:, 1] < ADD_TO_CART
        is_taken[:, _ORDER_STEP] = is_taken[:, _CART_STEP] & (chance[:, 2] < PLACE_ORDER * willingness)
        is_taken[:, _PURCHASE_STEP] = is_taken[:, _ORDER_STEP] & (chance[:, 3] < PAY)

        journey, step = np.nonzero(is_taken)
        events = pick(visits, journey)
        events["type"] = _STEPS[step]
        events["time_ms"] += self._elapsed_ms(journey, step)

        looked_at = self._choose_products((count, MAX_VIEWS))
        # A wishlist entry is for the first product viewed; a cart, order or purchase is for the last one.
        which = np.where(step < MAX_VIEWS, step, np.where(step == _WISHLIST_STEP, 0, views[journey] - 1))
        events["product"] = looked_at[journey, which]

        quantity = self._quantities(count)
        events["quantity"] = np.where(step >= _CART_STEP, quantity[journey], 0)
        is_order = is_taken[:, _ORDER_STEP]
        orders = np.full(count, NO_ORDER)
        orders[is_order] = self._order_numbers(visits["time_ms"][is_order])
        events["order"] = np.where(step >= _ORDER_STEP, orders[journey], NO_ORDER)
        is_purchase = step == _PURCHASE_STEP
        events["payment"][is_purchase] = self._payments(int(is_purchase.sum()))
        return events

    def glances(self, count: int, first_ms: float, span_ms: float) -> Events:
        """Draw visits of one view each: visitors who view one product and leave."""
        return self._visits(count, first_ms, span_ms)

    def single_events(self, types: NDArray[np.int8], first_ms: float, span_ms: float) -> Events:
        """Draw events of the given types, each alone in its visit and valid by itself, for use as bad rows."""
        events = self._visits(len(types), first_ms, span_ms)
        events["type"] = types
        events["quantity"] = np.isin(types, (CART, ORDER, PURCHASE)) * self._quantities(len(types))
        events["order"] = np.where(np.isin(types, (ORDER, PURCHASE)), self._order_numbers(events["time_ms"]), NO_ORDER)
        events["payment"] = np.where(types == PURCHASE, self._payments(len(types)), NO_PAYMENT)
        return events

    def _visits(self, count: int, first_ms: float, span_ms: float) -> Events:
        """Draw the first view of each visit."""
        rng = self._rng
        visits = np.empty(count, EVENT)
        visits["time_ms"] = first_ms + rng.random(count) * span_ms
        hour = visits["time_ms"] // 3_600_000 % 24
        odds = self._customers.visit_odds
        visits["customer"] = np.searchsorted(odds, hour + rng.random(count), side="right") % len(self._customers.device)
        visits["session"] = self._session_numbers(visits["time_ms"])
        visits["order"] = NO_ORDER
        visits["type"] = VIEW
        visits["quantity"] = 0
        visits["payment"] = NO_PAYMENT
        visits["product"] = self._choose_products(count)

        other_device = rng.integers(0, len(DEVICES), count, np.int8)
        main_device = self._customers.device[visits["customer"]]
        device = np.where(rng.random(count) < _USES_MAIN_DEVICE, main_device, other_device)
        channel = _draw(_CHANNEL_ODDS, rng.random(count))
        is_app = (device != DEVICES.index("desktop")) & (rng.random(count) < _APP_SHARE)
        visits["device"] = device
        visits["channel"] = np.where(is_app, CHANNELS.index("app"), channel)
        return visits

    def _elapsed_ms(self, journey: NDArray[np.intp], step: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the milliseconds from the start of its journey to each step, rising by at least the shortest gap."""
        gaps = _MEDIAN_GAPS[step] * self._rng.lognormal(0, _GAP_SPREAD, len(step))
        gaps = np.where(step == 0, 0.0, np.clip(gaps, _SHORTEST_GAP, _LONGEST_GAP))
        total = np.cumsum(gaps)
        # The running sum spans all journeys, so subtract its value at the first step of each journey.
        begins = np.flatnonzero(step == 0)
        return ((total - total[begins][journey]) * 1000).astype(np.int64)

    def _choose_products(self, shape: int | tuple[int, int]) -> NDArray[np.intp]:
        return np.searchsorted(self._products.popularity, self._rng.random(shape), side="right")

    def _quantities(self, count: int) -> NDArray[np.int64]:
        return np.minimum(self._rng.geometric(0.75, count), MAX_QUANTITY)

    def _payments(self, count: int) -> NDArray[np.intp]:
        return _draw(_PAYMENT_ODDS, self._rng.random(count))

    def _session_numbers(self, begins_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = _numbers(begins_ms, self._next_session)
        self._next_session += len(begins_ms)
        return numbers

    def _order_numbers(self, begins_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = _numbers(begins_ms, self._next_order)
        self._next_order += len(begins_ms)
        return numbers


def _numbers(begins_ms: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Return one number for each start in Unix milliseconds; ``first`` is the value of the counter."""
    counter = np.arange(first, first + len(begins_ms), dtype=np.int64)
    return begins_ms << _COUNTER_BITS | (counter * _STRIDE & _COUNTER_MASK)


def _draw(odds: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return an index for each random number; one above the cumulative odds, due to rounding, gets the last index."""
    return np.minimum(np.searchsorted(odds, chance, side="right"), len(odds) - 1)
