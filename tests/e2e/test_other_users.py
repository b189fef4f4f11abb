"""Test that neither another user of the machine nor a web page can get into a platform.

If root runs the tests, PostgreSQL, Spark and their supervisor run as an ordinary user, and a second user attacks them.
For anyone else, both are the same user. That is enough to test the ports, but the tests of files, unix sockets and
processes are skipped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.platform.services.spark import check_version
from include.platform.services.spark_security import rest_headers, rpc_properties, signed_token
from include.settings import ROLES, Settings
from tests.support.platform import Platform
from tests.support.postgres import temporary_home
from tests.support.users import (
    OWNER,
    STRANGER,
    as_stranger,
    command_of,
    command_of_owner,
    give_to_owner,
    knock,
    needs_a_second_user,
)

pytestmark = pytest.mark.timeout(900)

# A driver that a malicious user or web page could submit. If it starts, the worker creates a directory for it.
_SUBMISSION = {
    "action": "CreateSubmissionRequest",
    "appResource": "file:/none.jar",
    "mainClass": "Evil",
    "appArgs": [],
    "clientSparkVersion": "4.2.0",
    "environmentVariables": {},
    "sparkProperties": {"spark.app.name": "evil", "spark.master": "spark://x", "spark.submit.deployMode": "cluster"},
}


@pytest.fixture(scope="module")
def user_platform() -> Iterator[Platform]:
    """Yield a platform of PostgreSQL and Spark that an ordinary user runs with a umask of 0."""
    with temporary_home() as directory:
        give_to_owner(directory)
        # This folder is open to everyone, so only the state directory itself keeps others out.
        directory.chmod(0o755)
        platform = Platform(directory / "instance", become=command_of_owner(), umask=0)
        try:
            platform.succeed("include.platform", "up", "--only", "postgres,spark")
            yield platform
        finally:
            platform.succeed("include.platform", "down")


@pytest.fixture(scope="module")
def settings(user_platform: Platform) -> Settings:
    """Return the settings of the platform that an ordinary user runs."""
    return user_platform.settings


def rest_status(settings: Settings, path: str, body: object = None, **headers: str) -> int:
    """Send a request to Spark's REST server as the stranger, by POST if there is a body; return the HTTP status."""
    url = f"http://127.0.0.1:{settings.ports['spark-rest']}{path}"
    status: int = knock("http", url, None if body is None else json.dumps(body), headers)
    return status


def drivers(settings: Settings) -> set[str]:
    """Return the ids of the drivers that the worker has started so far."""
    return {path.name for path in (settings.root / "spark" / "work").glob("driver-*")}


def secret_values(settings: Settings) -> set[str]:
    """Return all passwords and keys of an instance."""
    lines = [line for file in settings.secrets_dir.iterdir() for line in file.read_text().splitlines()]
    words = {word for line in lines for word in (line, line.rpartition(":")[2], line.rpartition(" ")[2])}
    return {word for word in words if len(word) >= 12 and not word.startswith("org.apache")}


