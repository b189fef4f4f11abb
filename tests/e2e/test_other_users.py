"""The doors of a platform, tried by another user of the machine, and as a web page would.

Tests that run as root start PostgreSQL, Spark and their supervisor as an ordinary user, and try them as a second one.
Run by anybody else, both are the same user: that still says what the ports do, and the tests of files, unix sockets and
processes say that they have not run.
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

# A malicious user or page would send a driver like this, which leaves a trace.
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
def ordinary() -> Iterator[Platform]:
    """Yield PostgreSQL and Spark of an ordinary user who has the default umask."""
    with temporary_home() as directory:
        give_to_owner(directory)
        # This folder is open, so only the state directory can refuse.
        directory.chmod(0o755)
        platform = Platform(directory / "instance", become=command_of_owner(), umask=0)
        try:
            platform.succeed("include.platform", "up", "--only", "postgres,spark")
            yield platform
        finally:
            platform.succeed("include.platform", "down")


@pytest.fixture(scope="module")
def settings(ordinary: Platform) -> Settings:
    """Return the settings of that instance."""
    return ordinary.settings


def rest(settings: Settings, path: str, body: object = None, **headers: str) -> int:
    """Return the status of the REST server's answer to the stranger; with a body it is a POST."""
    url = f"http://127.0.0.1:{settings.ports['spark-rest']}{path}"
    status: int = knock("http", url, None if body is None else json.dumps(body), headers)
    return status


def drivers(settings: Settings) -> set[str]:
    """Return the drivers that the worker has started so far."""
    return {path.name for path in (settings.root / "spark" / "work").glob("driver-*")}


def secret_words(settings: Settings) -> set[str]:
    """Return every password and key of an instance."""
    lines = [line for file in settings.secrets_dir.iterdir() for line in file.read_text().splitlines()]
    words = {word for line in lines for word in (line, line.rpartition(":")[2], line.rpartition(" ")[2])}
    return {word for word in words if len(word) >= 12 and not word.startswith("org.apache")}


def processes_of(platform: Platform) -> list[psutil.Process]:
    """Return the live processes of an instance, with PostgreSQL's backends."""
    found = {psutil.Process(pid) for pid in platform.pids() if psutil.pid_exists(pid)}
    return [*found, *(child for one in list(found) for child in children_of(one) if child not in found)]


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs and is no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process; none if it has ended."""
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


# An ordinary user --------------------------------------------------------------------------------------------------


@needs_a_second_user
def test_everything_runs_as_the_user_who_starts_it(ordinary: Platform) -> None:
    assert {process.username() for process in processes_of(ordinary)} == {OWNER}


# Files and sockets -------------------------------------------------------------------------------------------------


@needs_a_second_user
def test_another_user_sees_nothing_of_the_state_directory(settings: Settings) -> None:
    root = settings.root
    events = settings.archive_dir / "events.csv"
    events.write_text("user_id,city\n")
    events.chmod(0o644)
    files = (events, settings.passfile, settings.log_dir / "spark-master.log", root / "lifecycle.json")
    there = (root, settings.landing_dir, settings.archive_dir, settings.quarantine_dir, settings.log_dir)
    try:
        # The mode is 0711 if root runs the platform. With 0755 only the directories in it are closed.
        for mode in (0o700, 0o711, 0o755):
            root.chmod(mode)
            for directory in there[1:] if mode == 0o755 else there:
                assert as_stranger("ls", directory).returncode != 0, directory
            assert knock("readable", *map(str, files)) == []
    finally:
        root.chmod(0o700)
        events.unlink()


def test_files_are_closed_under_every_umask(settings: Settings) -> None:
    open_ones = [
        path
        for path in settings.root.rglob("*")
        # The Java launcher contains no secret, and a socket is as closed as its directory.
        if not path.is_symlink() and path.stat().st_mode & 0o077 and not path.is_socket() and path.name != "java"
    ]
    assert open_ones == []
    assert settings.root.stat().st_mode & 0o777 == 0o700


@needs_a_second_user
def test_postgresql_refuses_other_users(settings: Settings) -> None:
    socket = f"{settings.socket_dir}/.s.PGSQL.{settings.database_port}"
    assert knock("postgres", socket, "postgres") == "refused: Permission denied"
    settings.root.chmod(0o711)
    settings.socket_dir.chmod(0o711)
    try:
        # Behind the closed directory, the server asks for a password as well.
        assert "Peer authentication failed" in knock("postgres", socket, "postgres")
        assert {knock("postgres", socket, f"shop_{role}") for role in ROLES} == {"password wanted"}
    finally:
        settings.socket_dir.chmod(0o700)
        settings.root.chmod(0o700)


def test_postgresql_has_no_port(ordinary: Platform) -> None:
    servers = [process for process in processes_of(ordinary) if process.name() == "postgres"]
    assert servers
    assert [one.net_connections(kind="tcp") for one in servers if one.net_connections(kind="tcp")] == []


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
def test_nothing_in_tmp_can_be_read_by_another_user(ordinary: Platform) -> None:
    command = ["find", "/tmp", "/var/tmp", "-user", OWNER, "(", "-type", "f", "-o", "-type", "d", ")", "-readable"]
    found = {Path(line) for line in as_stranger(*command).stdout.splitlines()}
    # Java's list of its processes contains no more than `ps` shows; the test opened the folder above the home.
    assert found - {Path(f"/tmp/hsperfdata_{OWNER}"), ordinary.settings.root.parent} == set()


# Spark -------------------------------------------------------------------------------------------------------------


def test_a_driver_cannot_be_submitted_without_the_key(settings: Settings) -> None:
    create, before = "/v1/submissions/create", drivers(settings)
    assert rest(settings, create, _SUBMISSION, **{"Content-Type": "application/json"}) == 403
    # A web page can send this without a preflight: a form's content type and its own origin.
    page = {"Content-Type": "text/plain", "Origin": "https://evil.example"}
    assert rest(settings, create, _SUBMISSION, **page) == 403
    forged = signed_token("A" * 43, expires_at=2**32)
    assert rest(settings, create, _SUBMISSION, Authorization=f"Bearer {forged}") == 403
    assert drivers(settings) == before


@pytest.mark.parametrize("path", ["kill/driver-1", "killall", "clear"])
def test_drivers_cannot_be_ended_without_the_key(settings: Settings, path: str) -> None:
    assert rest(settings, f"/v1/submissions/{path}", {}) == 403


def test_an_old_token_is_refused(settings: Settings) -> None:
    key = (settings.secrets_dir / "spark-rest-key").read_text().strip()
    headers = {"Authorization": f"Bearer {signed_token(key, expires_at=1_700_000_000)}"}
    assert rest(settings, "/v1/submissions/status/none", **headers) == 403


def test_the_platform_itself_is_accepted(settings: Settings) -> None:
    check_version("127.0.0.1", settings.ports["spark-rest"], rest_headers(settings))
    assert rest(settings, "/v1/submissions/status/none", **rest_headers(settings)) == 200


def submit(settings: Settings, become: list[str], *options: str) -> str:
    """Submit a driver by RPC, and return the output of ``spark-submit``."""
    (jar,) = (package_directory("pyspark") / "jars").glob("spark-core_*.jar")
    done = subprocess.run(
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
    return done.stderr


def test_a_driver_cannot_be_submitted_by_rpc_without_the_secret(settings: Settings) -> None:
    before = drivers(settings)
    # The stranger may read the programs of the checkout, which may otherwise be closed to others.
    stranger = command_of(STRANGER, reads_all=True)
    guess = ["--conf", "spark.authenticate=true", "--conf", "spark.authenticate.secret=guessed"]
    with ThreadPoolExecutor() as both:
        answers = [both.submit(submit, settings, stranger, *options) for options in ([], guess)]
    assert not [answer.result() for answer in answers if "successfully submitted" in answer.result()]
    assert drivers(settings) == before
    # With the secret the same driver is accepted, so nothing else was wrong with it.
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


def test_a_page_cannot_send_the_worker_away(settings: Settings) -> None:
    url = f"http://127.0.0.1:{settings.ports['spark-master-ui']}/workers/kill/?host=127.0.0.1"
    assert knock("http", url, "", {}) in {403, 404, 405}


# The whole platform, its driver and Airflow among it ----------------------------------------------------------------


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process, empty if it has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return ""


def driver_jvm(platform: Platform) -> psutil.Process:
    """Return the JVM of the stream's driver, which the worker has started."""
    (jvm,) = [one for one in processes_of(platform) if "deploy.worker.DriverWrapper" in command_line(one)]
    return jvm


