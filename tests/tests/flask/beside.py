"""The Flask neighbour, and a look past Flask-Session at the records themselves; on request with Flask-Login."""

import copy
import os
import struct
import sys
import time
from datetime import timedelta, timezone
from pathlib import Path

from flask import request

sys.path.insert(0, str(Path(__file__).parents[3] / "examples/flask-neighbour"))
import app as neighbour  # noqa: E402


class Raw:
    """Takes bytes for a session, instead of making them of one."""

    def __init__(self, payload=b""):
        self.payload = payload

    def encode(self, session):
        return self.payload

    def decode(self, payload):
        return payload


def looking_past(interface, payload=b""):
    twin = copy.copy(interface)
    twin.serializer = Raw(payload)
    return twin


def ends_at(interface, store, key):
    match store:
        case "redis":
            return time.time() + interface.client.pttl(key) / 1000
        case "memcached":
            from pymemcache.client.base import Client

            return time.time() + int(Client(os.environ["URL"]).raw_command(f"mg {key} t").split(b"t")[1])
        case "sqlalchemy":
            record = interface.sql_session_model.query.filter_by(session_id=key).first()
            return record.expiry.replace(tzinfo=timezone.utc).timestamp()
        case "mongodb":
            return interface.store.find_one({"id": key})["expiration"].replace(tzinfo=timezone.utc).timestamp()


def with_records(app):
    interface, store = app.session_interface, app.config["SESSION_TYPE"]

    @app.get("/record")
    def read():
        key = request.args["key"]
        if store == "cachelib":
            path = Path(interface.cache._get_filename(key))
            content = path.read_bytes() if path.exists() else None
            payload, ends = (content[4:], struct.unpack("I", content[:4])[0]) if content else (None, 0)
        else:
            payload = looking_past(interface)._retrieve_session_data(key)
            ends = ends_at(interface, store, key) if payload is not None else 0
        return {"payload": payload.hex() if payload is not None else None, "ends": ends}

    @app.post("/record")
    def write():
        key, ttl, payload = request.args["key"], int(request.args["ttl"]), bytes.fromhex(request.get_data(as_text=True))
        if store == "cachelib":
            content = struct.pack("I", int(time.time()) + ttl) + payload
            Path(interface.cache._get_filename(key)).write_bytes(content)
        else:
            looking_past(interface, payload)._upsert_session(timedelta(seconds=ttl), None, key)
        return {"ok": True}


def with_flask_login(app, protection):
    from flask_login import LoginManager, UserMixin, current_user, login_fresh, login_user, logout_user

    class User(UserMixin):
        def __init__(self, name):
            self.id = name

    app.config["SESSION_PROTECTION"] = protection
    LoginManager(app).user_loader(User)

    @app.get("/flask-login/in")
    def log_in():
        return {"in": login_user(User(request.args["user"]))}

    @app.get("/flask-login/who")
    def who():
        return {"user": current_user.get_id(), "fresh": login_fresh()}

    @app.get("/flask-login/out")
    def log_out():
        return {"out": logout_user()}


if __name__ == "__main__":
    application = neighbour.application()
    with_records(application)
    if protection := os.environ.get("FLASK_LOGIN"):
        with_flask_login(application, protection)
    neighbour.serve(application)
