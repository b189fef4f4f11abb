"""Retract deliveries together with all the data that they brought.

``selection`` finds the deliveries, ``facts`` removes their events from the aggregates that the views read, ``retract``
does everything in one transaction, and ``preview`` shows in advance what would change, by doing it and rolling back.
After a retraction, the database has the contents that it would have if only the other deliveries had been loaded.
"""

from include.retraction.preview import Preview, preview
from include.retraction.retract import Retraction, retract
from include.retraction.selection import Delivery, RetractionError, Selection, parse_time

__all__ = ["Delivery", "Preview", "Retraction", "RetractionError", "Selection", "parse_time", "preview", "retract"]
