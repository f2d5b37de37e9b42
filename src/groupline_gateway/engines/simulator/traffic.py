"""How many requests are under way, and how many may be."""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    cap: int | None = None
    current: int = 0
    peak: int = 0
    peak_sends: int = 0
    peak_sends_of_a_phone: int = 0
    requests: int = 0
    resets: int = 0

    def enter(self) -> bool:
        """Count a request in, unless that would be one too many."""
        if self.cap is not None and self.current >= self.cap:
            self.resets += 1
            return False
        self.requests += 1
        self.current += 1
        self.peak = max(self.peak, self.current)
        return True

    def leave(self) -> None:
        self.current -= 1

    def note_send(self, sends: int, sends_of_phone: int) -> None:
        self.peak_sends = max(self.peak_sends, sends)
        self.peak_sends_of_a_phone = max(self.peak_sends_of_a_phone, sends_of_phone)

    def start_over(self) -> None:
        self.peak, self.peak_sends, self.peak_sends_of_a_phone = self.current, 0, 0
        self.requests = self.resets = 0
