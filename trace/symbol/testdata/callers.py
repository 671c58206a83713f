# Waits in calls whose lines the tests know by their marks.
import socket
import sys
import threading

a, b = socket.socketpair()


class Pool:
    def get(self, n):
        return a.recv(  # mark: recv
            n)


def fetch(url):
    for _ in range(3):
        yield Pool().get(
            len(url))  # of the call above


def leak():
    return list(map(lambda u: next(fetch(u)), ["ä", "二"]))  # mark: lambda


def naïve():
    print("ready", flush=True)
    leak()  # mark: leak


if len(sys.argv) > 1:
    t = threading.Thread(target=naïve)
    t.start()
    t.join()
else:
    naïve()  # mark: main
