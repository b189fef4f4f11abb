"""List every fault of the harness by family."""

from __future__ import annotations

from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.faults.checkpoint import checkpoint_faults
from tests.programs.chaos.faults.database import database_faults
from tests.programs.chaos.faults.disk import disk_faults
from tests.programs.chaos.faults.inputs import input_faults
from tests.programs.chaos.faults.life import life_faults
from tests.programs.chaos.faults.points import point_faults
from tests.programs.chaos.faults.processes import process_faults
from tests.programs.chaos.faults.rivals import rival_faults

_FAMILIES = (
    process_faults,
    database_faults,
    point_faults,
    disk_faults,
    checkpoint_faults,
    rival_faults,
    input_faults,
    life_faults,
)
FAULTS = {fault.name: fault for family in _FAMILIES for fault in family()}

__all__ = ["FAULTS", "Fault", "Scene"]
