"""The same job with Flask and Flask-Session, its sessions in files."""

import os

from flask import Flask, redirect, render_template, request, session
from flask_session import Session

app = Flask(__name__)
app.secret_key = "a key of at least 32 characters for the cookie"
app.config.update(
    PERMANENT_SESSION_LIFETIME=3600,
    SESSION_TYPE="filesystem",
    SESSION_FILE_DIR=os.environ["SESSION_FILE_DIR"],
)
Session(app)


@app.get("/")
def home():
    return render_template("page.html")


@app.post("/add")
def add():
    session["user"] = request.form["username"]
    session["greet"] = f"Successfully registered username - {session['user']}."
    return redirect("/", 303)
