"""Build answers of the cockpit's API as a busy shop gets them, from its own models, so that they match the API.

The names contain text that a page must escape: quotes, markup, other scripts.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from include.airflow.cockpit import models

MARKUP = '<img src=x onerror="window.hacked=1"><b>Bold</b>'
CURRENCIES = ("EUR", "GBP", "USD")
CATEGORIES = ("Electronics", "Clothing", "Sports", "Books", "Home & Garden")
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


def _wave(index: int, low: float, high: float) -> float:
    """Return a number that rises and falls, the same each time."""
    return low + (high - low) * (0.5 + 0.3 * math.sin(index / 4) + 0.2 * math.sin(index * 1.7))


def _trust(now: datetime, table: str, *, seconds: float = 0.6, verdict: str = "passed", **more: Any) -> models.Trust:
    return models.Trust(
        table_name=table,
        fresh_at=now - seconds * _SECOND,
        reject_share=0.0123,
        verdict=verdict,
        checked_at=now - 4 * _MINUTE,
        **more,
    )


def overview(now: datetime) -> models.Overview:
    """Build the overview: live, with one view held back."""
    live = _trust(now, "rollup_minute")
    view = _trust(now, "mart_conversion_funnel", seconds=140)
    held = _trust(now, "mart_product_performance", seconds=760, verdict="failed", is_held=True)
    begin = now.replace(second=0, microsecond=0) - 59 * _MINUTE
    minutes = [
        models.Minute(
            minute=begin + index * _MINUTE,
            events=int(_wave(index, 4800, 7400)),
            order_lines=int(_wave(index, 120, 260)),
            purchases=int(_wave(index + 2, 90, 200)),
            revenue={
                code: Decimal(f"{_wave(index + 3 * place, 3000, 9000) / (place + 1):.2f}")
                for place, code in enumerate(CURRENCIES)
            },
        )
        for index in range(60)
    ]
    names = (
        "Trail Running Shoes",
        MARKUP,
        "Обувь für “Kinder”",
        "Noise Cancelling Headphones Pro Max",
        "Ceramic Planter",
    )
    return models.Overview(
        stream=condition("running"),
        attention=models.Attention(
            open_alerts={"critical": 1, "warning": 2, "info": 0},
            unacknowledged_alerts=2,
            held_views=1,
            failing_suites=1,
            missed_objectives=1,
        ),
        throughput=models.Throughput(
            events_per_second=99.7,
            rows_per_second=104.2,
            rejected_per_second=1.3,
            lag_seconds=0.214,
            newest_event_at=now - 1.4 * _SECOND,
            backlog_files=0,
            backlog_unknown_since=None,
            trust=live,
        ),
        revenue=models.Revenue(
            day=now.date(),
            currencies=[
                models.CurrencyRevenue(
                    currency=code,
                    revenue=Decimal("4182334.55") / (place + 1),
                    last_hour_revenue=Decimal("312904.12") / (place + 1),
                    purchases=48_211 // (place + 1),
                    units=71_002 // (place + 1),
                )
                for place, code in enumerate(CURRENCIES)
            ],
            trust=live,
        ),
        series=models.Series(minutes=minutes, trust=live),
        activity=models.Activity(
            day=now.date(),
            events=8_412_223,
            views=6_200_100,
            wishlist_adds=400_300,
            cart_adds=1_200_400,
            order_lines=142_888,
            purchases=118_321,
            trust=live,
        ),
        conversion=models.Conversion(
            day=now.date(),
            sessions=912_334,
            view_sessions=904_112,
            cart_sessions=288_901,
            order_sessions=92_004,
            purchase_sessions=71_888,
            conversion_rate=0.0795,
            trust=view,
        ),
        top_products=models.TopProducts(
            items=[
                models.ProductSales(
                    product_id=f"P{index:05}",
                    product_name=name,
                    category=CATEGORIES[index],
                    brand="Northfell",
                    currency=code,
                    revenue=Decimal(98_311 - 9_000 * index) / (place + 1),
                    units=1_044 - 90 * index,
                    purchases=700 - 60 * index,
                    views=22_310 - 900 * index,
                )
                for place, code in enumerate(CURRENCIES)
                for index, name in enumerate(names)
            ],
            trust=held,
        ),
        top_categories=models.TopCategories(
            day=now.date(),
            items=[
                models.CategorySales(
                    category=name,
                    currency=code,
                    revenue=Decimal(1_400_311 - 220_000 * index) / (place + 1),
                    units=30_044,
                    purchases=20_100,
                    views=900_000,
                )
                for place, code in enumerate(CURRENCIES)
                for index, name in enumerate(CATEGORIES)
            ],
            trust=live,
        ),
        daily=daily(now),
    )


def daily(now: datetime) -> models.Daily:
    """Build seven days in each currency; today is incomplete, and two days were restated."""
    restated = models.Restated(
        restated_at=now - 3 * _MINUTE,
        times=4,
        cause="late events",
        old={"revenue": "3918227.10", "paid_orders": "40190"},
        new={"revenue": "3921004.60", "paid_orders": "40222"},
    )
    appeared = restated.model_copy(update={"times": 1, "cause": "retraction", "old": None})
    return models.Daily(
        items=[
            models.DayFigures(
                day=now.date() - timedelta(days=ago),
                currency=code,
                revenue=Decimal(f"{_wave(ago, 3_100_000, 4_200_000) / (place + 1):.2f}"),
                paid_orders=None if ago == 6 else int(_wave(ago, 36_000, 44_000)),
                average_order_value=None if ago == 6 else Decimal("97.42"),
                buyers=None if ago == 6 else int(_wave(ago, 30_000, 36_000)),
                conversion_rate=None if ago == 6 else 0.031,
                is_closed=ago > 0,
                restated={1: restated, 3: appeared}.get(ago) if code == "EUR" else None,
            )
            for ago in range(7)
            for place, code in enumerate(CURRENCIES)
        ],
        trust=_trust(now, "mart_daily_kpis", seconds=140),
    )


def condition(state: models.StreamState, **more: Any) -> models.StreamCondition:
    """Build the state of the stream."""
    return models.StreamCondition(**{"state": state, "since": None, "requested_by": None, "reason": None, **more})


def empty_overview(now: datetime) -> models.Overview:
    """Build the overview before the first event."""
    none = models.Trust(table_name="rollup_minute", fresh_at=None, reject_share=None, verdict=None, checked_at=None)
    begin = now.replace(second=0, microsecond=0) - 59 * _MINUTE
    zero = {"events": 0, "views": 0, "wishlist_adds": 0, "cart_adds": 0, "order_lines": 0, "purchases": 0}
    sessions = dict.fromkeys(("sessions", "view_sessions", "cart_sessions", "order_sessions", "purchase_sessions"), 0)
    return models.Overview(
        stream=condition("running"),
        attention=models.Attention(
            open_alerts={"critical": 0, "warning": 0, "info": 0},
            unacknowledged_alerts=0,
            held_views=0,
            failing_suites=0,
            missed_objectives=0,
        ),
        throughput=models.Throughput(
            events_per_second=0,
            rows_per_second=0,
            rejected_per_second=0,
            lag_seconds=None,
            newest_event_at=None,
            backlog_files=0,
            backlog_unknown_since=None,
            trust=none,
        ),
        revenue=models.Revenue(day=now.date(), currencies=[], trust=none),
        series=models.Series(
            minutes=[
                models.Minute(minute=begin + index * _MINUTE, events=0, order_lines=0, purchases=0, revenue={})
                for index in range(60)
            ],
            trust=none,
        ),
        activity=models.Activity(day=now.date(), **zero, trust=none),
        conversion=models.Conversion(day=None, **sessions, conversion_rate=None, trust=none),
        top_products=models.TopProducts(items=[], trust=none),
        top_categories=models.TopCategories(day=now.date(), items=[], trust=none),
        daily=models.Daily(items=[], trust=none),
    )


def stream(now: datetime, *, desired_state: str = "run", state: str = "running") -> models.Stream:
    """Build the state of a stream that was restarted once."""
    run = models.Run(
        epoch=12,
        mode="continuous",
        host="laptop",
        pid=48_211,
        driver_id="driver-20261124221502-0003",
        ui_url="http://127.0.0.1:8086",
        started_at=now - 3.4 * _HOUR,
        heartbeat_at=now - _SECOND,
        turned_at=now - _SECOND,
        ended_at=None if state == "running" else now - 2 * _MINUTE,
        error=None,
    )
    failed = run.model_copy(
        update={
            "epoch": 11,
            "started_at": now - 9 * _HOUR,
            "ended_at": now - 3.42 * _HOUR,
            "heartbeat_at": now - 3.42 * _HOUR,
            "error": "connection to the database was lost: server closed the connection unexpectedly",
        }
    )
    return models.Stream(
        state=state,
        desired_state=desired_state,
        requested_at=None if desired_state == "run" else now - 2 * _MINUTE,
        requested_by=None if desired_state == "run" else "olga",
        intake_paused_because=None,
        epoch=12,
        run=run,
        backlog_files=2,
        backlog_bytes=412_331,
        backlog_unknown_since=None,
        oldest_waiting_since=now - 0.4 * _SECOND,
        lag_seconds=0.214,
        last_batch_id=48_210,
        last_committed_at=now - _SECOND,
        newest_event_at=now - 1.4 * _SECOND,
        last_minute=models.Sums(read=6_252, accepted=5_982, duplicate=192, rejected=78),
        restarts_day=1,
        runs=[run, failed],
    )


def batches(now: datetime, number: int = 120) -> models.Page[models.Batch]:
    """Build batches, some of which were slow."""
    items = []
    for index in range(number):
        slow = 4 if index % 37 == 20 else 1
        stages = {"wait": 80, "events": 40, "rejects": 6, "conflicts": 3, "rollups": 12, "files": 5}
        items.append(
            models.Batch(
                batch_id=48_210 - index,
                epoch=12,
                files=1 + index % 3,
                read=104,
                accepted=100,
                duplicate=3,
                rejected=1,
                warnings={"event_late": 1},
                min_event_time=now - (index + 2) * _SECOND,
                max_event_time=now - (index + 1) * _SECOND,
                started_at=now - (index + 1) * _SECOND,
                committed_at=now - (index + 0.8) * _SECOND,
                lag_seconds=_wave(index, 0.12, 0.35) * slow,
                durations_ms={
                    **{stage: _wave(index + size, 0.7, 1.3) * size * slow for stage, size in stages.items()},
                    "spark_triggerExecution": 180.0 * slow,
                },
            )
        )
    return models.Page[models.Batch](items=items, next=str(48_210 - number))


def _retracted(now: datetime) -> models.Retracted:
    return models.Retracted(
        retraction_id=2,
        done_at=now - 2 * _MINUTE,
        done_by="olga",
        reason=MARKUP,
        read=104,
        accepted=100,
        duplicate=3,
        rejected=1,
    )


def files(now: datetime, number: int = 60) -> models.Page[models.File]:
    """Build files: one waits, one is quarantined, one was retracted, and one is large."""
    items = []
    for index in range(number):
        states: dict[int, models.FileState] = {0: "admitted", 4: "quarantined", 5: "retracted"}
        state = states.get(index, "loaded")
        rows = {"read": 104, "accepted": 100, "duplicate": 3, "rejected": 1}
        if index == 2:
            rows = {name: count * 20_000 for name, count in rows.items()}
        items.append(
            models.File(
                file_id=9_000 - index,
                name=MARKUP + ".csv" if index == 4 else f"events-20261124T2312-4321-{9_000 - index:06}.csv",
                state=state,
                size_bytes=17_233 * (20_000 if index == 2 else 1),
                arrived_at=now - (index + 1) * _SECOND,
                admitted_at=now - (index + 0.95) * _SECOND,
                finished_at=None if state == "admitted" else now - (index + 0.5 - index % 5) * _SECOND,
                batch_id=48_210 - index if state == "loaded" else None,
                slices=6 if index == 2 else 1,
                attempts=1,
                failures=0,
                **(rows if state == "loaded" else dict.fromkeys(rows, 0)),
                fault="header_column_missing" if state == "quarantined" else None,
                fault_detail="The header lacks the column currency." if state == "quarantined" else None,
                last_error=None,
                extra_columns=["loyalty_points"] if index == 3 else [],
                retracted=None if state != "retracted" else _retracted(now),
            )
        )
    return models.Page[models.File](items=items, next=str(9_000 - number))


def backlog(now: datetime) -> list[models.BacklogMinute]:
    """Build two hours in which few files waited."""
    begin = now.replace(second=0, microsecond=0) - 119 * _MINUTE
    return [
        models.BacklogMinute(minute=begin + index * _MINUTE, files=None if index == 30 else int(_wave(index, 0, 9)))
        for index in range(120)
    ]


def file_rejects(*, raw: bool = True) -> list[models.FileReject]:
    """Build the reasons why rows of a file were rejected."""
    return [
        models.FileReject(
            reason="unit_price_invalid",
            rows=11,
            meaning="unit_price is not a plain number",
            first_line=3,
            first_raw=f"purchase,{MARKUP},19;90" if raw else None,
        )
    ]


def restatements(now: datetime) -> models.Page[models.Restatement]:
    """Build a restated day and a new row."""
    common = {"view_name": "mart_daily_kpis", "day": now.date(), "cause": "late events", "detail": {}}
    return models.Page[models.Restatement](
        items=[
            models.Restatement(
                restatement_id=2,
                restated_at=now - 3 * _MINUTE,
                key={"day": now.date().isoformat(), "currency": "EUR"},
                old={"revenue": "100.00", "average_order_value": None},
                new={"revenue": "150.00", "average_order_value": "150.00"},
                **common,
            ),
            models.Restatement(
                restatement_id=1,
                restated_at=now - 9 * _MINUTE,
                key={"day": now.date().isoformat(), "currency": "GBP"},
                old=None,
                new={"revenue": "7.00"},
                **common,
            ),
        ],
        next=None,
    )


RUN_ID = "file_8999__2026-11-24T23:12:05.000000"


def request(now: datetime, phase: models.RequestPhase = "waiting", **more: Any) -> models.RetractionRequestDetail:
    """Build a request for a retraction, with its dry run."""
    changes = [
        models.FigureChange(
            view_name="mart_daily_kpis",
            key={"day": now.date().isoformat(), "currency": "EUR"},
            before={"revenue": "4182335.10", "events": "61000"},
            after={"revenue": "2091167.55", "events": "60900"},
        ),
        models.FigureChange(
            view_name="mart_product_performance",
            key={"product_id": MARKUP, "currency": "EUR"},
            before={"revenue": "12.00"},
            after=None,
        ),
    ]
    fields: dict[str, Any] = {
        "dag_run_id": RUN_ID,
        "requested_at": now - 4 * _SECOND,
        "requested_by": "olga",
        "reason": "prices are doubled",
        "selection": {"file_id": 8_999},
        "file_name": "events-20261124T2312-4321-008999.csv",
        "phase": phase,
        "answered_by": None,
        "fault": None,
        "retraction_id": None,
        "approval_url": "/dags/retract_delivery/runs/file_8999/required_actions",
        "dry_run": models.DryRun(
            brought=[f"file 8999 ({MARKUP}): 104 rows read = 100 accepted + 3 duplicate + 1 rejected"],
            changes=changes,
            rows={"mart_daily_kpis": 1, "mart_product_performance": 41},
        ),
        "retraction": None,
    }
    return models.RetractionRequestDetail(**{**fields, **more})


def failed_request(now: datetime) -> models.RetractionRequestDetail:
    """Build a request that was refused."""
    return request(now, "failed", dag_run_id="file_7", file_name=None, fault=f"past retention {MARKUP}", dry_run=None)


def _listed(one: models.RetractionRequestDetail) -> models.RetractionRequest:
    return models.RetractionRequest(**one.model_dump(exclude={"dry_run", "retraction"}))


def retractions(now: datetime) -> models.Page[models.Retraction]:
    """Build two retractions, one of several files."""
    return models.Page[models.Retraction](
        items=[
            models.Retraction(
                retraction_id=2 - index,
                done_at=now - (2 + 70 * index) * _MINUTE,
                done_by="olga",
                reason=f"sent twice {MARKUP}",
                selection={"name": "prices-*.csv"} if index else {"file_id": 8_995},
                names=["prices-1.csv", "prices-2.csv"] if index else ["events-20261124T2312-4321-008995.csv"],
                files=12 if index else 1,
                events=1_200 if index else 100,
                reassigned=7 if index else 0,
                rejects=1,
                duplicates=3,
            )
            for index in range(2)
        ],
        next=None,
    )


def rejects(now: datetime) -> models.Rejects:
    """Build an hour of rejected rows."""
    reasons = {
        "unit_price_not_positive": ("unit_price is zero or negative", 1_802),
        "currency_unknown": ("currency is none of EUR, GBP, USD", 1_211),
        "event_time_invalid": ("event_time is not an ISO 8601 time with an offset", 655),
        "row_ragged": ("the row has more or fewer fields than the header", 121),
    }
    return models.Rejects(
        minutes=60,
        rejected=3_611,
        read=371_002,
        reject_share=0.00973,
        counted=3_611,
        reasons=[
            models.RejectReason(reason=reason, rows=rows, meaning=meaning, last_seen_at=now - 7 * _SECOND)
            for reason, (meaning, rows) in reasons.items()
        ],
    )


def samples(now: datetime, *, raw: bool = True) -> models.Page[models.RejectSample]:
    """Build rejected rows; viewers do not see their text."""
    return models.Page[models.RejectSample](
        items=[
            models.RejectSample(
                reject_id=77 - index,
                file_id=9_000,
                file_name="events-20261124T2312-4321-009000.csv",
                line=17 + index,
                reasons=["unit_price_not_positive", "currency_unknown"],
                rejected_at=now - 8 * _SECOND,
                raw=f"019a2f6b-7c00,purchase,U0001729,{MARKUP},-89.90,XXX" if raw else None,
                found=f"-89.90 {MARKUP}" if raw else None,
            )
            for index in range(2)
        ],
        next=None,
    )


def _run(now: datetime, number: int, suite: str, verdict: str, failures: int = 0) -> models.QualityRun:
    return models.QualityRun(
        quality_run_id=number,
        run_id="scheduled__2026-11-24T23:10:00+00:00",
        suite=suite,
        table_name=suite,
        owner="shopstream",
        scope="window",
        window_from=now - 10 * _MINUTE,
        window_to=now,
        started_at=now - 4 * _MINUTE,
        finished_at=now - 4 * _MINUTE + 1.3 * _SECOND,
        verdict=verdict,
        checks=14,
        critical_failures=failures if verdict in ("failed", "broken") else 0,
        warnings=failures if verdict == "warned" else 0,
        error="expectations/events.yml:12: no such expectation" if verdict == "broken" else None,
        url=f"/shopstream/quality?run={number}",
    )


def suites(now: datetime) -> list[models.Suite]:
    """Build one suite that fails, one with a warning, and others that pass."""
    verdicts = {
        "mart_product_performance": "failed",
        "events": "warned",
        "batches": "passed",
        "files": "passed",
        "mart_daily_kpis": "passed",
        "rejects": "passed",
        "rollup_minute": "passed",
    }
    found = []
    for number, (suite, verdict) in enumerate(verdicts.items()):
        last = _run(now, 500 + number, suite, verdict, failures=0 if verdict == "passed" else 2)
        trend = [
            models.TrendPoint(
                quality_run_id=100 + index,
                finished_at=now - (24 - index) * 10 * _MINUTE,
                verdict=verdict if index == 23 else "warned" if (index + number) % 11 == 5 else "passed",
                checks=14,
                failures=0,
            )
            for index in range(24)
        ]
        found.append(models.Suite(suite=suite, last=last, trend=trend))
    return found


def quality_run(now: datetime, suite: models.Suite) -> models.QualityRunDetail:
    """Build the results of the last run of a suite."""
    severity = "critical" if suite.last.verdict == "failed" else "warning"
    failed = [
        models.CheckResult(
            result_id=1,
            check_name="price_near_usual",
            column_name="revenue",
            severity=severity,
            status="failed",
            observed="812 of 4,811 rows (16.9 %)",
            expected="values to be between: min_value 0.5, max_value 1.5",
            sample=[{"product_name": MARKUP, "revenue": 8123.5}, {"product_name": "Ceramic Planter", "revenue": 919.0}],
            error=None,
            checked_at=now - 4 * _MINUTE,
        )
    ]
    passed = [
        models.CheckResult(
            result_id=10 + index,
            check_name="values_to_not_be_null",
            column_name=column,
            severity="critical",
            status="passed",
            observed="0 of 4811 rows (0 %)",
            expected="not null",
            sample=None,
            error=None,
            checked_at=now - 4 * _MINUTE,
        )
        for index, column in enumerate(("event_id", "event_time", "user_id"))
    ]
    is_good = suite.last.verdict == "passed"
    return models.QualityRunDetail(**suite.last.model_dump(), results=passed if is_good else failed + passed)


def views(now: datetime) -> list[models.View]:
    """Build the views, one of which is held back."""
    names = ("mart_product_performance", "mart_category_performance", "mart_daily_kpis", "mart_revenue_hourly")
    return [
        models.View(
            view_name=name,
            published_at=now - (12 if index == 0 else 2) * _MINUTE,
            row_count=4_811,
            last_batch_id=48_100,
            refreshed_at=now - 2 * _MINUTE,
            refresh_seconds=0.8 + index,
            is_held=index == 0,
            held_because="price_near_usual (revenue): 812 of 4,811 rows (16.9 %)" if index == 0 else None,
            error=None,
            overrode=None,
            overridden_by=None,
            override_reason=None,
            pending_by=None,
            pending_reason=None,
            pending_until=None,
            restated_days=2 if name == "mart_daily_kpis" else 0,
            restated_at=now - 3 * _MINUTE if name == "mart_daily_kpis" else None,
        )
        for index, name in enumerate(names)
    ]


def _attainment(month: date, minutes: int, met: int) -> models.Attainment:
    return models.Attainment(month=month, minutes=minutes, met=met, attainment=met / minutes)


def objectives(now: datetime) -> list[models.Objective]:
    """Build one objective that is missed now, and three that are met."""
    promised = {
        "freshness": ("events are in PostgreSQL in time", "seconds", 7.2, 5.0, False),
        "backlog": ("few files wait", "files", 2.0, 500.0, True),
        "reject_share": ("few rows are rejected", "share", 0.0123, 0.05, True),
        "refresh_age": ("the published views are fresh", "seconds", 140.0, 960.0, True),
        "availability": ("the stream is alive", "share", 1.0, 0.75, True),
    }
    return [
        models.Objective(
            objective=name,
            title=title,
            unit=unit,
            direction="at_least" if name == "availability" else "at_most",
            measures="What the value is, in a sentence.",
            target=0.99,
            value=value,
            bound=bound,
            is_met=is_met,
            minute=now.replace(second=0, microsecond=0),
            missed_since=None if is_met else now - 3 * _MINUTE,
            this_month=_attainment(now.date().replace(day=1), 34_000, 34_000 if is_met else 33_541),
            earlier_months=[_attainment(date(2026, 10, 1), 44_640, 44_601)],
            recent=[is_met or index not in (12, 13, 57, 58, 59) for index in range(60)],
        )
        for name, (title, unit, value, bound, is_met) in promised.items()
    ]


def misses(now: datetime) -> models.Page[models.Miss]:
    """Build one miss that continues, and one that a user has annotated."""
    return models.Page[models.Miss](
        items=[
            models.Miss(
                miss_id=8,
                objective="freshness",
                unit="seconds",
                began_at=now - 3 * _MINUTE,
                ended_at=None,
                bound=5.0,
                worst_value=9.4,
                cause="the driver was started anew (epoch 12)",
                acknowledged_at=None,
                acknowledged_by=None,
                note=None,
            ),
            models.Miss(
                miss_id=7,
                objective="freshness",
                unit="seconds",
                began_at=now - 48 * _MINUTE,
                ended_at=now - 46 * _MINUTE,
                bound=5.0,
                worst_value=6.1,
                cause=None,
                acknowledged_at=now - 40 * _MINUTE,
                acknowledged_by="olga",
                note="backup was running",
            ),
        ],
        next=None,
    )


def alerts(now: datetime, *, is_open: bool = True) -> models.AlertPage:
    """Build alerts of each severity."""
    titles = {
        "critical": "mart_product_performance is held back: a critical check failed",
        "warning": f"Rejected rows above 5 %: {MARKUP}",
    }
    return models.AlertPage(
        open_alerts={"critical": 1, "warning": 1, "info": 0},
        unacknowledged=1,
        items=[
            models.ListedAlert(
                messages=models.Messages(due=0, sent=1, failed=1),
                alert_id=17 - index - (0 if is_open else 8),
                key="check_quality: held",
                severity=severity,
                source="check_quality",
                title=title,
                detail="price_near_usual (revenue): 812 of 4,811 rows (16.9 %); expected: between 0.5 and 1.5",
                owner="shopstream",
                run_id="scheduled__2026-11-24T23:10:00+00:00",
                url="/dags/check_quality",
                runbook_url="/dags/check_quality",
                occurrences=3 - index,
                raised_at=now - (22 + index) * _MINUTE,
                last_raised_at=now - 4 * _MINUTE,
                resolved_at=None if is_open else now - 2 * _MINUTE,
                resolution=None if is_open else "recovered",
                acknowledged_at=now - 9 * _MINUTE if index else None,
                acknowledged_by="olga" if index else None,
                note="asked the supplier" if index else None,
            )
            for index, (severity, title) in enumerate(titles.items())
        ],
        next=None,
    )


def alert(now: datetime, one: models.ListedAlert) -> models.AlertDetail:
    """Build an alert with one notification sent and one failed."""
    common = {"occasion": "raised", "due_at": now - 22 * _MINUTE}
    sent = {"channel": "alerts_mail", "state": "sent", "attempts": 1, "sent_at": now - 21 * _MINUTE, "last_error": None}
    failed = {"channel": "alerts_slack", "state": "failed", "attempts": 8, "sent_at": None, "last_error": "HTTP 500"}
    deliveries = [models.Delivery(delivery_id=number, **common, **rest) for number, rest in enumerate((sent, failed))]
    return models.AlertDetail(**one.model_dump(exclude={"messages"}), deliveries=deliveries)


def actions(now: datetime) -> models.Page[models.Action]:
    """Build the actions of a user."""
    return models.Page[models.Action](
        items=[
            models.Action(
                action_id=3,
                acted_at=now - 40 * _MINUTE,
                actor="olga",
                action="miss.acknowledge",
                subject="miss 7",
                reason="backup was running",
            )
        ],
        next=None,
    )


def answers(now: datetime | None = None, *, can_act: bool = True) -> dict[str, Any]:
    """Build every answer that the pages request, by path below ``api/v1/`` without its query."""
    now = now or datetime.now(UTC)
    all_suites = suites(now)
    opened, over = alerts(now), alerts(now, is_open=False)
    found: dict[str, Any] = {
        "me": models.Me(name="olga", can_act=can_act),
        "overview": overview(now),
        "stream": stream(now),
        "stream/batches": batches(now),
        "stream/files": files(now),
        "stream/backlog": backlog(now),
        "restatements": restatements(now),
        "retractions": retractions(now),
        "retractions/requests": [_listed(request(now)), _listed(failed_request(now))],
        f"retractions/requests/{RUN_ID}": request(now),
        "stream/rejects": rejects(now),
        "views": views(now),
        "quality/suites": all_suites,
        "objectives": objectives(now),
        "objectives/misses": misses(now),
        "alerts?state=open": opened,
        "alerts?state=resolved": over,
        "actions": actions(now),
    }
    found |= {f"stream/rejects/{one.reason}/samples": samples(now, raw=can_act) for one in rejects(now).reasons}
    found |= {f"stream/files/{one.file_id}/rejects": file_rejects(raw=can_act) for one in files(now).items}
    found |= {f"quality/runs/{one.last.quality_run_id}": quality_run(now, one) for one in all_suites}
    found |= {f"alerts/{one.alert_id}": alert(now, one) for one in (*opened.items, *over.items)}
    return found
