"""Nothing is unpickled, YAML is read safely, no secret is in the repository, servers listen on loopback."""

import ast
import io
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import yaml

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets_tests.conftest import REPO, tiny_config

CODE = [REPO / name for name in ("stockfc_assets", "benchmarks", "deploy")]
FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"),
    *("tarfile", "zipfile"),
}
FORBIDDEN_CALLS = {"eval", "exec", "unpack_archive", "read_pickle", "to_pickle", "unsafe_load", "full_load"}


def sources() -> list[Path]:
    return [path for root in CODE if root.is_dir() for path in sorted(root.rglob("*.py"))]


def problems(tree: ast.AST) -> list[str]:
    """What in a module could run code that came with data, each with its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        found += [f"{node.lineno}: {name}" for name in names if name.partition(".")[0] in FORBIDDEN_MODULES]
        if isinstance(node, ast.Call):
            found += [f"{node.lineno}: {what}" for what in _call_problems(node)]
    return found


def _call_problems(call: ast.Call) -> list[str]:
    owner, name = "", ""
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
        name = call.func.attr
    elif isinstance(call.func, ast.Name):
        name = call.func.id
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN_CALLS and (name not in ("eval", "exec") or isinstance(call.func, ast.Name)):
        return [name]
    if (owner, name) == ("torch", "load") and given.get("weights_only") != "True":
        return ["torch.load"]
    if given.get("allow_pickle", "False") != "False":
        return ["allow_pickle"]
    if owner == "yaml" and name in ("load", "load_all") and "Safe" not in given.get("Loader", ""):
        return ["yaml.load"]
    return []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle", ["1: pickle"]),
        ("from joblib import load", ["1: joblib", "1: joblib.load"]),
        ("import torch\ntorch.load(path)", ["2: torch.load"]),
        ("import torch\ntorch.load(path, weights_only=True)", []),
        ("np.load(path, allow_pickle=True)", ["1: allow_pickle"]),
        ("yaml.load(text, Loader=yaml.Loader)", ["1: yaml.load"]),
        ("yaml.safe_load(text)", []),
        ("shutil.unpack_archive(path)", ["1: unpack_archive"]),
        ("network.eval()", []),
        ("eval(text)", ["1: eval"]),
    ],
)
def test_the_reader_of_sources_finds_what_it_looks_for(code, found):
    assert problems(ast.parse(code)) == found


def test_no_source_can_run_code_that_comes_with_data():
    found = {str(path): problems(ast.parse(path.read_text())) for path in sources()}
    assert len(found) > 100
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system"])
def test_yaml_that_asks_for_python_objects_is_refused(tmp_path, text):
    config = tiny_config(tmp_path)
    (config / "quality.yaml").write_text(f"prices: {text}\n")
    with pytest.raises(ConfigError, match=r"quality\.yaml: not valid YAML.*could not determine a constructor"):
        load_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(tmp_path / "data")})


# --- what is written and read -----------------------------------------------------------------------------------------

PICKLE_START = re.compile(rb"\A\x80[\x02-\x05]")


def unsafe_content(data: bytes) -> str | None:
    """Why a file may be a pickle, or hold one."""
    if PICKLE_START.match(data):
        return "starts like a pickle"
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [name for name in archive.namelist() if name.endswith(".pkl")]
        return f"a zip file that holds {inside}" if inside else None
    return None


def test_what_torch_and_pickle_write_by_default_would_be_found(tmp_path):
    import pickle

    import torch

    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert unsafe_content(pickle.dumps({"a": 1}, protocol)) == "starts like a pickle"
    torch.save({"weights": torch.zeros(2)}, tmp_path / "model.pt")
    assert unsafe_content((tmp_path / "model.pt").read_bytes()) == "a zip file that holds ['model/data.pkl']"
    assert unsafe_content(b"{}") is None


FLOW = """
import datetime as dt, sys, threading
unpickled = []
def hook(event, arguments):
    if event == "pickle.find_class":
        frame, names = sys._getframe(), []
        while frame:
            names.append(frame.f_code.co_filename)
            frame = frame.f_back
        unpickled.append((arguments, [name for name in names if "stockfc_assets" in name][:3]))
sys.addaudithook(hook)
from pathlib import Path
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.end_to_end.walk import workbench
bench = workbench(Path(sys.argv[1]), "data", NOW)
{steps}
print("unpickled", unpickled)
"""
BACKFILL = "bench.backfill(dt.date(2024, 2, 26), dt.date(2024, 3, 1)); bench.quality(None, None); bench.status()"
WHOLE_FLOW = """
bench.backfill(dt.date(2019, 1, 4), dt.date(2024, 2, 29))
bench.monthly(dt.date(2024, 2, 1), None, walk=False)
bench.monthly(dt.date(2024, 3, 1), None, walk=False)
document = bench.daily(None)
bench.explain(document["predictions"][0]["ticker"], None)
bench.scores(None), bench.gate(None), bench.status(), bench.doctor()
"""


@pytest.mark.parametrize(
    "steps", [BACKFILL, pytest.param(WHOLE_FLOW, marks=pytest.mark.service)], ids=["prices", "all"]
)
def test_the_flow_unpickles_nothing_and_writes_no_pickle(tmp_path, steps):
    """By the interpreter's own audit hook: it is called whenever an unpickler looks up a class or a function."""
    from stockfc_assets_tests.faults.roots import small_config

    small_config(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FLOW).format(steps=steps), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPO,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines()[-1] == "unpickled []"
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {path: why for path in files if (why := unsafe_content(path.read_bytes()))} == {}