def processes_of(platform: Platform) -> list[psutil.Process]:
    """Return the live processes of an instance, including PostgreSQL's backends."""
    found = {psutil.Process(pid) for pid in platform.pids() if psutil.pid_exists(pid)}
    return [*found, *(child for process in list(found) for child in children_of(process) if child not in found)]


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs and is not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process, or none if it has ended."""
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


# An ordinary user --------------------------------------------------------------------------------------------------


@needs_a_second_user
def test_everything_runs_as_the_user_who_starts_it(user_platform: Platform) -> None:
    assert {process.username() for process in processes_of(user_platform)} == {OWNER}


# Files and sockets -------------------------------------------------------------------------------------------------


@needs_a_second_user
def test_another_user_cannot_read_the_state_directory(settings: Settings) -> None:
    root = settings.root
    events = settings.archive_dir / "events.csv"
    events.write_text("user_id,city\n")
    events.chmod(0o644)
    files = (events, settings.passfile, settings.log_dir / "spark-master.log", root / "lifecycle.json")
    directories = (root, settings.landing_dir, settings.archive_dir, settings.quarantine_dir, settings.log_dir)
    try:
        # The mode is 0711 if root runs the platform. With 0755, only the directories inside are closed.
        for mode in (0o700, 0o711, 0o755):
            root.chmod(mode)
            for directory in directories[1:] if mode == 0o755 else directories:
                assert as_stranger("ls", directory).returncode != 0, directory
            assert knock("readable", *map(str, files)) == []
    finally:
        root.chmod(0o700)
        events.unlink()


def test_files_are_closed_to_others_even_with_an_open_umask(settings: Settings) -> None:
    open_paths = [
        path
        for path in settings.root.rglob("*")
        # The Java launcher contains no secret, and a socket is as closed as its directory.
        if not path.is_symlink() and path.stat().st_mode & 0o077 and not path.is_socket() and path.name != "java"
    ]
    assert open_paths == []
    assert settings.root.stat().st_mode & 0o777 == 0o700


@needs_a_second_user
def test_postgresql_refuses_other_users(settings: Settings) -> None:
    socket = f"{settings.socket_dir}/.s.PGSQL.{settings.database_port}"
    assert knock("postgres", socket, "postgres") == "refused: Permission denied"
    settings.root.chmod(0o711)
    settings.socket_dir.chmod(0o711)
    try:
        # When the directory is open, the server still asks for a password.
        assert "Peer authentication failed" in knock("postgres", socket, "postgres")
        assert {knock("postgres", socket, f"shop_{role}") for role in ROLES} == {"password wanted"}
    finally:
        settings.socket_dir.chmod(0o700)
        settings.root.chmod(0o700)


def test_postgresql_has_no_port(user_platform: Platform) -> None:
    servers = [process for process in processes_of(user_platform) if process.name() == "postgres"]
    assert servers
    assert [server.net_connections(kind="tcp") for server in servers if server.net_connections(kind="tcp")] == []


@needs_a_second_user
def test_the_supervisor_refuses_other_users(settings: Settings) -> None:
    socket = str(settings.socket_dir / "supervisor.sock")
    assert knock("unix", socket) == "refused: Permission denied"
    settings.root.chmod(0o711)
    settings.socket_dir.chmod(0o711)
    try:
        assert knock("unix", socket) == "refused: Permission denied"
    finally:
        settings.socket_dir.chmod(0o700)
        settings.root.chmod(0o700)


@needs_a_second_user
def test_nothing_in_tmp_can_be_read_by_another_user(user_platform: Platform) -> None:
    command = ["find", "/tmp", "/var/tmp", "-user", OWNER, "(", "-type", "f", "-o", "-type", "d", ")", "-readable"]
    found = {Path(line) for line in as_stranger(*command).stdout.splitlines()}
    # Java's list of its processes shows no more than `ps`, and a fixture opened the folder above the state directory.
    assert found - {Path(f"/tmp/hsperfdata_{OWNER}"), user_platform.settings.root.parent} == set()


# Spark -------------------------------------------------------------------------------------------------------------


def test_a_driver_cannot_be_submitted_without_the_key(settings: Settings) -> None:
    create, before = "/v1/submissions/create", drivers(settings)
    assert rest_status(settings, create, _SUBMISSION, **{"Content-Type": "application/json"}) == 403
    # A web page can send this without a preflight request: the content type of a form, and the page's own origin.
    page = {"Content-Type": "text/plain", "Origin": "https://evil.example"}
    assert rest_status(settings, create, _SUBMISSION, **page) == 403
    forged = signed_token("A" * 43, expires_at=2**32)
    assert rest_status(settings, create, _SUBMISSION, Authorization=f"Bearer {forged}") == 403
    assert drivers(settings) == before


@pytest.mark.parametrize("path", ["kill/driver-1", "killall", "clear"])
def test_drivers_cannot_be_ended_without_the_key(settings: Settings, path: str) -> None:
    assert rest_status(settings, f"/v1/submissions/{path}", {}) == 403


def test_an_old_token_is_refused(settings: Settings) -> None:
    key = (settings.secrets_dir / "spark-rest-key").read_text().strip()
    headers = {"Authorization": f"Bearer {signed_token(key, expires_at=1_700_000_000)}"}
    assert rest_status(settings, "/v1/submissions/status/none", **headers) == 403


def test_requests_of_the_platform_itself_are_accepted(settings: Settings) -> None:
    check_version("127.0.0.1", settings.ports["spark-rest"], rest_headers(settings))
    assert rest_status(settings, "/v1/submissions/status/none", **rest_headers(settings)) == 200


def submit(settings: Settings, become: list[str], *options: str) -> str:
    """Submit a driver by RPC, and return the output of ``spark-submit``."""
    (jar,) = (package_directory("pyspark") / "jars").glob("spark-core_*.jar")
    completed = subprocess.run(
        [
            *become,
            str(package_directory("pyspark") / "bin" / "spark-submit"),
            *("--master", f"spark://127.0.0.1:{settings.ports['spark-master']}", "--deploy-mode", "cluster"),
            *("--conf", "spark.standalone.submit.waitAppCompletion=false", "--conf", "spark.rpc.askTimeout=5s"),
            *(*options, "--class", "Evil", jar.as_uri()),
        ],
        env=spark_environment(settings),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=180,
    )
    return completed.stderr


def test_a_driver_cannot_be_submitted_by_rpc_without_the_secret(settings: Settings) -> None:
    before = drivers(settings)
    # The checkout may be closed to others, so let the stranger read the programs in it.
    stranger = command_of(STRANGER, reads_all=True)
    guess = ["--conf", "spark.authenticate=true", "--conf", "spark.authenticate.secret=guessed"]
    with ThreadPoolExecutor() as pool:
        outputs = [pool.submit(submit, settings, stranger, *options) for options in ([], guess)]
    assert not [output.result() for output in outputs if "successfully submitted" in output.result()]
    assert drivers(settings) == before
    # With the secret, the same driver is accepted, so nothing else in the request was wrong.
    assert "successfully submitted" in submit(
        settings, command_of_owner(), "--properties-file", str(rpc_properties(settings))
    )


@pytest.mark.parametrize("daemon", ["spark-master", "spark-worker"])
def test_ports_of_spark_refuse_clients_without_the_secret(settings: Settings, daemon: str) -> None:
    answer = knock("blocks", settings.ports[daemon])
    assert answer != "in"
    assert "SaslMessage" in answer


@pytest.mark.parametrize("path", ["/app/kill/?id=app-1&terminate=true", "/driver/kill/?id=driver-1&terminate=true"])
def test_the_pages_of_spark_have_no_kill_buttons(settings: Settings, path: str) -> None:
    assert knock("http", f"http://127.0.0.1:{settings.ports['spark-master-ui']}{path}", "", {}) in {404, 405}


def test_a_web_page_cannot_remove_the_worker(settings: Settings) -> None:
    url = f"http://127.0.0.1:{settings.ports['spark-master-ui']}/workers/kill/?host=127.0.0.1"
    assert knock("http", url, "", {}) in {403, 404, 405}


# The whole platform with its driver and Airflow ---------------------------------------------------------------------


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process, or an empty string if it has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return ""


def driver_jvm(platform: Platform) -> psutil.Process:
    """Return the JVM of the stream's driver, which the worker has started."""
    (jvm,) = [process for process in processes_of(platform) if "deploy.worker.DriverWrapper" in command_line(process)]
    return jvm


