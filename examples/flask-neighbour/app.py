"""The neighbour in Flask; the README beside this file says what it is for, and `src` holds the same in Actix Web."""

import json
import logging
import math
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from flask import Flask, request, session
from flask import flash as queue_message
from flask import get_flashed_messages
from flask_session import Session
from msgspec.msgpack import Ext
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server


# ---------------------------------------------------------------------------------------------------- environment


def fail(line):
    sys.exit(f"app.py: {line}")


def text(name):
    """The variable's value; an empty one counts as unset."""
    return os.environ.get(name) or None


def flag(name):
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    value = text(name)
    if value is not None and value.lower() not in words:
        fail(f"{name} must be 0 or 1")
    return None if value is None else words[value.lower()]


def number(name, least):
    value = text(name)
    if value is not None and not (value.isascii() and value.isdecimal() and int(value) >= least):
        fail(f"{name} must be a whole number, at least {least}")
    return None if value is None else int(value)


def one_of(name, *words):
    value = text(name)
    if value is not None and value not in words:
        fail(f"{name} must be one of {', '.join(words)}")
    return value


# --------------------------------------------------------------------------------------------------------- stores


def redis(app, url):
    from redis import Redis

    return {"SESSION_REDIS": Redis.from_url(url or "redis://localhost:6379")}


def memcached(app, url):
    from pymemcache.client.base import PooledClient

    # By default this client does not wait for the answer to a write: the next process might not see it yet.
    return {"SESSION_MEMCACHED": PooledClient(url or "127.0.0.1:11211", default_noreply=False, no_delay=True)}


def cachelib(app, url):
    from cachelib.file import FileSystemCache
    from cachelib.serializers import JSONSerializer

    # Above its threshold cachelib removes sessions that are alive.
    cache = FileSystemCache(url or "flask_session", threshold=0)
    # Its own choice is pickle, which nobody else should read.
    cache.serializer = JSONSerializer()
    return {"SESSION_CACHELIB": cache}


def sqlalchemy(app, url):
    from flask_sqlalchemy import SQLAlchemy

    if url is None:
        fail("URL must be set: a SQLAlchemy URL such as sqlite:////tmp/sessions.db")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    return {"SESSION_SQLALCHEMY": SQLAlchemy(app)}


def mongodb(app, url):
    from pymongo import MongoClient

    return {"SESSION_MONGODB": MongoClient(url or "mongodb://localhost:27017")}


STORES = {"redis": redis, "memcached": memcached, "cachelib": cachelib, "sqlalchemy": sqlalchemy, "mongodb": mongodb}


def configure(app):
    store = one_of("STORE", *STORES)
    if store is None:
        fail(f"STORE must be one of {', '.join(STORES)}")
    lifetime = number("LIFETIME", 1)
    settings = {
        "SECRET_KEY": text("SECRET_KEY"),
        "PERMANENT_SESSION_LIFETIME": lifetime and timedelta(seconds=lifetime),
        "SESSION_TYPE": store,
        # An empty prefix is one.
        "SESSION_KEY_PREFIX": os.environ.get("PREFIX"),
        "SESSION_USE_SIGNER": flag("USE_SIGNER"),
        "SESSION_PERMANENT": flag("PERMANENT"),
        "SESSION_SERIALIZATION_FORMAT": one_of("FORMAT", "msgpack", "json"),
        "SESSION_REFRESH_EACH_REQUEST": flag("REFRESH"),
        "SESSION_ID_LENGTH": number("SID_LENGTH", 1),
        "SESSION_SQLALCHEMY_TABLE": text("TABLE"),
        "SESSION_COOKIE_NAME": text("COOKIE_NAME"),
        "SESSION_COOKIE_PATH": text("COOKIE_PATH"),
        "SESSION_COOKIE_DOMAIN": text("COOKIE_DOMAIN"),
        "SESSION_COOKIE_SECURE": flag("COOKIE_SECURE"),
        "SESSION_COOKIE_HTTPONLY": flag("COOKIE_HTTPONLY"),
        "SESSION_COOKIE_SAMESITE": one_of("COOKIE_SAMESITE", "Strict", "Lax", "None"),
    }
    # What is unset is left to Flask and Flask-Session.
    app.config.update({name: value for name, value in settings.items() if value is not None})
    if settings["SESSION_USE_SIGNER"] and settings["SECRET_KEY"] is None:
        fail("SECRET_KEY must be set with USE_SIGNER=1")
    app.config.update(STORES[store](app, text("URL")))
    Session(app)


# --------------------------------------------------------------------------------------------------------- values


