#!/usr/bin/env python3
# OpenCode behind a proxy that loses its events: when the file `cut` appears in the working folder, the stream that is
# open then is closed (MODE cut), or carries nothing more and stays open (MODE silent). A stream that is opened later is whole.
import os, signal, socket, subprocess, sys, threading, time

PROGRAM, MODE = "@PROGRAM@", "@MODE@"
args = sys.argv[1:]
if "serve" not in args:
    os.execv(PROGRAM, [PROGRAM, *args])
at = next(n for n, arg in enumerate(args) if arg.startswith("--port"))
port = int(args[at].split("=")[1])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    behind = free.getsockname()[1]
args[at] = f"--port={behind}"
server = subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE)
signal.signal(signal.SIGTERM, lambda *_: server.terminate())
streams, lost = [], set()

def pump(source, sink, is_events=False):
    try:
        while data := source.recv(65536):
            if not (is_events and sink in lost):
                sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def serve(client):
    upstream = socket.create_connection(("127.0.0.1", behind))
    head = client.recv(65536)
    is_events = head.split(b"\r\n")[0].split(b" ")[1].split(b"?")[0] == b"/event"
    if is_events:
        streams.append(client)
    upstream.sendall(head)
    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
    pump(upstream, client, is_events)

def cut():
    while not os.path.exists("cut"):
        time.sleep(0.02)
    for stream in list(streams):
        lost.add(stream)
        if MODE == "cut":
            stream.shutdown(socket.SHUT_RDWR)

def listen(inbox):
    while True:
        client, _ = inbox.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()

for line in server.stdout:
    if b"listening on" in line:
        inbox = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=listen, args=(inbox,), daemon=True).start()
        threading.Thread(target=cut, daemon=True).start()
        line = line.replace(str(behind).encode(), str(port).encode())
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
sys.exit(server.wait())
