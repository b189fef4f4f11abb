"""Define the fields of an event: name, type, nullability by event type, and meaning."""

from __future__ import annotations

from dataclasses import dataclass

EVENT_TYPES = ("view", "add_to_cart", "add_to_wishlist", "order", "purchase")
CATEGORIES = ("Electronics", "Clothing", "Sports", "Books", "Home & Garden")
CURRENCIES = ("EUR", "GBP", "USD")
PAYMENT_METHODS = ("card", "paypal", "bank_transfer", "gift_card")
CHANNELS = ("web", "app", "email", "social")
DEVICES = ("desktop", "mobile", "tablet")
SEGMENTS = ("new", "regular", "loyal", "vip")

ALWAYS = EVENT_TYPES
NEVER: tuple[str, ...] = ()
CART_AND_LATER = ("add_to_cart", "order", "purchase")
ORDER_AND_LATER = ("order", "purchase")


@dataclass(frozen=True)
class Column:
    """One field of an event.

    Parameters
    ----------
    name:
        Its name in the CSV header, in Spark and in ``shop.events``.
    postgres_type:
        Its type in ``shop.events``; ``include.contract.fields`` has the Arrow type of its values before loading.
    required_for:
        The event types for which it must be present. For the others it may be empty, with or without quotes; an empty
        field is stored as NULL.
    meaning:
        Its meaning and unit.
    example:
        A value as written in a file.
    values:
        The closed set of allowed values, or empty when the set is open.
    is_personal:
        Whether it is personal data of a customer. Analysts cannot read such a column.
    """

    name: str
    postgres_type: str
    required_for: tuple[str, ...]
    meaning: str
    example: str
    values: tuple[str, ...] = ()
    is_personal: bool = False

    @property
    def is_nullable(self) -> bool:
        """Whether the column may be NULL for at least one event type."""
        return self.required_for != ALWAYS


COLUMNS = (
    Column(
        "event_id",
        "uuid",
        ALWAYS,
        "Identity of the event, a UUIDv7 in lower case. A second event with the same id is a duplicate.",
        "019a2f6b-7c00-7a3e-8d51-6f0a8f3b2c11",
    ),
    Column("event_type", "text", ALWAYS, "What the customer did.", "purchase", EVENT_TYPES),
    Column(
        "event_time",
        "timestamptz",
        ALWAYS,
        "When it happened, in ISO 8601 with an offset: `YYYY-MM-DD`, then `T` or a space, then `hh:mm` or `hh:mm:ss`. "
        "A point or comma and up to six decimals may follow the seconds; further decimals must be 0. The time ends "
        "with `Z` or the offset from UTC as `+hh:mm`, `+hhmm` or `+hh`. PostgreSQL's own output has this form. All "
        "other forms are rejected, because times are not rounded and a time without an offset is ambiguous.",
        "2026-11-22T09:30:00.125Z",
    ),
    Column("user_id", "text", ALWAYS, "The customer.", "U0001729", is_personal=True),
    Column("customer_segment", "text", ALWAYS, "The customer's segment at that time.", "loyal", SEGMENTS),
    Column("session_id", "text", ALWAYS, "The visit that the event belongs to.", "S19ab81bfc6c3779b"),
    Column(
        "order_id",
        "text",
        ORDER_AND_LATER,
        "The order; a purchase carries the id of the order it pays for.",
        "O19ab81bfc6c12f04",
    ),
    Column("product_id", "text", ALWAYS, "The product.", "P00042"),
    Column("product_name", "text", ALWAYS, "Its name as shown to the customer.", "Trail Running Shoes"),
    Column("category", "text", ALWAYS, "Its category.", "Sports", CATEGORIES),
    Column("brand", "text", ALWAYS, "Its brand.", "Northfell"),
    Column(
        "unit_price",
        "numeric(12,2)",
        ALWAYS,
        "Price of one unit, in the currency of the row; a plain decimal with at most two decimals, above 0.",
        "89.90",
    ),
    Column("quantity", "integer", CART_AND_LATER, "Units, 1 to 1000.", "2"),
    Column("currency", "text", ALWAYS, "ISO 4217 code of the price.", "EUR", CURRENCIES),
    Column("payment_method", "text", ("purchase",), "How the purchase was paid.", "card", PAYMENT_METHODS),
    Column("channel", "text", ALWAYS, "Where the visit came from.", "web", CHANNELS),
    Column("device", "text", ALWAYS, "The kind of device used for the visit.", "mobile", DEVICES),
    Column("country", "text", ALWAYS, "ISO 3166-1 alpha-2 code of the customer's country.", "DE"),
    Column("city", "text", NEVER, "The customer's city.", "Leipzig", is_personal=True),
)

COLUMN_NAMES = tuple(column.name for column in COLUMNS)