def typed(value, kind):
    """The value that `value` writes in the way of `kind`."""
    if not isinstance(value, str):
        value = json.dumps(value)
    match kind:
        case "str":
            return value
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "bool":
            return value.lower() in ("1", "true", "yes", "on")
        case "none":
            return None
        case "json":
            return json.loads(value)
        case "bytes":
            return bytes.fromhex(value)
        case "datetime":
            return datetime.fromisoformat(value)
        case "repeat":
            unit, _, times = value.rpartition("*")
            return unit * int(times)
    raise ValueError(f"there is no type {kind}")


def tagged(value):
    """The value as JSON, with a tag where JSON is too poor."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) < 2**53 else {"$int": str(value)}
        case float():
            return {"$float": repr(value)} if not math.isfinite(value) or value.is_integer() else value
        case bytes():
            return {"$bytes": value.hex()}
        case datetime():
            return {"$datetime": value.astimezone(timezone.utc).isoformat()}
        case dict() if all(isinstance(key, str) for key in value):
            return {key: tagged(item) for key, item in value.items()}
        case dict():
            return {"$pairs": [[tagged(key), tagged(item)] for key, item in value.items()]}
        case list() | tuple():
            return [tagged(item) for item in value]
        case Ext():
            return {"$ext": [value.code, bytes(value.data).hex()]}
    return str(value)


def state(app):
    interface = app.session_interface
    # Not what this request put there, but what the next one finds: a naive datetime, for example, is stored as text.
    if app.config["SESSION_TYPE"] == "cachelib":
        found = dict(session)
    else:
        found = interface.serializer.decode(interface.serializer.encode(session))
    return {"sid": session.sid, "session": tagged(found), "permanent": bool(session.permanent)}


# --------------------------------------------------------------------------------------------------------- routes


def application():
    app = Flask(__name__)
    app.json.sort_keys = False
    configure(app)

    def asked(name):
        return request.args[name]

    @app.get("/set")
    def set_one():
        session[asked("k")] = typed(request.args.get("v", ""), request.args.get("t", "str"))
        return state(app)

    @app.post("/setmany")
    def set_many():
        for key, value, kind in request.get_json(force=True):
            session[key] = typed(value, kind)
        return state(app)

    @app.get("/get")
    def get():
        key = request.args.get("k")
        if key is None:
            return state(app)
        return {"found": key in session, "value": tagged(session.get(key))}

    @app.get("/incr")
    def increment():
        session[asked("k")] = session.get(asked("k"), 0) + 1
        return {"value": session[asked("k")]}

    @app.get("/append")
    def append():
        session[asked("k")] = session.get(asked("k"), []) + [asked("v")]
        return {"value": session[asked("k")]}

    @app.get("/del")
    def delete():
        session.pop(asked("k"), None)
        return state(app)

    @app.get("/flash")
    def flash():
        queue_message(asked("m"), request.args.get("c", "message"))
        return state(app)

    @app.get("/flashes")
    def flashes():
        return {"messages": get_flashed_messages(with_categories=True)}

    @app.get("/clear")
    def clear():
        session.clear()
        return state(app)

    @app.get("/permanent")
    def permanent():
        session.permanent = asked("on") == "1"
        return state(app)

    @app.get("/regenerate")
    def regenerate():
        app.session_interface.regenerate(session)
        return state(app)

    @app.get("/login")
    def login():
        app.session_interface.regenerate(session)
        session["user"] = asked("user")
        return state(app)

    @app.get("/login_clear")
    def login_clear():
        session.clear()
        # Flask-Session does nothing here: the session is empty by now. Whoever planted its id still knows it.
        app.session_interface.regenerate(session)
        session["user"] = asked("user")
        return state(app)

    @app.get("/touch")
    def touch():
        return {"ok": True}

    @app.get("/health")
    def health():
        return {"ok": True}

    @app.get("/slow")
    def slow():
        session.get("")
        time.sleep(int(asked("ms")) / 1000)
        if "k" in request.args:
            session[asked("k")] = request.args.get("v", "")
        return state(app)

    @app.errorhandler(HTTPException)
    def refused(error):
        return {"error": error.name}, error.code

    @app.errorhandler(ValueError)
    def not_of_that_type(error):
        return {"error": "Bad Request"}, 400

    return app


def serve(app):
    port = number("PORT", 0) or 0
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(f"READY {server.server_port}", flush=True)
    server.serve_forever()


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        app = application()
    except Exception as error:
        fail(f"the store cannot be used: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    serve(app)


if __name__ == "__main__":
    main()
