# httpserver.py - a server for http.test: chunks, early answers, a websocket; the hash of a body as it came
import base64, hashlib, socket, sys, threading
def head(f):
    lines = []
    while True:
        line = f.readline()
        if line in (b'\r\n', b''):
            return lines
        lines.append(line.decode().strip())
def serve(c):
    f = c.makefile('rb')
    while True:
        lines = head(f)
        if not lines:
            return c.close()
        method, path, version = lines[0].split(' ')
        fields = {l.split(':', 1)[0].lower(): l.split(':', 1)[1].strip() for l in lines[1:]}
        if 'expect' in fields:
            c.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
        body = b''
        if 'content-length' in fields:
            body = f.read(int(fields['content-length']))
        elif 'transfer-encoding' in fields:
            while True:
                n = int(f.readline(), 16)
                body += f.read(n)
                f.readline()
                if n == 0:
                    break
        if path == '/ws':
            key = base64.b64encode(hashlib.sha1((fields['sec-websocket-key'] +
                                                 '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()
            c.sendall(('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                       'Sec-WebSocket-Accept: %s\r\n\r\n' % key).encode())
            while True:
                data = f.read1(65536)
                if not data:
                    return c.close()
                c.sendall(data)
        if path == '/close':
            c.sendall(b'HTTP/1.0 200 OK\r\n\r\nuntil the end\n')
            return c.close()
        if path == '/chunks':
            c.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
            for i in range(1000):
                c.sendall(b'%x\r\n' % (i + 1) + b'x' * (i + 1) + b'\r\n')
            c.sendall(b'100000\r\n' + b'y' * 0x100000 + b'\r\n0\r\nX-Trailer: z\r\n\r\n')
            continue
        if path == '/unasked':
            c.sendall(b'HTTP/1.1 101 Switching Protocols\r\n\r\n')
            continue
        answer = hashlib.sha256(body).hexdigest() + '\n'
        content = '' if method == 'HEAD' else answer
        c.sendall(('HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(answer), content)).encode())
s = socket.create_server(('127.8.9.3', 7480), backlog=100)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
