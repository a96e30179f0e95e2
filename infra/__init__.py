"""The shell around everything: command line, settings, embedded broker, process supervision."""
