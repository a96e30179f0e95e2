"""Every dashboard of the product."""

from dashboards.boards import committee, enterprise, group, health, quality, record, region

BOARDS = (
    enterprise.BOARD,
    group.BOARD,
    region.BOARD,
    committee.BOARD,
    quality.BOARD,
    health.BOARD,
    record.BOARD,
)
