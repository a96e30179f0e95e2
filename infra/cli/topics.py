"""`carbonledger topics`: the catalogue's topics, and how they stand on the broker."""

import typer

from infra.cli.output import Form, Output, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The topics of the catalogue on the broker.")
COLUMNS = ("topic", "key", "schema", "partitions", "state", "differences")


@app.command("list")
def list_(output: Output = Form.TABLE) -> None:
    """List the catalogue's topics and whether the broker has them as they should be.

    \b
      carbonledger topics list
      CARBONLEDGER_BOOTSTRAP=kafka:9092 carbonledger topics list --output json
    """
    from infra import services, settings
    from infra.topics import inspect
    from schemas.topics import Bounds, catalogue

    standing = inspect(services.client(settings.load()), catalogue(), Bounds())
    listed = (
        {
            "topic": s.topic.name,
            "key": s.topic.key,
            "schema": s.topic.schema,
            "partitions": s.partitions,
            "state": s.state,
            "differences": ", ".join(s.differences) or None,
        }
        for s in standing
    )
    show(listed, output, COLUMNS)


@app.command("create")
def create(output: Output = Form.TABLE) -> None:
    """Create the topics that the broker lacks; those that exist are compared and never changed. Lists the new ones.

    \b
      CARBONLEDGER_BOOTSTRAP=kafka:9092 carbonledger topics create
    """
    from infra import services, settings
    from infra.topics import ensure_topics
    from schemas.topics import Bounds, catalogue

    created = ensure_topics(services.client(settings.load()), catalogue(), Bounds())
    show(({"created": name} for name in created), output, ("created",))
