"""Writes cookies of Flask's built-in session, each with what it holds, a line each; then what Flask says to clocks."""

import json
import os
import random
import string
import struct
import time
import uuid
from datetime import datetime, timedelta, timezone

import itsdangerous
from flask import Flask
from markupsafe import Markup

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
serializer = app.session_interface.get_signing_serializer(app)
draw = random.Random(int(os.environ["SEED"]))


def text():
    letters = string.printable + "äß€😀\u2028\0"
    return "".join(draw.choice(letters) for _ in range(draw.randrange(12)))


def integer():
    return draw.choice([0, 1, -1, draw.getrandbits(31), -draw.getrandbits(63), 2**63, 2**64 - 1, 2**64, -(2**80)])


def number():
    return draw.choice([0.0, -0.0, 1.5, 1e16, 1e-7, draw.random(), 1.7e308, 5e-324, float("inf"), -float("inf"), float("nan")])


def date():
    day = datetime(1, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=draw.randrange(315_537_897_600), microseconds=draw.randrange(10**6))
    return draw.choice([day, day.replace(year=2026, day=1), day.replace(tzinfo=None)])


def key():
    return draw.choice([text(), " t", " b", " di", " m", " u", " d", " t__", "", "a"])


def pairs(depth):
    return {key(): value(depth + 1) for _ in range(draw.choice([0, 1, 1, 2, 3]))}


SIMPLE = [
    lambda: None,
    lambda: draw.random() < 0.5,
    integer,
    number,
    text,
    lambda: draw.randbytes(draw.randrange(20)),
    lambda: Markup(text()),
    lambda: uuid.UUID(int=draw.getrandbits(128)),
    date,
]


def value(depth):
    if depth < 4 and draw.random() < 0.3:
        items = [value(depth + 1) for _ in range(draw.randrange(4))]
        return draw.choice([items, tuple(items), pairs(depth)])
    return draw.choice(SIMPLE)()


def described(held):
    """What the value is in Rust, without Flask's tags."""
    match held:
        case None:
            return ["nil"]
        case bool():
            return ["bool", held]
        case int():
            return ["int" if -(2**63) <= held < 2**64 else "text", str(held)]
        case float():
            return ["float", "nan" if held != held else struct.pack(">d", held).hex()]
        case str():
            return ["text", str(held)]
        case bytes():
            return ["bytes", list(held)]
        case uuid.UUID():
            return ["text", str(held)]
        case datetime():
            aware = held if held.tzinfo else held.replace(tzinfo=timezone.utc)
            return ["date", int((aware.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds())]
        case list() | tuple():
            return ["list", [described(item) for item in held]]
        case dict():
            return ["map", sorted([key, described(item)] for key, item in held.items())]


cookies = open("cookies", "w")
for number_of_cookie in range(int(os.environ["COOKIES"])):
    session = {f"k{place}": kind() for place, kind in enumerate(SIMPLE)} if number_of_cookie == 0 else pairs(0)
    session[f"own{number_of_cookie}"] = value(0)
    if draw.random() < 0.3:
        # Long enough to be compressed.
        session["long"] = "long " * draw.randrange(20, 400)
    print(json.dumps({"cookie": serializer.dumps(session), "holds": described(session)[1]}), file=cookies)


def accepts_from(ahead):
    """Whether Flask accepts a cookie that a clock has signed so many seconds ahead."""
    sign_at = itsdangerous.TimestampSigner.get_timestamp
    now = int(time.time())
    itsdangerous.TimestampSigner.get_timestamp = lambda self: now + ahead
    cookie = serializer.dumps({})
    itsdangerous.TimestampSigner.get_timestamp = lambda self: now
    try:
        serializer.loads(cookie, max_age=60)
        return True
    except itsdangerous.BadSignature:
        return False
    finally:
        itsdangerous.TimestampSigner.get_timestamp = sign_at


print(json.dumps([accepts_from(ahead) for ahead in (-61, -60, 0, 1, 3)]), file=cookies)
