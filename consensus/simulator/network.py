"""A wire that delays, loses, repeats and reorders, and that splits into parts that don't hear each other."""

from dataclasses import dataclass, field
from random import Random


@dataclass
class Network:
    """What happens to a message. Probabilities in 0..1, delays in ms of virtual time."""

    rng: Random
    loss: float = 0.0
    repetition: float = 0.0
    straggling: float = 0.0
    """Share of messages that take up to `straggle_ms`."""
    delay_ms: int = 10
    straggle_ms: int = 1_500
    parts: dict[int, int] = field(default_factory=dict)
    """Member to the part that it is in; empty when whole."""
    deaf: set[tuple[int, int]] = field(default_factory=set)
    """(sender, receiver) of which the receiver hears nothing, though it may be heard."""

    def deliveries(self, sender: int, receiver: int) -> list[int]:
        """Delays of the copies of a message that arrive; none if it is lost."""
        if (self.parts and self.parts.get(sender) != self.parts.get(receiver)) or (sender, receiver) in self.deaf:
            return []
        if self.loss and self.rng.random() < self.loss:
            return []
        delays = [self._delay()]
        while self.repetition and self.rng.random() < self.repetition:
            delays.append(self._delay())
        return delays

    def _delay(self) -> int:
        if self.straggling and self.rng.random() < self.straggling:
            return self.rng.randint(1, self.straggle_ms)
        return self.rng.randint(1, self.delay_ms)

    def split(self, members: int) -> None:
        """Put each member into one of two parts; one time in three, cut a third of all ways, each in one direction."""
        if self.rng.random() < 1 / 3:
            ways = [(sender, receiver) for sender in range(members) for receiver in range(members)]
            self.deaf = set(self.rng.sample(ways, len(ways) // 3))
            return
        self.parts = {member: self.rng.randint(0, 1) for member in range(members)}

    def mend(self) -> None:
        """Put the parts together again."""
        self.parts, self.deaf = {}, set()

    def calm(self) -> None:
        """Heal: all hear each other, little is lost."""
        self.mend()
        self.loss = self.repetition = self.straggling = 0.0
