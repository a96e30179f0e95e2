"""`python -m dashboards` writes the JSON of every dashboard and the provisioning files, which are committed."""

from pathlib import Path

from dashboards import grafana, provisioning
from dashboards.boards import BOARDS

HOME = Path(__file__).parent


def files() -> dict[Path, str]:
    """Every file that is made, and its text."""
    boards = {HOME / "json" / f"{board.uid}.json": grafana.text(grafana.board_json(board)) for board in BOARDS}
    told = {HOME / "provisioning" / path: text for path, text in provisioning.files().items()}
    return boards | told


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
