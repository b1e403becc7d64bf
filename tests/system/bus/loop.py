"""One loop for all that a scenario does at the same time: talkers, witnesses, proxies, and its own waiting."""

import heapq
import itertools
import os
import selectors
import socket
import time

# How long one thing may take that is sure to happen, in seconds.
DEADLINE = 30

# The address of all ports: one that no other process looks for free ports at.
HOST = f"127.{os.getpid() >> 8 & 127}.{os.getpid() & 255}.46"


class Failed(Exception):
    """Something that must hold does not."""


def check(is_so, what):
    if not is_so:
        raise Failed(what() if callable(what) else what)


class Loop:
    """Sockets with what is to be done when they are ready, and things to be done at a time."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.due = []
        self.count = itertools.count()

    def watch(self, source, on_ready, reads=True, writes=False):
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
        is_watched = source in self.selector.get_map()
        if not events:
            self.forget(source)
        elif is_watched:
            self.selector.modify(source, events, on_ready)
        else:
            self.selector.register(source, events, on_ready)

    def forget(self, source):
        if source.fileno() >= 0 and source in self.selector.get_map():
            self.selector.unregister(source)

    def later(self, seconds, what):
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.count), what))

    def turn(self, until):
        """Does what is ready, and waits until then at most if nothing is."""
        end = min(until, self.due[0][0]) if self.due else until
        for key, events in self.selector.select(max(0, end - time.monotonic())):
            # What was done before may have closed it.
            if key.fileobj.fileno() >= 0 and self.selector.get_map().get(key.fileobj) == key:
                key.data(bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE))
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            heapq.heappop(self.due)[2]()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(end)

    def until(self, what, is_so, within=DEADLINE, every=0.02):
        """Waits until it is so; returns what `is_so` returns then. While it is asked, every so often, proxies wait."""
        end = time.monotonic() + within
        while not (result := is_so()):
            check(time.monotonic() < end, lambda: f"not within {within} s: {what() if callable(what) else what}")
            self.run(min(every, end - time.monotonic()))
        return result


def connect(address):
    """A socket that is on its way to a port, or to the path of a Unix socket."""
    is_path = isinstance(address, str)
    connection = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
    if not is_path:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    error = connection.connect_ex(address)
    if error not in (0, 115):
        connection.close()
        raise OSError(error, "connect")
    return connection
