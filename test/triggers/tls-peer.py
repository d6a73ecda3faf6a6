# SPDX-License-Identifier: Apache-2.0
"""TLS through Python's ssl, counting what the application itself reads and writes.

tls-peer.py server PORT KEY CERTIFICATE STEP...   one connection after another, until standard input ends
tls-peer.py client PORT CA STEP...                one connection
tls-peer.py pair PORT CA BYTES BYTES              two connections held at once, so many bytes written to each
tls-peer.py abrupt PORT CA BYTES                  writes, then closes the TCP connection under TLS
tls-peer.py distrust PORT                         trusts no CA: the handshake fails
tls-peer.py load KEY CERTIFICATE CA SECONDS       a server of many threads and eight clients in one process;
                                                  prints {"errors"}: echoes that were not what was sent

A step is rBYTES or wBYTES, `head` (reads up to an empty line), `drain` (reads to the end) or `half` (closes the
sending half of the TCP connection). DELAY_MS in the
environment is slept before `ssl` is loaded, SETTLE_MS after. Prints {"pid", "read", "written"} as JSON: a
client at its end, a server once it listens and once per connection.
"""

import json
import os
import socket
import sys
import threading
import time

time.sleep(int(os.environ.get("DELAY_MS", "0")) / 1000)
ssl = __import__("ssl")
time.sleep(int(os.environ.get("SETTLE_MS", "0")) / 1000)


def say(read=0, written=0, **more):
    # One write: print would write the newline by itself, and threads would come between.
    sys.stdout.write(json.dumps({"pid": os.getpid(), "read": read, "written": written, **more}) + "\n")
    sys.stdout.flush()


def run_step(session, step):
    """Returns bytes read and bytes written."""
    if step == "head":
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            text += session.recv(65536)
        return len(text), 0
    if step == "half":
        # Not the method of SSLSocket, which forgets its session first.
        socket.socket.shutdown(session, socket.SHUT_WR)
        return 0, 0
    if step == "drain":
        read = 0
        while chunk := session.recv(65536):
            read += len(chunk)
        return read, 0
    size = int(step[1:])
    if step[0] == "w":
        session.sendall(b"x" * size)
        return 0, size
    left = size
    while left > 0:
        chunk = session.recv(min(left, 65536))
        if not chunk:
            break
        left -= len(chunk)
    return size - left, 0


def run(session, steps):
    read = written = 0
    for step in steps:
        more_read, more_written = run_step(session, step)
        read += more_read
        written += more_written
    return read, written


def serve_one(context, connection, steps):
    try:
        with context.wrap_socket(connection, server_side=True) as session:
            read, written = run(session, steps)
            say(read, written)
            session.unwrap()
    except (ssl.SSLError, OSError) as error:
        say(error=type(error).__name__)


def serve(port, key, certificate, *steps):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", int(port)))
    say(listening=True)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_one, args=(context, connection, steps), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def connect(port, ca):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    return context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))))


def client(port, ca, *steps):
    with connect(port, ca) as session:
        say(*run(session, steps))
        try:
            session.unwrap()
        except (ssl.SSLError, OSError):
            pass  # the server was faster


def pair(port, ca, *sizes):
    sessions = [connect(port, ca) for _ in sizes]
    for session, size in zip(sessions, sizes):
        session.sendall(b"x" * int(size))
    say(written=sum(map(int, sizes)))
    time.sleep(0.2)
    for session in sessions:
        session.close()


def abrupt(port, ca, size):
    session = connect(port, ca)
    session.sendall(b"x" * int(size))
    say(written=int(size))
    os.close(session.detach())


def distrust(port):
    try:
        ssl.create_default_context(cadata=None).wrap_socket(
            socket.create_connection(("127.0.0.1", int(port))), server_hostname="localhost"
        )
    except ssl.SSLError:
        say(error="SSLError")


def echo(context, connection):
    with context.wrap_socket(connection, server_side=True) as session:
        while chunk := session.recv(65536):
            session.sendall(chunk)


def exchange(port, ca, end, errors):
    while time.monotonic() < end:
        try:
            with connect(port, ca) as session:
                for size in (1, 100, 16384, 50000):
                    session.sendall(b"x" * size)
                    received = b""
                    while len(received) < size:
                        received += session.recv(65536)
                    if received != b"x" * size:
                        errors.append("echo")
        except OSError as error:
            errors.append(repr(error))


def load(key, certificate, ca, seconds):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(context, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    errors = []
    end = time.monotonic() + float(seconds)
    port = listener.getsockname()[1]
    threads = [threading.Thread(target=exchange, args=(port, ca, end, errors)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"errors": len(errors), "first": errors[:1]}), flush=True)
    os._exit(0)


ROLES = {
    "server": serve,
    "client": client,
    "pair": pair,
    "abrupt": abrupt,
    "distrust": distrust,
    "load": load,
}
ROLES[sys.argv[1]](*sys.argv[2:])
