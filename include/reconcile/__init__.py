"""Compare the manifests of the generator with the contents of Postgres, to the row and the cent.

``ledger`` compares the tables with one another, ``manifests`` compares the manifests with the tables, ``run`` does both
in one snapshot, and ``report`` shows what agrees and what does not.
"""

from include.reconcile.report import Comparison, Report
from include.reconcile.run import reconcile

__all__ = ["Comparison", "Report", "reconcile"]
