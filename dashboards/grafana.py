"""A dashboard as Grafana's classic JSON, by the foundation SDK, whose own layout misplaces panels of mixed sizes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as models

from dashboards.model import TEXT, Board, Column, Kind, Link, Panel, Variable

DATASOURCE = models.DataSourceRef("grafana-clickhouse-datasource", "carbonledger")
PLUGIN_VERSION = "4.14.1"
FOLDER = "carbonledger"
TIMESERIES, TABLE = 0, 1
"""The plugin's formats."""
YEAR_AGO, NOW = "now-1y", "now"


class Query(Dataquery, Builder[Dataquery]):
    """A query of the ClickHouse plugin, which the SDK has no class for."""

    def __init__(self, sql: str, *, series: bool) -> None:
        self._sql, self._series = sql, series

    def build(self) -> Dataquery:
        """The query itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As the plugin keeps it."""
        return {
            "refId": "A",
            "datasource": DATASOURCE.to_json(),
            "editorType": "sql",
            "pluginVersion": PLUGIN_VERSION,
            "rawSql": self._sql,
            "format": TIMESERIES if self._series else TABLE,
            "queryType": "timeseries" if self._series else "table",
        }


def url(link: Link) -> str:
    """Where a link leads from a row, in Grafana's own words."""
    return (
        f'/d/{link.board}?var-{link.variable}=${{__data.fields["{link.column}"]:percentencode}}&${{__url_time_range}}'
    )


def board_json(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    built = sdk.Dashboard(board.title).uid(board.uid).description(board.description).tags(["carbonledger"])
    built = (
        built.timezone("utc").editable().time(YEAR_AGO, NOW).refresh("1m").tooltip(models.DashboardCursorSync.CROSSHAIR)
    )
    for variable in board.variables:
        built = built.with_variable(_variable(variable))
    built = built.links([*_links()])
    for number, (panel, place) in enumerate(places(board), 1):
        built = built.with_panel(_panel(panel, number, place))
    found: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    return found


def text(board: dict[str, Any]) -> str:
    """The bytes that are committed."""
    return json.dumps(board, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def places(board: Board) -> Iterator[tuple[Panel, models.GridPos]]:
    """Each panel and where it stands: from left to right, row below row."""
    y = 0
    for row in board.rows:
        x = 0
        for panel in row:
            yield panel, models.GridPos(panel.height, panel.width, x, y)
            x += panel.width
        y += max(panel.height for panel in row)


def _links() -> Iterator[Builder[models.DashboardLink]]:
    boards = sdk.DashboardLink("Carbon ledger").type(models.DashboardLinkType.DASHBOARDS)
    yield boards.tags(["carbonledger"]).as_dropdown(True).keep_time(True)
    whole = sdk.DashboardLink("All that is recorded").type(models.DashboardLinkType.LINK)
    whole = whole.url("?from=${first}&to=${last}").include_vars(True)
    yield whole.tooltip("Set the time to that of the first and the last record").icon("external link")


def _variable(variable: Variable) -> Builder[models.VariableModel]:
    if not variable.sql:
        return sdk.TextBoxVariable(variable.name).label(variable.label)
    query = sdk.QueryVariable(variable.name).label(variable.label).datasource(DATASOURCE)
    query = query.query(variable.sql).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    query = query.multi(False).include_all(False).sort(models.VariableSort.DISABLED)
    return query.hide(models.VariableHide.HIDE_VARIABLE) if variable.hidden else query


def _panel(panel: Panel, number: int, place: models.GridPos) -> Builder[models.Panel]:
    built = sdk.Panel().type(panel.kind).id(number).title(panel.title).description(panel.description)
    built = built.grid_pos(place).datasource(DATASOURCE).unit(panel.unit).options(_OPTIONS[panel.kind](panel))
    built = built.with_target(Query(panel.sql, series=panel.kind == "timeseries"))
    built = built.color_scheme(sdk.FieldColor().mode(_colouring(panel))).thresholds(_thresholds(panel))
    if panel.decimals is not None:
        built = built.decimals(panel.decimals)
    if panel.none is not None:
        built = built.no_value(panel.none)
    if panel.split:
        built = built.display_name("${__field.labels.series}")
    built = built.custom(_custom(panel))
    for name, column in panel.columns.items():
        built = built.override_by_name(name, [*_properties(panel, column)])
    return built


def _colouring(panel: Panel) -> models.FieldColorModeId:
    by_value = panel.kind in ("stat", "table")
    return models.FieldColorModeId.THRESHOLDS if by_value else models.FieldColorModeId.PALETTE_CLASSIC


def _thresholds(panel: Panel) -> Builder[models.ThresholdsConfig]:
    first = "green" if panel.steps else "text"
    steps = [models.Threshold(None, first), *(models.Threshold(value, colour) for value, colour in panel.steps)]
    return sdk.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _custom(panel: Panel) -> dict[str, Any]:
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    if panel.kind == "timeseries":
        style = {"drawStyle": "bars" if panel.bars else "line", "fillOpacity": 60 if panel.bars else 0}
        return style | {
            "lineWidth": 1 if panel.bars else 2,
            "showPoints": "auto",
            "spanNulls": True,
            "stacking": stacking,
        }
    if panel.kind == "barchart":
        return {"stacking": stacking, "fillOpacity": 80, "lineWidth": 0}
    return {"align": "auto", "filterable": True, "inspect": False} if panel.kind == "table" else {}


def _properties(panel: Panel, column: Column) -> Iterator[models.DynamicConfigValue]:
    if column.unit is not None:
        yield models.DynamicConfigValue("unit", column.unit)
    if column.width is not None:
        yield models.DynamicConfigValue("custom.width", column.width)
    if column.colour is not None:
        yield models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": column.colour})
    if column.band is not None:
        yield models.DynamicConfigValue("custom.fillBelowTo", column.band)
        yield models.DynamicConfigValue("custom.fillOpacity", 15)
    if column.colours:
        results = {
            name: {"color": colour, "index": place} for place, (name, colour) in enumerate(column.colours.items())
        }
        yield models.DynamicConfigValue("mappings", [{"type": "value", "options": results}])
        if panel.kind == "table":
            yield models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
    if column.link is not None:
        yield models.DynamicConfigValue("links", [{"title": column.link.title, "url": url(column.link)}])


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}


def _stat(panel: Panel) -> dict[str, Any]:
    reduced = {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False}
    textual = panel.unit == TEXT or len(panel.columns) > 1
    shown = {"textMode": "value_and_name" if textual else "auto", "orientation": "auto", "justifyMode": "auto"}
    return shown | {"colorMode": "value", "graphMode": "none", "reduceOptions": reduced, "wideLayout": False}


def _barchart(panel: Panel) -> dict[str, Any]:
    stacking = "normal" if panel.stacked else "none"
    shown = {"orientation": "auto", "showValue": "never", "stacking": stacking, "xTickLabelRotation": -45}
    return shown | {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}, "groupWidth": 0.7, "barWidth": 0.9}


_OPTIONS: dict[Kind, Callable[[Panel], dict[str, Any]]] = {
    "stat": _stat,
    "timeseries": lambda panel: {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "barchart": _barchart,
    "table": lambda panel: {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"]}},
}
