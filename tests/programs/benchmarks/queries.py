"""Measure the queries of a dashboard, as an analyst, while 10,000 events/s come in."""

from __future__ import annotations

import time
from collections.abc import Mapping

from include.db import connect
from tests.programs.benchmarks.bench import FILES_PER_SECOND, Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series, percentile

_RATE = 10_000
# Otherwise all queries would end before the generator had written its second file.
_FEED_AHEAD_SECONDS = 10
_PAUSE_SECONDS = 0.2
_DASHBOARD: Mapping[str, str] = {
    "live: events and revenue of each of the last 15 minutes": """
        SELECT minute, event_type, sum(events), sum(amount) FROM shop.rollup_minute
        WHERE minute > now() - interval '15 minutes' GROUP BY minute, event_type ORDER BY minute, event_type""",
    "live: today by category and currency": """
        SELECT category, currency, sum(events), sum(amount) FILTER (WHERE event_type = 'purchase')
        FROM shop.rollup_hour WHERE hour >= date_trunc('day', now(), 'UTC') GROUP BY category, currency""",
    "the stream: last batches, lag and rows": """
        SELECT batch_id, committed_at, read, accepted, rejected, lag_seconds FROM shop.batches
        ORDER BY batch_id DESC LIMIT 60""",
    "revenue by hour, last day": """
        SELECT * FROM shop.mart_revenue_hourly WHERE hour > now() - interval '1 day' ORDER BY hour""",
    "key figures by day, last month": """
        SELECT * FROM shop.mart_daily_kpis WHERE day > current_date - 30 ORDER BY day""",
    "conversion by channel and device, last week": """
        SELECT channel, device, sum(sessions), sum(purchase_sessions) FROM shop.mart_conversion_funnel
        WHERE day > current_date - 7 GROUP BY channel, device""",
    "categories by day, last week": """
        SELECT * FROM shop.mart_category_performance WHERE day > current_date - 7 ORDER BY day, category""",
    "twenty best products by revenue": """
        SELECT product_name, category, revenue, purchases_per_view FROM shop.mart_product_performance
        WHERE currency = 'EUR' ORDER BY revenue DESC LIMIT 20""",
    "customers by segment": """
        SELECT customer_segment, currency, buyers, revenue, average_order_value FROM shop.mart_customer_segments""",
}


def measure(bench: Bench) -> Measured:
    """Run each query once a round on one connection, by turns with ``SELECT 1``, with a pause after each round."""
    took: dict[str, list[float]] = {title: [] for title in _DASHBOARD}
    idle: list[float] = []
    connection = connect(bench.instance.settings.dsn("analyst"), autocommit=True)
    bench.wait_for_checks()
    before = bench.last_file()
    with bench.feed(_RATE), connection.cursor() as cursor:
        bench.wait_for_files(before, round(_FEED_AHEAD_SECONDS * FILES_PER_SECOND), time.time())

        def ask(query: str) -> float:
            began = time.perf_counter()
            cursor.execute(query)
            cursor.fetchall()
            return time.perf_counter() - began

        stored, began = _rows_read(bench), time.monotonic()
        for _ in range(bench.sizes.query_rounds):
            for title, query in _DASHBOARD.items():
                took[title].append(ask(query))
                idle.append(ask("SELECT 1"))
            time.sleep(_PAUSE_SECONDS)
        intake = (_rows_read(bench) - stored) / (time.monotonic() - began)
    connection.close()
    p99 = {title: 1000 * percentile(seconds, 0.99) for title, seconds in took.items()}
    worst = max(p99, key=lambda title: p99[title])
    bench.say("; ".join(f"{title}: {milliseconds:.1f} ms" for title, milliseconds in p99.items()))
    title = "Dashboard queries under 10,000 events/s, p99"
    return Measured(
        [
            Figure(
                "queries/p99",
                f"dashboard queries under 10,000 events/s, p99 of the slowest ({worst})",
                "ms",
                [p99[worst]],
                "p99 of `SELECT 1` between them",
                [1000 * percentile(idle, 0.99)],
                Reach("value", at_most=20),
            ),
            Figure(
                "queries/intake",
                "intake while they were asked",
                "rows/s",
                [intake],
                reach=Reach("value", at_least=0.99 * _RATE),
                is_better="more",
            ),
        ],
        [Series("queries/p99", title, "query", "ms", list(p99), list(p99.values()))],
    )


def _rows_read(bench: Bench) -> int:
    return int(bench.instance.value("SELECT sum(read) FROM shop.batches"))
