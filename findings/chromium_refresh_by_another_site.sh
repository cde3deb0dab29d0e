#!/usr/bin/env bash
# Chromium 156.0.8078.108 of Debian 12, with device-bound sessions and keys in software: which
# cookies it sends when it binds a session to the device (POST /bind) and when it renews the bound
# cookie (POST /refresh), if a link on another site's page led to the page that needs it. The
# session's configuration names the other site in allowed_refresh_initiators.
#
# Expected, because the browser itself makes both requests, to the site's own origin, for a
# navigation that has the SameSite=Lax cookies: they have at least these too.
# Seen: they have only the SameSite=None cookies, neither Lax nor Strict, although they say
# `Sec-Fetch-Site: same-origin`. The page itself has the Lax cookies. If a link on the site's own
# page leads there, both requests have all cookies. So a server that knows the login by a Lax cookie
# does not know it in these requests.
#
# Needs Debian 12 on amd64 with apt's lists up to date (root is not needed), python3 and openssl.
# Fails if the behaviour changes.
set -euo pipefail

version=156.0.8078.108-1~deb12u1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The browser and the libraries it needs, as if nothing were installed: all goes to this folder.
mkdir -p apt/archives/partial root home
touch status
if ! apt-get -qq -o Dir::Cache="$work/apt" -o Dir::State::status="$work/status" \
    -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" --yes --no-install-recommends \
    --download-only install "chromium=$version" "chromium-driver=$version" >apt.log 2>&1; then
    cat apt.log
    echo "apt does not get chromium $version. Run apt-get update; a mirror keeps only the newest version."
    exit 1
fi
# The C library stays the machine's own.
rm apt/archives/libc6_*
for package in apt/archives/{chromium,lib}*.deb; do
    dpkg-deb -x "$package" root
done
ls apt/archives | grep '^chromium'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=site.test \
    -addext subjectAltName=DNS:site.test,DNS:other.test -keyout key.pem -out cert.pem 2>openssl.log ||
    { cat openssl.log; exit 1; }
# The browser trusts this certificate by the hash of its key.
trusted=$(openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der |
    openssl dgst -sha256 -binary | openssl base64)

python3 - "$work" "$trusted" <<'PYTHON'
import http.server, json, os, re, ssl, subprocess, sys, threading, time
import urllib.error, urllib.request

work, trusted = sys.argv[1:]
seen = []


