"""Define the countries of the customers, and the words and prices of each category. Faker supplies the rest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Market:
    """A country: its Faker locale, currency, time zone (hours ahead of UTC, without summer time) and customer share."""

    country: str
    locale: str
    currency: str
    utc_offset_hours: int
    share: float


@dataclass(frozen=True)
class Assortment:
    """The words for a category's products, its median price in EUR and the spread (sigma of the logarithm)."""

    qualities: tuple[str, ...]
    nouns: tuple[str, ...]
    details: tuple[str, ...]
    median_price: float
    price_spread: float


# Italy is missing because the cities of Faker's it_IT differ between processes, even with the same seed.
MARKETS = (
    Market("DE", "de_DE", "EUR", 1, 0.24),
    Market("FR", "fr_FR", "EUR", 1, 0.14),
    Market("AT", "de_AT", "EUR", 1, 0.09),
    Market("ES", "es_ES", "EUR", 1, 0.08),
    Market("NL", "nl_NL", "EUR", 1, 0.08),
    Market("GB", "en_GB", "GBP", 0, 0.17),
    Market("US", "en_US", "USD", -5, 0.20),
)

# Units of the currency for one EUR: list prices, not a market rate.
LIST_PRICE_FACTORS = {"EUR": 1.0, "GBP": 0.87, "USD": 1.09}

# By category of the contract. Some details contain commas, quotes and non-ASCII letters, as real catalogs do.
ASSORTMENTS = {
    "Electronics": Assortment(
        ("Wireless", "Compact", "Curved", "Smart", "Portable", "Noise-Cancelling", "Ultra-Slim", "Solar"),
        ("Monitor", "Headphones", "Speaker", "Keyboard", "Charger", "Webcam", "Router", "Tablet", "Power Bank"),
        ("", ' 27"', ' 32", 4K', ", 2-Pack", " Pro", " Mini", " USB-C", ", 20 000 mAh"),
        89.0,
        0.9,
    ),
    "Clothing": Assortment(
        ("Merino", "Linen", "Organic Cotton", "Waterproof", "Quilted", "Slim-Fit", "Relaxed", "Recycled"),
        ("T-Shirt", "Hoodie", "Jacket", "Jeans", "Dress", "Scarf", "Socks", "Chinos", "Cardigan"),
        ("", ", Navy", ", Écru", " for Kids", " XL", ", 3-Pack", " Crème", " Tall"),
        39.0,
        0.6,
    ),
    "Sports": Assortment(
        ("Trail", "Adjustable", "Foldable", "Pro", "Breathable", "Lightweight", "All-Weather", "Training"),
        ("Running Shoes", "Yoga Mat", "Dumbbells", "Cycling Helmet", "Tent", "Backpack", "Football", "Racket"),
        ("", ", 2 x 5 kg", ' 29"', " 40 L", ", Size M", " für Damen", " Junior", ", Set of 4"),
        54.0,
        0.7,
    ),
    "Books": Assortment(
        ("The Silent", "A Short History of the", "The Last", "Letters from the", "Beyond the", "The Art of the"),
        ("Harbour", "Café", "Orchard", "Lighthouse", "Märchen", "River", "Observatory", "Garden", "Señora"),
        ("", ", Vol. 2", ": A Novel", " (Paperback)", ', or "What Remained"', ", Illustrated", " [Deluxe]"),
        16.0,
        0.4,
    ),
    "Home & Garden": Assortment(
        ("Ceramic", "Oak", "Stainless Steel", "Rattan", "Enamel", "Bamboo", "Self-Watering", "Cast-Iron"),
        ("Planter", "Table Lamp", "Crème Brûlée Set", "Bookshelf", "Watering Can", "Cushion", "Duvet", "Kettle"),
        ("", ", Ø 24 cm", ", 6 Pieces", ' 12"', " Large", " with Lid", ", Anthracite", " Outdoor"),
        34.0,
        0.8,
    ),
}

# Relative activity of customers by their local hour.
HOURLY_ACTIVITY = (
    0.35, 0.20, 0.12, 0.10, 0.12, 0.20, 0.40, 0.65, 0.85, 1.00, 1.10, 1.15,
    1.25, 1.20, 1.10, 1.10, 1.15, 1.25, 1.45, 1.70, 1.90, 1.85, 1.40, 0.80,
)  # fmt: skip

# Relative readiness to buy by local hour: customers browse at night and buy in the evening.
HOURLY_WILLINGNESS = (
    0.70, 0.70, 0.70, 0.70, 0.70, 0.70, 0.90, 0.90, 0.90, 0.90, 0.90, 0.90,
    1.00, 1.00, 1.00, 1.00, 1.00, 1.20, 1.20, 1.20, 1.20, 1.20, 0.90, 0.90,
)  # fmt: skip

# The share of the customers in each segment, from the most active down, and their relative readiness to buy.
SEGMENT_SHARES = {"vip": 0.04, "loyal": 0.16, "regular": 0.50, "new": 0.30}
SEGMENT_WILLINGNESS = {"vip": 1.5, "loyal": 1.25, "regular": 1.0, "new": 0.75}