def listening(process: psutil.Process) -> list[int]:
    """Return the ports of a process."""
    return [one.laddr.port for one in process.net_connections(kind="tcp") if one.status == psutil.CONN_LISTEN]


def test_no_command_line_shows_a_secret(platform: Platform) -> None:
    words = secret_words(platform.settings)
    lines = [command_line(process) for process in psutil.process_iter()]
    assert any(str(platform.settings.secrets_dir) in line for line in lines)
    assert len(words) > 10
    assert [line for line in lines if any(word in line for word in words)] == []


def test_every_process_writes_for_its_user_only(platform: Platform) -> None:
    masks = {}
    for process in processes_of(platform):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        # A process that has ended but is still listed has no umask any more.
        if "Umask" in fields:
            masks[process.pid] = fields["Umask"]
    assert len(masks) > 20
    assert set(masks.values()) == {"0077"}


@needs_a_second_user
def test_another_user_cannot_read_any_process(platform: Platform) -> None:
    # The environment holds Spark's secret for the driver, and their tokens for Airflow's tasks.
    processes = processes_of(platform)
    files = [f"/proc/{process.pid}/{name}" for process in processes for name in ("environ", "maps")]
    assert len(files) > 40
    open_to_all = knock("readable", *files)
    # Everyone may open the files of a process that has ended; they are empty.
    alive = [process for process in processes if is_alive(process)]
    assert [file for file in open_to_all if any(file.startswith(f"/proc/{one.pid}/") for one in alive)] == []


def test_the_driver_refuses_other_users(platform: Platform) -> None:
    jvm, pages = driver_jvm(platform), platform.settings.ports["spark-driver-ui"]
    ports = [port for port in listening(jvm) if port != pages]
    assert len(ports) >= 2
    for port in ports:
        # Spark's own programs and its Python would send this, here without secret and token.
        assert knock("blocks", port) != "in"
        assert knock("gateway", port) != "in"


@needs_a_second_user
def test_another_user_cannot_call_the_functions_of_a_batch(platform: Platform) -> None:
    (python,) = [one for one in driver_jvm(platform).children() if "stream_events.py" in command_line(one)]
    ports = listening(python)
    assert ports
    assert [port for port in ports if knock("callback", port) == "in"] == []


def test_airflow_refuses_clients_without_a_login(platform: Platform) -> None:
    doors = {
        "/api/v2/dags": None,
        "/api/v2/connections": None,
        "/api/v2/variables": None,
        "/api/v2/dags/stream_events/dagRuns": "{}",
        "/shopstream/api/v1/overview": None,
        "/execution/connections/shop_owner": None,
        "/auth/token": '{"username": "admin", "password": "guessed"}',
    }
    for path, body in doors.items():
        status = knock("http", f"{platform.url}{path}", body, {"Content-Type": "application/json"})
        assert status in {401, 403}, path
