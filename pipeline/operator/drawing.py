"""Graph of a station as a table and as a picture."""

from pipeline.graph import Graph


def rows(graph: Graph) -> list[tuple[str, str, str, str]]:
    """Return the graph as rows of a table: group, number of processes, what it takes, and what it gives to whom."""
    table = []
    for group in graph.groups:
        takes = [
            f"{link.message.__name__} ({link.keep}, batch {link.batch})"
            for link in graph.links
            if link.target == group.name
        ]
        gives = [f"{link.message.__name__} -> {link.target}" for link in graph.links if link.source == group.role]
        table.append((group.name, str(group.workers), "\n".join(takes) or "-", "\n".join(gives) or "-"))
    return table


def draw(graph: Graph, path: str) -> None:
    """Draw the graph into a file; its ending chooses the format (svg, png, pdf)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    columns = list(dict.fromkeys(g.role for g in graph.groups))
    most = max(sum(g.role == c for g in graph.groups) for c in columns)
    figure, axes = pyplot.subplots(figsize=(4.2 * len(columns) + 0.4, 1.3 * most + 1.0))
    places: dict[str, tuple[float, float]] = {}
    colours = ("#2f6f8f", "#4f7f4f", "#8f5f2f", "#7f3f6f")
    for x, column in enumerate(columns):
        colour = colours[x % len(colours)]
        members = [g for g in graph.groups if g.role == column]
        for i, group in enumerate(members):
            y = (most - 1) / 2 + (len(members) - 1) / 2 - i
            places[group.name] = (4.2 * x, 1.3 * y)
            box = FancyBboxPatch(
                (4.2 * x - 0.95, 1.3 * y - 0.32), 1.9, 0.64, boxstyle="round,pad=0.08", fc=colour, ec="none"
            )
            axes.add_patch(box)
            label = group.name.replace(".", "\n") + (f"  x{group.workers}" if group.workers > 1 else "")
            axes.text(4.2 * x, 1.3 * y, label, color="white", ha="center", va="center", fontsize=11, weight="bold")
    for link in graph.links:
        senders_y = [y for name, (_, y) in places.items() if graph.group(name).role == link.source]
        for sender in (g for g in graph.groups if g.role == link.source):
            if link.cameras and sender.row.per == "camera" and sender.instance not in link.cameras:
                continue
            (x0, y0), (x1, y1) = places[sender.name], places[link.target]
            arrow = {"arrowstyle": "-|>", "color": "#555555", "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x1 - 1.05, y1), (x0 + 1.05, y0), arrowprops=arrow)
        x1, y1 = places[link.target]
        middle = (x1 - 2.1, (y1 + sum(senders_y) / len(senders_y)) / 2)
        label = f"{link.message.__name__}, {link.keep}"
        axes.text(*middle, label, ha="center", va="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 2})
    axes.set_xlim(-1.2, 4.2 * (len(columns) - 1) + 1.2)
    axes.set_ylim(-0.8, 1.3 * (most - 1) + 0.8)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", dpi=150)
    pyplot.close(figure)
