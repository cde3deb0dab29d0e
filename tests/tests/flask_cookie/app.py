"""A Flask application with its built-in session and Flask-Login."""

import os

from flask import Flask, jsonify, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from werkzeug.serving import make_server

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SECRET_KEY"],
    SECRET_KEY_FALLBACKS=[key for key in os.environ.get("OLDER", "").split(",") if key],
)
logins = LoginManager(app)


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@logins.user_loader
def load(name):
    return User(name)


@app.post("/in")
def log_in():
    login_user(User(request.args["user"]))
    session["cart"] = [("tea", 2)]
    session.permanent = True
    return "in"


@app.post("/out")
def log_out():
    logout_user()
    return "out"


@app.get("/who")
def who():
    return jsonify(user=current_user.get_id(), cart=session.get("cart"))


server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"READY {server.server_port}", flush=True)
server.serve_forever()
