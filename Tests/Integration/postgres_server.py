"""A PostgreSQL of Debian with a data directory of its own, for one test file."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from conftest import eventually, free_port


class Postgres:
    def __init__(self):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        assert versions, "PostgreSQL is not installed; scripts/bootstrap test installs it"
        self.bin = versions[-1]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tundish-postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process = None
        # The server refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.run(self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with open(self.data / "pg_hba.conf", "w") as rules:
            rules.write("host all plant 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")

    def run(self, *command):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120,
                              cwd=self.folder, user=self.user, group=self.user, extra_groups=[] if self.user else None)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *settings):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1",
                 "-k", str(self.folder), "-c", "max_connections=100",
                 *[part for setting in settings for part in ("-c", setting)]],
                stdout=log, stderr=log, cwd=self.folder, user=self.user, group=self.user,
                extra_groups=[] if self.user else None)
        eventually(lambda: self.query("SELECT 1") == "1", 60, "PostgreSQL answers")
        return self

    def query(self, sql, database="postgres"):
        done = subprocess.run(
            [str(self.bin / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-At",
             "-v", "ON_ERROR_STOP=1", "-c", sql], capture_output=True, text=True, timeout=120,
            env={**os.environ, "PGCONNECT_TIMEOUT": "5"})
        if done.returncode != 0:
            raise OSError(done.stderr)
        return done.stdout.strip()

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def kill(self):
        """As a power cut of the database's machine: at once, with all its processes."""
        self.stop(signal.SIGQUIT)

    def stop(self, how=signal.SIGINT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)
        self.process = None

    def remove(self):
        self.stop()
        for _ in range(20):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)
