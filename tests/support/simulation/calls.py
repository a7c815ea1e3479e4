"""Everything that the store was asked for, told to those who note it."""

from typing import Any

from tests.support.simulation.course import Course
from tests.support.simulation.intake import Intake
from tests.support.simulation.leases import Leases
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.orders import Orders
from tests.support.simulation.standings import Standings


class Calls:
    def __init__(self, ledger: Ledger) -> None:
        course = Course(ledger)
        self._ledger = ledger
        self._noting = (
            Intake(ledger, course),
            Leases(ledger, course),
            Standings(ledger),
            Orders(ledger, course),
        )

    def saw(self, name: str, result: Any, *arguments: Any, **named: Any) -> None:
        """The store has done it."""
        self._ledger.changes += 1
        for one in self._noting:
            if noted := getattr(one, f"saw_{name}", None):
                noted(result, *arguments, **named)

    def saw_trouble(self, name: str) -> None:
        if name == "set_standing":
            for way in self._ledger.ways.values():
                way.since.clear()
