"""``python -m bench.contract_fuzz``: schemathesis against a running service, every check, thousands of cases.

Fails on a server error, an undocumented status, an answer that is not as its schema says, or a rule of HTTP that is
broken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.served import seqrank_served

EXCLUDED_CHECKS = "positive_data_acceptance"
"""Rules between values (an action that the bundle has, items named once) cannot be said in JSON Schema: a body that
fits the schema may still be refused with 422."""

CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]

[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""
"""504 is the documented answer to a ``strict`` request whose budget has passed. A wrong body may be too long: 413."""


def main(argv: list[str] | None = None) -> int:
    """Run; return 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve meanwhile")
    parser.add_argument("--examples", type=int, default=300, help="cases for each operation and phase")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    with seqrank_served(arguments.bundle, environment={"SEQRANK_TIMEOUT_MS": "2000"}) as served:
        return run_schemathesis(served.url, examples=arguments.examples, seed=arguments.seed)


def run_schemathesis(url: str, *, examples: int, seed: int) -> int:
    """Run schemathesis's command line against ``url``; return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "schemathesis.toml").write_text(CONFIGURATION, "ascii")
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--url", url,
            "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed),
            "--exclude-checks", EXCLUDED_CHECKS, "--suppress-health-check", "all", "--workers", "1",
            "--request-timeout", "20", "--no-color",
        ]  # fmt: skip
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