def listening_ports(process: psutil.Process) -> list[int]:
    """Return the TCP ports on which a process listens."""
    return [socket.laddr.port for socket in process.net_connections(kind="tcp") if socket.status == psutil.CONN_LISTEN]


def test_no_command_line_shows_a_secret(platform: Platform) -> None:
    words = secret_values(platform.settings)
    lines = [command_line(process) for process in psutil.process_iter()]
    assert any(str(platform.settings.secrets_dir) in line for line in lines)
    assert len(words) > 10
    assert [line for line in lines if any(word in line for word in words)] == []


def test_every_process_creates_files_only_for_its_own_user(platform: Platform) -> None:
    umasks = {}
    for process in processes_of(platform):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        # A process that has ended but is still listed has no umask any more.
        if "Umask" in fields:
            umasks[process.pid] = fields["Umask"]
    assert len(umasks) > 20
    assert set(umasks.values()) == {"0077"}


@needs_a_second_user
def test_another_user_cannot_read_any_process(platform: Platform) -> None:
    # The driver has Spark's secret in its environment, and Airflow's tasks have their tokens there.
    processes = processes_of(platform)
    files = [f"/proc/{process.pid}/{name}" for process in processes for name in ("environ", "maps")]
    assert len(files) > 40
    readable_files = knock("readable", *files)
    # Everyone can open these files of a process that has ended, but they are empty.
    alive = [process for process in processes if is_alive(process)]
    assert [file for file in readable_files if any(file.startswith(f"/proc/{process.pid}/") for process in alive)] == []


def test_the_driver_refuses_other_users(platform: Platform) -> None:
    jvm, ui_port = driver_jvm(platform), platform.settings.ports["spark-driver-ui"]
    ports = [port for port in listening_ports(jvm) if port != ui_port]
    assert len(ports) >= 2
    for port in ports:
        # Spark's own programs and its Python process send these requests too, but with the secret and the token.
        assert knock("blocks", port) != "in"
        assert knock("gateway", port) != "in"


@needs_a_second_user
def test_another_user_cannot_call_the_functions_of_a_batch(platform: Platform) -> None:
    (python,) = [child for child in driver_jvm(platform).children() if "stream_events.py" in command_line(child)]
    ports = listening_ports(python)
    assert ports
    assert [port for port in ports if knock("callback", port) == "in"] == []


def test_airflow_refuses_clients_without_a_login(platform: Platform) -> None:
    endpoints = {
        "/api/v2/dags": None,
        "/api/v2/connections": None,
        "/api/v2/variables": None,
        "/api/v2/dags/stream_events/dagRuns": "{}",
        "/shopstream/api/v1/overview": None,
        "/execution/connections/shop_owner": None,
        "/auth/token": '{"username": "admin", "password": "guessed"}',
    }
    for path, body in endpoints.items():
        status = knock("http", f"{platform.url}{path}", body, {"Content-Type": "application/json"})
        assert status in {401, 403}, path
