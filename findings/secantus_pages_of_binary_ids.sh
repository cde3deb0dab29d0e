#!/usr/bin/env bash
# SecantusDB 0.7.0b3, asked by PyMongo 4.20.0: pages of documents whose _id is binary, in the usual
# way: sort by _id, a limit, and `_id > the last one of the page before`.
#
# Expected, because a server of this protocol compares values in one order: the pages have every
# document once, whatever the lengths of the ids.
# Seen: sort puts shorter ids first, as MongoDB does, but `$gt` compares the bytes and not the
# lengths. So pages of ids of different lengths leave documents out. With ids of one length they are
# complete.
#
# Needs python3 with venv, and PyPI. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
pid=
cleanup() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install SecantusDB==0.7.0b3 pymongo==4.20.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/python - "$port" "$work/data" <<'PYTHON' &
import sys
from secantus import SecantusDBServer

server = SecantusDBServer("127.0.0.1", int(sys.argv[1]), sys.argv[2])
server.start()
server.wait()
PYTHON
pid=$!

venv/bin/python - "$port" <<'PYTHON'
import sys
from pymongo import MongoClient

client = MongoClient("127.0.0.1", int(sys.argv[1]), serverSelectionTimeoutMS=20000)


def pages(collection):
    found, last = [], b""
    while True:
        page = list(collection.find({"_id": {"$gt": last}}).sort("_id", 1).limit(2))
        if not page:
            return found
        found += [document["_id"] for document in page]
        last = found[-1]


mixed = [b"b", b"c", b"aa", b"ab", b"aa0", b"aab"]
client.test.mixed.insert_many({"_id": key} for key in mixed)
order = [document["_id"] for document in client.test.mixed.find().sort("_id", 1)]
print("sorted:", order)
print("pages:", pages(client.test.mixed))

alike = [b"aa", b"ab", b"ba", b"bb", b"ca"]
client.test.alike.insert_many({"_id": key} for key in alike)
print("pages of ids of one length:", pages(client.test.alike))

assert order == mixed
assert len(pages(client.test.mixed)) < len(mixed)
assert pages(client.test.alike) == alike
PYTHON
