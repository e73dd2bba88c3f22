"""What a chaos scenario saw, and the line that says whether it passed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Verdict:
    """The result of one scenario.

    Attributes:
        scenario: Its name.
        facts: What was measured, by name.
        failures: A sentence for every promise that was broken; empty means pass.
    """

    scenario: str
    facts: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def expect(self, held: bool, sentence: str) -> None:
        """Note a broken promise."""
        if not held:
            self.failures.append(sentence)

    def line(self) -> str:
        """Return the scenario as one row of the report."""
        state = "pass" if not self.failures else "**FAIL**: " + "; ".join(self.failures)
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"| {self.scenario} | {facts} | {state} |"
