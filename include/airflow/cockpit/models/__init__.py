"""What the cockpit's API answers with: the contract between the server, the pages and third parties.

Conventions, in every model: instants are UTC, ISO 8601, and absolute, so that an answer stays the same while nothing
happens (subtract them from the answer's ``Date`` header to get an age); money is a decimal in a string; shares and
rates are fractions from 0 to 1; a list is ``{items, next}``, where ``next`` is the ``before`` of the following page and
null on the last. Texts are as they are stored, never escaped: whoever shows them escapes them.
"""

from __future__ import annotations

from include.airflow.cockpit.models.common import (
    Action,
    Me,
    Model,
    Page,
    Problem,
    ProblemField,
    Reason,
    Severity,
    Verdict,
)
from include.airflow.cockpit.models.objectives import (
    Alert,
    AlertDetail,
    Attainment,
    Delivery,
    Miss,
    Objective,
)
from include.airflow.cockpit.models.overview import (
    Activity,
    Attention,
    CategorySales,
    Conversion,
    CurrencyRevenue,
    Minute,
    Overview,
    ProductSales,
    Revenue,
    Series,
    Throughput,
    TopCategories,
    TopProducts,
    Trust,
)
from include.airflow.cockpit.models.quality import CheckResult, QualityRun, QualityRunDetail, Suite, TrendPoint, View
from include.airflow.cockpit.models.stream import (
    Batch,
    File,
    FileState,
    RejectReason,
    Rejects,
    RejectSample,
    Run,
    Stream,
    StreamState,
    Sums,
    Wish,
)

__all__ = [
    "Action",
    "Activity",
    "Alert",
    "AlertDetail",
    "Attainment",
    "Attention",
    "Batch",
    "CategorySales",
    "CheckResult",
    "Conversion",
    "CurrencyRevenue",
    "Delivery",
    "File",
    "FileState",
    "Me",
    "Minute",
    "Miss",
    "Model",
    "Objective",
    "Overview",
    "Page",
    "Problem",
    "ProblemField",
    "ProductSales",
    "QualityRun",
    "QualityRunDetail",
    "Reason",
    "RejectReason",
    "RejectSample",
    "Rejects",
    "Revenue",
    "Run",
    "Series",
    "Severity",
    "Stream",
    "StreamState",
    "Suite",
    "Sums",
    "Throughput",
    "TopCategories",
    "TopProducts",
    "TrendPoint",
    "Trust",
    "Verdict",
    "View",
    "Wish",
]