def test_the_audit_hook_would_see_a_pickle(tmp_path):
    import pickle

    (tmp_path / "p").write_bytes(pickle.dumps(subprocess.PIPE.__class__))
    (tmp_path / "config").mkdir()
    code = textwrap.dedent(FLOW).split("from pathlib")[0] + (
        "import pickle; pickle.load(open(sys.argv[1], 'rb'))\nprint('unpickled', len(unpickled))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p")], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "unpickled 1"


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = {
    "AWS key id": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "AWS secret key": r"(?i)aws_?secret_?(?:access_?)?key\W{1,5}[A-Za-z0-9/+]{40}\b",
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "Slack webhook": r"hooks\.slack\.com/(?:services|workflows)/T[A-Za-z0-9]+/[A-Za-z0-9/]+",
    "Slack token": r"\bxox[abprs]-[0-9A-Za-z-]{10,}",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "PyPI token": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,}",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "password in an address": r"\b[a-z][a-z0-9+]*://[^\s:/@\"'{}$<>]+:(?!\$|\{|<|\*|password@|secret@)[^\s:/@\"'{}$<>]{3,}@",
}


def secrets_in(text: str) -> list[str]:
    return [name for name, pattern in SECRETS.items() if re.search(pattern, text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AWS key id", "key = 'AKIA" + "IOSFODNN7EXAMPLE'"),
        ("AWS secret key", "AWS_SECRET_ACCESS_KEY=" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("Slack webhook", "https://hooks.slack" + ".com/services/T000/B000/XXXXXXXX"),
        ("Slack token", "xox" + "b-1234567890-abcdef"),
        ("GitHub token", "gh" + "p_" + "a" * 36),
        ("PyPI token", "pypi-AgEI" + "cHlwaS5vcmc" + "a" * 30),
        ("JSON web token", "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".dozjgNryP4J3jVmN"),
        ("password in an address", "postgresql://dagster" + ":hunter2@db/dagster"),
    ],
)
def test_the_reader_of_secrets_finds_what_it_looks_for(name, text):
    assert secrets_in(text) == [name]


@pytest.mark.parametrize(
    "text", ["postgresql://${USER}:${PASSWORD}@db", "https://example.com/@a", "sha256: " + "a" * 64]
)
def test_and_nothing_else(text):
    assert secrets_in(text) == []


def repository_files() -> list[Path]:
    """What git tracks or would track: an image's context can hold no more of the repository than that."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [REPO / name for name in listed.stdout.split("\0") if name and (REPO / name).is_file()]


def test_no_file_of_the_repository_holds_a_secret():
    texts = {path: path.read_bytes().decode("utf-8", "ignore") for path in repository_files()}
    assert len(texts) > 200
    assert {str(path): names for path, text in texts.items() if (names := secrets_in(text))} == {}


def test_no_private_file_is_in_the_repository():
    names = [path.relative_to(REPO) for path in repository_files()]
    private = re.compile(r"(^|/)(\.env|id_[a-z0-9]+|[^/]*\.(pem|key|p12|pfx|keystore|pkl|pickle|pt))$")
    assert [str(name) for name in names if private.search(str(name))] == []


def test_what_is_secret_is_not_shown():
    from stockfc_assets.running_settings import AlarmSettings, ApiSettings

    shown = f"{AlarmSettings(webhook_url='https://example.com/hidden')!r} {ApiSettings(key='hidden')!r}"
    assert "hidden" not in shown


# --- servers ----------------------------------------------------------------------------------------------------------


def hosts(text: str) -> set[str]:
    """The addresses that command lines in ``text`` let a server listen on: ``-h 1.2.3.4``, ``"--host", "1.2.3.4"``."""
    return set(re.findall(r"(?:-h|--host)[\"',= ]+(?:default=\")?([0-9a-z.:\[\]]+)", text))


def test_the_reader_of_hosts_finds_every_way_to_write_one():
    assert hosts('CMD ["x", "-h", "0.0.0.0"]\nuvicorn --host=127.0.0.1 y') == {"0.0.0.0", "127.0.0.1"}


def test_servers_listen_on_loopback_unless_told_otherwise():
    assert hosts("\n".join(path.read_text() for path in sources())) == {"127.0.0.1"}
    assert hosts((REPO / "Dockerfile").read_text()) <= {"127.0.0.1"}


def test_ports_of_one_machine_are_published_on_loopback_only():
    compose = REPO / "deploy/compose.yaml"
    if not compose.is_file():
        pytest.skip("no compose file")
    services = yaml.safe_load(compose.read_text())["services"]
    published = [str(port) for service in services.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
