"""`stationcast models ...`. Heavy libraries are imported only when a command needs them."""

import click

from models.commands.datasets import index
from models.commands.evaluation import compare, evaluate
from models.commands.registry import list_models, pull, show
from models.commands.training import export, train


@click.group()
def models() -> None:
    """The models: what there is, getting it, measuring it, and training your own."""


for command in (pull, list_models, show, index, train, export, evaluate, compare):
    models.add_command(command)
