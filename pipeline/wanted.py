"""The state that a station should be in, as a value: its graph, the order of each group, the rings of its cameras."""

import msgspec
from msgspec import Struct

from pipeline.cells import CELLS
from pipeline.errors import UserError
from pipeline.graph import Graph, Group
from pipeline.job import Job, job_of
from pipeline.ring import RingRef, Rings
from pipeline.settings import Station


class Order(Struct, kw_only=True):
    """Work that every process of a group is given. Processes of another order than their group's are outdated."""

    group: Group
    job: Job

    def says_the_same_as(self, other: "Order") -> bool:
        """Return whether a process of this order can go on under the other one: what differs can be told to it."""
        alike = msgspec.structs.replace(other.job, screens=self.job.screens, cameras=self.job.cameras)
        return self.group == other.group and self.job == alike


class Wanted(Struct, frozen=True, kw_only=True):
    """A station, its graph, the orders of its groups and the rings of its cameras, by name."""

    station: Station
    graph: Graph
    orders: dict[str, Order] = {}
    rings: dict[str, RingRef] = {}

    def changed_to(self, station: Station, graph: Graph, rings: Rings, run_started_ms: int) -> "Wanted":
        """Return the next state. An order that says the same as before is the same object, and so its processes stay.

        UserError: there is no room for so many processes or frames.
        """
        replacements = sum(group.row.scalable for group in graph.groups)
        if 1 + sum(group.workers for group in graph.groups) + replacements > CELLS:
            raise UserError(f"workers: more than {CELLS} processes; split the station")
        seen = station.cameras if any(group.row.rings != "none" for group in graph.groups) else ()
        refs = rings.for_cameras(seen, self.rings)
        orders = {}
        for group in graph.groups:
            job = job_of(group, station, refs, run_started_ms)
            order = Order(group=msgspec.structs.replace(group, workers=1), job=job)
            before = self.orders.get(group.name)
            if before and before.says_the_same_as(order):
                before.job, order = job, before
            orders[group.name] = order
        return Wanted(station=station, graph=graph, orders=orders, rings=refs)

    def differences(self, then: "Wanted") -> str:
        """Return in words what has to be done to get from this state to a later one."""
        workers = {group.name: group.workers for group in self.graph.groups}
        kept = [group for group in then.graph.groups if group.name in workers]
        scaled = [group for group in kept if group.workers != workers[group.name]]
        done = {
            "adds": [name for name in then.orders if name not in self.orders],
            "removes": [name for name in self.orders if name not in then.orders],
            "replaces": [group.name for group in kept if then.orders[group.name] is not self.orders[group.name]],
            "scales": [f"{group.name} {workers[group.name]} -> {group.workers}" for group in scaled],
            "changes": ["links"] if self.graph.links != then.graph.links else [],
        }
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in done.items() if names) or "nothing to do"
