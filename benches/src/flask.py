"""Makes sessions with Flask-Session: flask.py STORE ADDRESS SESSIONS."""
import sys

import redis
from cachelib import FileSystemCache
from flask import Flask, session
from flask_session import Session

store, address, sessions = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Flask(__name__)
app.config["PERMANENT_SESSION_LIFETIME"] = 3600
if store == "redis":
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.from_url(address))
else:
    cache = FileSystemCache(address, threshold=0)
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
Session(app)


@app.post("/fill")
def fill():
    session.update(
        user_name="Grace Brewster Hopper",
        user_id="0193f1f2-7b1c-7c3e-9d55-5f3c2b7a9e10",
        email="grace@example.org",
        role="editor",
        locale="en-GB",
        theme="dark",
        csrf="9b64b13a2a47f04a813fd9bcbb44c0ee",
        cart="7781:1,4410:2,9023:1,1177:4",
        came_from="/shop/keyboards?sort=price&page=3",
        filler="",
        visits=0,
    )
    return "filled"


for _ in range(sessions):
    assert app.test_client().post("/fill").text == "filled"
