"""Report of a simulation: what each line would deliver and earn."""

from collections import Counter
from decimal import Decimal

from players.ads.lines import MICRO, micro
from players.ads.money import to_cents
from players.choice.simulate import Simulation, goal_by_now
from players.reports.report import Report


def delivery(simulation: Simulation) -> Report:
    """Return plays, share of voice, and spend against budget and goal by now, for each line."""
    count: Counter[str] = Counter(play.decision.line.id for play in simulation.plays)
    billed = [play for play in simulation.plays if play.billable]
    paid: Counter[str] = Counter(play.decision.line.id for play in billed)
    spent: Counter[str] = Counter()
    for play in billed:
        spent[play.decision.line.id] += micro(play.decision.price)
    rows = []
    for line in (*simulation.catalogue.lines, *simulation.catalogue.house):
        spend = to_cents(Decimal(spent[line.id]) / MICRO, line.currency)
        goal = goal_by_now(line, simulation)
        rows.append(
            {
                "line": line.id,
                "target": "house" if line.house else line.target.text(),
                "plays": count[line.id],
                "voice_pct": round(100 * count[line.id] / max(1, len(simulation.plays)), 1),
                "billable": paid[line.id],
                "spend": spend if line.currency else None,
                "budget": None if line.budget is None else to_cents(line.budget, line.currency),
                "goal by now": None if goal is None else to_cents(goal, line.currency),
                "delivered_pct": None if not goal else round(float(100 * spend / goal), 1),
                "currency": line.currency,
            }
        )
    rows.sort(key=lambda row: -count[str(row["line"])])
    title = f"Simulation, {simulation.began:%Y-%m-%d %H:%M} to {simulation.ended:%Y-%m-%d %H:%M}"
    return Report(title=title, columns=tuple(rows[0]) if rows else (), rows=rows)
