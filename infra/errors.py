"""What the person at the keyboard has to hear about."""

ENVIRONMENT_EXIT = 3


class EnvironmentFault(Exception):
    """The machine, not the data, is in the way: a port, a disk, Java, a broker. The message says what to do.

    The command line prints it on one line and ends with exit code 3.
    """
