"""Dockerfile and compose file, read as they stand. hadolint and real builds of every target are in docs/aws.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]
TARGETS = ("control", "code", "api", "function")
SERVERS = ("control", "code", "api")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its (instruction, arguments), continued lines joined, those of the stages that it builds on first."""
    text = re.sub(r"^\s*#.*\n", "", (REPO / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, arguments = line.split(maxsplit=1)
        if word == "FROM":
            parent, _, name = arguments.split()
            current = found[name] = list(found.get(parent, []))
        current.append((word, " ".join(arguments.split())))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_does_not_run_as_root(target: str) -> None:
    users = [arguments for word, arguments in stages()[target] if word == "USER"]
    assert users == ["1000"]


@pytest.mark.parametrize("target", SERVERS)
def test_a_server_has_a_health_check_and_binds_to_loopback(target: str) -> None:
    words = dict(stages()[target])
    assert "CMD" in words["HEALTHCHECK"]
    assert '"127.0.0.1"' in words["CMD"]
    assert "0.0.0.0" not in words["CMD"]


def test_every_copied_path_exists_and_is_let_through() -> None:
    allowed = {line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for target in TARGETS:
        for word, arguments in stages()[target]:
            assert word != "ADD"
            if word == "COPY" and not arguments.startswith("--from="):
                for source in arguments.split()[:-1]:
                    assert (REPO / source).exists(), source
                    assert source.split("/")[0] in allowed, source


def test_only_the_code_location_has_torch_and_the_function_has_no_dagster() -> None:
    installed = {t: " ".join(a for w, a in stages()[t] if w == "RUN" and "pip install" in a) for t in TARGETS}
    assert [target for target in TARGETS if "[train" in installed[target] or "torch" in installed[target]] == ["code"]
    assert "--editable" not in installed["function"]
    assert "deploy/function-requirements.txt" in installed["function"]
    for commands in installed.values():
        assert commands.count("--constraint constraints.txt") == commands.count("pip install")


def test_the_base_is_pinned_and_nothing_secret_is_written_down() -> None:
    text = (REPO / "Dockerfile").read_text()
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", text, flags=re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base)
    assert not re.search(r"(?i)(password|secret|token|_key)\s*=", text)
    example = (REPO / "deploy" / ".env.example").read_text()
    assert all(line.endswith("=") for line in example.splitlines() if line and not line.startswith("#"))


def compose() -> dict[str, dict]:
    return yaml.safe_load((REPO / "deploy" / "compose.yaml").read_text())["services"]


def test_compose_opens_ports_on_loopback_only() -> None:
    ports = {name: service["ports"] for name, service in compose().items() if "ports" in service}
    assert ports == {"webserver": ["127.0.0.1:3000:3000"], "api": ["127.0.0.1:8000:8000"]}


def test_compose_restarts_watches_and_confines_what_it_runs() -> None:
    services = compose()
    assert set(services) == {"postgres", "code", "daemon", "webserver", "api"}
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert all(ours in services for ours in service.get("depends_on", {})), name
        if name != "postgres":
            assert service["cap_drop"] == ["ALL"], name
            target = service["build"]["target"]
            assert target in TARGETS
            assert "healthcheck" in service or "HEALTHCHECK" in dict(stages()[target]), name


def test_compose_gives_the_variables_that_the_instance_reads() -> None:
    read = (REPO / "deploy" / "dagster.yaml").read_text() + (REPO / "deploy" / "workspace.yaml").read_text()
    needed = set(re.findall(r"\{env: (\w+)\}", read)) - {"STOCKFC_DAGSTER_DIR"}
    services = compose()
    assert needed <= set(services["daemon"]["environment"])
    assert needed <= set(services["webserver"]["environment"])
    assert {name for name in needed if "_PG_" in name} <= set(services["code"]["environment"])


def test_compose_takes_secrets_from_the_environment_that_the_example_lists() -> None:
    text = (REPO / "deploy" / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    listed = set(re.findall(r"^(\w+)=", (REPO / "deploy" / ".env.example").read_text(), flags=re.MULTILINE))
    assert asked == listed
    assert "/deploy/.env" in (REPO / ".gitignore").read_text().splitlines()
