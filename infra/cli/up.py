"""`carbonledger up` and `down`: everything as a service in the foreground, and its end from another terminal."""

import signal
import sys

_DOWN_WITHIN = 90.0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def up() -> None:
    """Start everything and keep it alive.

    Starts the broker, creates the topics, starts every process and restarts what dies, until Ctrl-C or SIGTERM.
    The data stays: a second 'up' goes on from where the first stopped.

    \b
      carbonledger up                              everything embedded, data in var/ledger
      carbonledger --data /srv/co2 up              data in another folder
      CARBONLEDGER_BOOTSTRAP=kafka:9092 carbonledger up    with a cluster of your own
      CARBONLEDGER_METRICS_PORT=9400 carbonledger up       /metrics of 'up' on 127.0.0.1:9400, not a free port
    """
    from contextlib import ExitStack
    from functools import partial

    import structlog

    from infra import channel, endpoints, logging, metrics, services, settings, watch
    from infra.demo import parameters
    from infra.processes import ACCOUNTS, STORES
    from infra.roles import roles_of
    from infra.supervisor import Supervisor
    from schemas.metrics import UP
    from schemas.observed import PROCESS
    from streams.accounts import kept_sums

    own = settings.load()
    say = _say
    if own.log == "json":
        logging.configure(own.log, own.log_level, UP)
        said_by = structlog.get_logger(__name__)
        say = lambda line: said_by.info("up says", text=line)  # noqa: E731
    made = channel.create(own.data, parameters.load(), days=None)
    planned = services.plan(own, say, roles_of(made))
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(planned.processes, own.data, say, planned.bootstrap))
        groups = {process.group for process in planned.processes if process.group}
        stages = partial(watch.stages, own.client(planned.bootstrap), groups, own.data)
        PROCESS.shows("waiting", partial(metrics.waiting, stages, partial(endpoints.broker_away, planned.bootstrap)))
        PROCESS.shows("books", partial(metrics.balanced, partial(kept_sums, own.data / STORES / ACCOUNTS)))
        PROCESS.shows("processes", lambda: metrics.supervised(own.data, supervisor.restarts))
        PROCESS.needs("processes", lambda: metrics.not_ready(supervisor.states))
        stack.enter_context(endpoints.serving(own.data, UP, PROCESS, own.metrics_host, own.metrics_port))
        said = f"Everything runs; Kafka at {planned.bootstrap}, logs in {own.data / 'log'}. Ctrl-C ends it."
        supervisor.run(lambda: say(said), PROCESS.turned)
    say("Everything is stopped; the data stays.")


def down() -> None:
    """Stop what 'up' started.

    Waits until everything on this data folder has ended. The data stays.

    \b
      carbonledger down
      carbonledger --data /srv/co2 down
    """
    import os
    import time

    from infra import runfile, settings

    data = settings.load().data
    pid = runfile.running(data).pid
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN
    while runfile.holder(data) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)  # its children die with it
            _say(f"It did not stop within {_DOWN_WITHIN:g} s and was killed; the data stays.")
            return
        time.sleep(0.1)
