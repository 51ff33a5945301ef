"""fetch - Python clients: fetch.py asyncio|threads|forks URL; each fetches it ten times at once, prints what all got"""
import asyncio
import os
import sys
import urllib.parse
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

TIMES = 10


def fetch(url):
    return urllib.request.urlopen(url).read().decode()


async def fetch_async(url):
    address = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 80)
    writer.write(f"GET {address.path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().split("\r\n\r\n", 1)[1]


async def gather(url):
    return await asyncio.gather(*[fetch_async(url) for _ in range(TIMES)])


def main(how, url):
    if how == "asyncio":
        return asyncio.run(gather(url))
    pools = {"threads": ThreadPoolExecutor, "forks": ProcessPoolExecutor}
    with pools[how](TIMES) as pool:
        return list(pool.map(fetch, [url] * TIMES))


if __name__ == "__main__":
    try:
        print(*set(main(*sys.argv[1:])), sep="", end="")
    except OSError as error:
        sys.exit(os.strerror(error.errno) if (error.errno or 0) > 0 else str(error))
