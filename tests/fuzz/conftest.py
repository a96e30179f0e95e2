"""How much is tried: a few thousand examples in `make test`, many more in `make fuzz`. None of it is about time."""

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("fuzz-short", deadline=None, max_examples=30, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("fuzz-long", deadline=None, max_examples=5_000, suppress_health_check=_SLOW)
PROFILE = settings.get_profile("fuzz-long" if os.environ.get("FUZZ") else "fuzz-short")
