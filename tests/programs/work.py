"""work - Python alone: threads, processes of each kind, managers, shared memory, a server and its clients by asyncio"""
import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from multiprocessing import shared_memory


def square(n):
    return n * n


def add(counter, times):
    for _ in range(times):
        with counter.get_lock():
            counter.value += 1


def threads():
    total, lock = [0], threading.Lock()

    def run():
        for _ in range(1000):
            with lock:
                total[0] += 1

    several = [threading.Thread(target=run) for _ in range(20)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    return total[0]


def processes(kind):
    context = multiprocessing.get_context(kind)
    with context.Pool(3) as pool:
        squares = sum(pool.map(square, range(100)))
    counter = context.Value("i", 0)
    several = [context.Process(target=add, args=(counter, 100)) for _ in range(3)]
    for process in several:
        process.start()
    for process in several:
        process.join()
    return squares, counter.value


def manager():
    """A server process of its own, reached by a unix socket."""
    with multiprocessing.Manager() as shared:
        words = shared.dict()
        words["a"] = "b"
        return dict(words)


def memory():
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    try:
        block.buf[:5] = b"hello"
        again = shared_memory.SharedMemory(block.name)
        text = bytes(again.buf[:5])
        again.close()
        return text
    finally:
        block.close()
        block.unlink()


async def echo(reader, writer):
    writer.write(await reader.read(100))
    await writer.drain()
    writer.close()


async def ask(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def server():
    listener = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*[ask(port, b"%d" % i) for i in range(50)])
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said, _ = await child.communicate(b"by a pipe")
    return sorted(map(int, answers)) == list(range(50)), said


if __name__ == "__main__":
    print("threads", threads())
    for each in "fork", "spawn", "forkserver":
        print(each, *processes(each))
    print("manager", manager())
    print("shared memory", memory())
    print("asyncio", *asyncio.run(server()))
    print("subprocess", subprocess.run([sys.executable, "-c", "print(1 + 1)"], capture_output=True, check=True).stdout)
    print("system", os.system("exit 3") >> 8)