class Sites(http.server.BaseHTTPRequestHandler):
    """site.test, which has logins, and other.test, which only links to it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, kind, body, headers=()):
        self.send_response(200)
        for name, value in [("Content-Type", kind), ("Cache-Control", "no-store"), *headers]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def note(self):
        cookies = (self.headers["Cookie"] or "").split(";")
        names = sorted(cookie.split("=")[0].strip() for cookie in cookies if cookie.strip())
        site = self.headers["Sec-Fetch-Site"]
        seen.append((f"{self.command} {self.path}", site, names))

    def do_GET(self):
        headers = []
        if self.headers["Host"].startswith("site.test"):
            self.note()
            if self.path == "/":
                headers = [("Set-Cookie", "visit-lax=1; Path=/; Secure; HttpOnly; SameSite=Lax")]
            if self.path == "/login":
                headers = [
                    ("Set-Cookie", f"login-{mode.lower()}=1; Path=/; Secure; HttpOnly; SameSite={mode}")
                    for mode in ["None", "Lax", "Strict"]
                ]
                offer = '(ES256);path="/bind";challenge="first"'
                headers.append(("Secure-Session-Registration", offer))
        links = f'<a href="{site}/login">login</a> <a href="{site}/account">account</a>'
        # No request for an icon, and links that have a size without any font.
        head = '<link rel="icon" href="data:,"><style>a { display: block; height: 2em }</style>'
        self.answer("text/html", f"<!doctype html><title>page</title>{head}{links}", headers)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.note()
        attributes = "Path=/; Secure; HttpOnly; SameSite=Lax"
        config = {
            "session_identifier": "one",
            "refresh_url": "/refresh",
            "scope": {"include_site": False},
            "credentials": [{"type": "cookie", "name": "bound", "attributes": attributes}],
            "allowed_refresh_initiators": ["other.test"],
        }
        headers = [
            ("Set-Cookie", f"bound=1; Max-Age=600; {attributes}"),
            ("Secure-Session-Challenge", '"next";id="one"'),
        ]
        self.answer("application/json", json.dumps(config), headers)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sites)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(f"{work}/cert.pem", f"{work}/key.pem")
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
site = f"https://site.test:{server.server_port}"
other = f"https://other.test:{server.server_port}"

root = f"{work}/root"
folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"]
libraries = ":".join(f"{root}/{folder}" for folder in folders)
driver = subprocess.Popen(
    [f"{root}/usr/bin/chromedriver", "--port=0"],
    env={**os.environ, "HOME": f"{work}/home", "TMPDIR": work, "LD_LIBRARY_PATH": libraries},
    stdout=subprocess.PIPE,
    text=True,
)


def start_of_driver():
    for line in driver.stdout:
        if found := re.search(r"successfully on port (\d+)", line):
            return found[1]
    sys.exit("chromedriver does not start")


def drive(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{port}/session{path}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with opener.open(request, timeout=120) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.read().decode()}")


def wait_for(what):
    for _ in range(200):
        if any(request[0] == what for request in seen):
            return
        time.sleep(0.1)
    sys.exit(f"no {what} within 20 s: {seen}")


def requests_of_links_on(page):
    """What comes if a link on the page leads to the login, and one to the account without the
    bound cookie."""
    arguments = [
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--password-store=basic",
        "--no-proxy-server",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={trusted}",
        "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
    ]
    if os.geteuid() == 0:
        # Chromium does not start for root otherwise.
        arguments.append("--no-sandbox")
    options = {"args": arguments, "binary": f"{root}/usr/lib/chromium/chromium"}
    browser = drive("POST", "", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
    session = "/" + browser["sessionId"]
    print("Chromium", browser["capabilities"]["browserVersion"])

    def open_page(url):
        drive("POST", f"{session}/url", {"url": url})

    def follow(link):
        selector = f'a[href$="/{link}"]'
        found = drive("POST", f"{session}/element", {"using": "css selector", "value": selector})
        drive("POST", f"{session}/element/{list(found.values())[0]}/click", {})

    try:
        open_page(site + "/")
        open_page(page)
        seen.clear()
        follow("login")
        wait_for("POST /bind")
        # Until the browser has read the answer.
        time.sleep(2)
        open_page(page)
        gone = {"cmd": "Network.deleteCookies", "params": {"name": "bound", "url": site + "/"}}
        drive("POST", f"{session}/goog/cdp/execute", gone)
        follow("account")
        wait_for("GET /account")
        return [request for request in seen if request[0] != "GET /"]
    finally:
        drive("DELETE", session)


try:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    port = start_of_driver()
    own = requests_of_links_on(site + "/")
    foreign = requests_of_links_on(other + "/")
finally:
    driver.terminate()
    driver.wait()

for title, requests in [("the site's own page", own), ("another site's page", foreign)]:
    print(f"links on {title}:")
    for what, relation, cookies in requests:
        print(f"    {what}, {relation}, with {', '.join(cookies) or 'no cookie'}")

every = ["login-lax", "login-none", "login-strict", "visit-lax"]
assert own == [
    ("GET /login", "same-origin", ["visit-lax"]),
    ("POST /bind", "same-origin", every),
    ("POST /refresh", "same-origin", every),
    ("GET /account", "same-origin", ["bound", *every]),
]
assert foreign == [
    ("GET /login", "cross-site", ["visit-lax"]),
    ("POST /bind", "same-origin", ["login-none"]),
    ("POST /refresh", "same-origin", ["login-none"]),
    ("GET /account", "cross-site", ["bound", "login-lax", "login-none", "visit-lax"]),
]
PYTHON
