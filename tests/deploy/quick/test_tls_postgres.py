"""Test the containers' PostgreSQL: TLS is required and verified, and each fault is refused with its remedy."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from include.db import transaction
from include.errors import PlatformError
from include.platform.programs.container import EXIT_CONFIGURATION
from include.platform.programs.preflight import check_database
from include.platform.programs.prepare import prepare_schema
from include.platform.services import postgres
from tests.support.postgres import temporary_home
from tests.support.tls_postgres import TlsServer, make_root, running_tls_server, start_entrypoint


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    with temporary_home() as home:
        root = home / "root"
        make_root(root)
        with running_tls_server(root) as server:
            yield server


@pytest.fixture
def home(server: TlsServer, tmp_path: Path) -> Path:
    """Return a home whose password file has every role and the superuser."""
    passwords = tmp_path / "secrets" / "pgpass"
    postgres.ensure_passwords(passwords)
    with passwords.open("a") as file:
        file.write(f"*:*:*:postgres:{server.password}\n")
    return tmp_path


def test_a_client_with_the_right_authority_and_name_connects(server: TlsServer) -> None:
    server.connect()


def test_plain_text_is_refused(server: TlsServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match=r"pg_hba.conf rejects connection .* no encryption"):
        server.connect(sslmode="disable")


def test_a_wrong_password_is_refused(server: TlsServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        server.connect(password="wrong")


def test_tls_versions_before_1_3_are_refused(server: TlsServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="protocol version"):
        server.connect(ssl_max_protocol_version="TLSv1.2")


def test_another_authority_is_not_trusted(server: TlsServer, tmp_path: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=Somebody else", "-keyout", tmp_path / "key", "-out", tmp_path / "ca.crt"),
        ],
        check=True,
        capture_output=True,
    )
    settings = server.settings(tmp_path, database_sslrootcert=tmp_path / "ca.crt")
    with pytest.raises(PlatformError, match="not from the authority in SHOPSTREAM_DATABASE_SSLROOTCERT"):
        check_database(settings, "owner")


def test_a_certificate_of_another_name_is_not_trusted(server: TlsServer, tmp_path: Path) -> None:
    settings = server.settings(tmp_path, database_host="127.0.0.2")
    with pytest.raises(PlatformError, match="is for another name: use that name as SHOPSTREAM_DATABASE"):
        check_database(settings, "owner")


@pytest.mark.parametrize(
    ("others", "remedy"),
    [
        ({"database_sslrootcert": Path("/nowhere/ca.crt")}, "Put the authority's certificate where SHOPSTREAM_"),
        ({"database_sslmode": "disable", "database_sslrootcert": None}, "set SHOPSTREAM_DATABASE_SSLMODE=verify-full"),
        ({"database_host": "no-such-host.invalid"}, "Correct SHOPSTREAM_DATABASE_HOST"),
        ({"database_port": 1}, "Start it, or correct the settings of the database"),
    ],
)
def test_each_fault_has_its_remedy(server: TlsServer, home: Path, others: dict[str, object], remedy: str) -> None:
    with pytest.raises(PlatformError, match=remedy):
        check_database(server.settings(home, **others), "owner")


def test_roles_databases_and_schema_are_made_over_tls(server: TlsServer, home: Path) -> None:
    settings = server.settings(home)
    with pytest.raises(PlatformError, match="set the role's password to the one in the file"):
        check_database(settings, "owner")
    assert postgres.knows_superuser(settings)
    postgres.provision(settings)
    check_database(settings, "owner")
    check_database(settings, "airflow", postgres.AIRFLOW_DATABASE)
    assert "migrations" in prepare_schema(settings)
    assert prepare_schema(settings) == ""
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cursor.fetchone() == (True, "TLSv1.3")
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('data_checksums', 'jit', 'max_wal_size')")
        assert dict(cursor.fetchall()) == {"data_checksums": "on", "jit": "off", "max_wal_size": "8192"}


def test_keys_are_private_and_the_authority_is_public(server: TlsServer) -> None:
    keys = server.root / "var/lib/postgresql/tls"
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert server.authority.stat().st_mode & 0o777 == 0o644
    assert "PRIVATE" not in server.authority.read_text()


def test_a_restart_keeps_the_authority_and_renews_a_certificate_that_is_about_to_expire() -> None:
    with temporary_home() as home:
        root = home / "root"
        make_root(root)
        with running_tls_server(root) as server:
            first = _certificate(server), server.authority.read_text()
        with running_tls_server(root) as server:
            assert (_certificate(server), server.authority.read_text()) == first
        # The names of a certificate are recorded beside it. A change of names causes a renewal, as an expiry does.
        (root / "var/lib/postgresql/tls/names").write_text("DNS:elsewhere\n")
        with running_tls_server(root) as server:
            assert _certificate(server) != first[0]
            assert server.authority.read_text() == first[1]


def _certificate(server: TlsServer) -> str:
    return ssl.PEM_cert_to_DER_cert((server.root / "var/lib/postgresql/tls/server.crt").read_text()).hex()


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: (root / "run/secrets/postgres-password").unlink(), "Run `make docker-secrets`"),
        (lambda root: (root / "run/secrets/postgres-password").write_text(""), "missing, empty or not readable"),
        (
            lambda root: _write(root / "var/lib/postgresql/18/data/PG_VERSION", "17\n"),
            "holds PostgreSQL 17, this image is 18. Upgrade it with pg_upgrade",
        ),
        (
            lambda root: _write(root / "var/lib/postgresql/tls/ca.crt", "not a certificate\n"),
            "Put ca.crt, server.crt and server.key of one authority there",
        ),
    ],
    ids=["no password", "empty password", "other version", "foreign authority"],
)
def test_the_entrypoint_refuses(corrupt: object, message: str) -> None:
    with temporary_home() as home:
        root, log = home / "root", home / "log"
        make_root(root)
        corrupt(root)  # type: ignore[operator]
        process = start_entrypoint(root, 1, log)
        assert process.wait(60) == EXIT_CONFIGURATION
        assert message in log.read_text()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for one in (path, *path.parents):
        if one.name == "root":
            break
        shutil.chown(one, postgres.server_user() or one.owner())
