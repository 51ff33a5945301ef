"""deputies.py - what deputies.test takes for docker, syslog, a compositor and a helper that hands out sockets

usage: deputies.py docker PATH          an HTTP server on a unix socket that runs what is posted
       deputies.py syslog PATH FILE     append the last word of each datagram to FILE
       deputies.py pair PATH TEXT       send a datagram there from an end of a socket pair
       deputies.py compositor ADDRESS   hand out a keymap's descriptor and take a buffer's, as Wayland's do
       deputies.py window ADDRESS       a client of that: print what each has seen in the other's
       deputies.py both ADDRESS         a compositor and a window of its own
       deputies.py giver PATH           hand an unconnected UDP socket to who connects
       deputies.py taker PATH IP PORT   be handed a socket, send a datagram by it, print the answer
       deputies.py echo IP PORT         answer each datagram with its text
ADDRESS is a path or @NAME."""
import http.server
import os
import socket
import socketserver
import subprocess
import sys


def name(address):
    return "\0" + address[1:] if address[0] == "@" else address


class Docker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        command = self.rfile.read(int(self.headers["Content-Length"]))
        output = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False).stdout
        self.send_response(200)
        self.end_headers()
        self.wfile.write(output)

    def address_string(self):
        return "a unix socket"


def docker(path):
    socketserver.UnixStreamServer(path, Docker).serve_forever()


def syslog(path, log):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    while True:
        line = server.recv(4096)
        with open(log, "ab", buffering=0) as out:
            out.write(line.split()[-1] + b"\n")


def pair(path, text):
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends[0].sendto(text.encode(), path)


def buffer(text):
    """A memfd with this text."""
    fd = os.memfd_create("buffer")
    os.write(fd, text.encode())
    return fd


def text_of(fd):
    return os.pread(fd, 100, 0).decode()


def serve(server):
    while True:
        client = server.accept()[0]
        socket.send_fds(client, [b"keymap"], [buffer("the keymap")])
        data, fds, _, _ = socket.recv_fds(client, 100, 4)
        client.sendall(b"saw " + b" and ".join(text_of(fd).encode() for fd in fds))
        for fd in fds:
            os.close(fd)
        client.close()


def listener(address):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(name(address))
    server.listen()
    return server


def compositor(address):
    serve(listener(address))


def window(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(name(address))
        _, fds, _, _ = socket.recv_fds(client, 100, 1)
        socket.send_fds(client, [b"buffers"], [buffer("one"), buffer("two")])
        print(client.recv(100).decode() + ", given " + text_of(fds[0]))


def both(address):
    server = listener(address)
    child = os.fork()
    if child == 0:
        serve(server)
    window(address)
    os.kill(child, 9)


def giver(path):
    server = listener(path)
    while True:
        client = server.accept()[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            socket.send_fds(client, [b"x"], [udp.fileno()])
        client.close()


def taker(path, ip, port):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(path)
    _, fds, _, _ = socket.recv_fds(client, 1, 1)
    udp = socket.socket(fileno=fds[0])
    udp.settimeout(5)
    udp.sendto(b"by a socket that was handed in", (ip, int(port)))
    print(udp.recv(100).decode())


def echo(ip, port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((ip, int(port)))
    while True:
        text, peer = server.recvfrom(100)
        server.sendto(text, peer)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
