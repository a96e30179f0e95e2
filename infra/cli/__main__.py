"""`python -m infra.cli`: how the supervisor starts the command again for each of its processes."""

from infra.cli import main

main()
