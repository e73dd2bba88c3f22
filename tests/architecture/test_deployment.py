"""What the deployment files promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.main import ROUTES
from app.server import MOST_DRAIN_S
from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    """Return the pod of the Kubernetes example."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yml").read_text("utf-8")))
    spec: dict[str, Any] = documents[0]["spec"]["template"]["spec"]
    return spec


def test_every_probe_asks_a_route_that_exists(pod: dict[str, Any]) -> None:
    """Startup and readiness ask for readiness, liveness for liveness."""
    container = pod["containers"][0]
    asked = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert asked == ["/health/ready", "/health/ready", "/health/live"]
    assert set(asked) <= set(ROUTES)


def test_every_variable_is_a_setting(pod: dict[str, Any]) -> None:
    """A variable that is no setting would keep the service from starting."""
    names = {entry["name"] for entry in pod["containers"][0]["env"]}
    assert names <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_kubernetes_adds_no_variables_of_its_own(pod: dict[str, Any]) -> None:
    """For the Service of this name it would set ``SEQRANK_SERVICE_HOST`` and others, which are no settings."""
    assert pod["enableServiceLinks"] is False


def test_the_pod_waits_for_the_drain(pod: dict[str, Any]) -> None:
    """The grace period is longer than draining and closing take."""
    assert pod["terminationGracePeriodSeconds"] > MOST_DRAIN_S + 4


def test_containers_have_no_rights(pod: dict[str, Any]) -> None:
    """Kubernetes and compose alike: not root, a file system that cannot be written, no capabilities."""
    context = pod["containers"][0]["securityContext"]
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert (context["capabilities"], pod["securityContext"]["runAsNonRoot"]) == ({"drop": ["ALL"]}, True)
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["service"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    final_stage = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    assert "USER seqrank" in final_stage


def test_acknowledged_events_are_on_disk_in_compose() -> None:
    """The compose file's Redis keeps an append-only file and flushes it at every write."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--appendfsync always" in command
