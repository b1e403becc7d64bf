"""A TCP proxy that does what networks do: it cuts connections at any byte, delays, delivers late, hangs and refuses."""

import socket
import struct
import time

from loop import HOST, connect

# Bytes of a cut connection arrive so much later, in seconds, when others have taken its place.
LATE = 0.8


class Proxy:
    """Between a server and Redis. Its settings hold for connections that are open, too."""

    def __init__(self, loop, target, random):
        self.loop, self.target, self.random = loop, target, random
        # Seconds for which each byte is kept, each way.
        self.delay = 0.0
        # A connection is cut behind a random byte of so many, at most; 0: not at all.
        self.cut_within = 0
        # Whether what a cut connection was sent arrives after all, late.
        self.is_late = False
        # Whether nothing passes any more, and nothing ends.
        self.hangs = False
        self.cuts = 0
        self.pairs = []
        self.listener = None
        self.address = None
        self.open()

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.address or (HOST, 0))
        self.listener.listen(100)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.loop.watch(self.listener, self.on_connect)

    def refuse(self):
        """New connections are refused from now on, and those that are there are cut."""
        self.loop.forget(self.listener)
        self.listener.close()
        self.cut_all()

    def hang(self):
        """Nothing passes from now on, in any direction."""
        self.hangs = True
        for pair in self.pairs:
            pair.watch()

    def mend(self):
        """Everything passes again. What hung is cut, as by a router that has forgotten it."""
        self.delay, self.cut_within, self.is_late = 0.0, 0, False
        if self.hangs:
            self.hangs = False
            self.cut_all()
        if self.listener.fileno() < 0:
            self.open()

    def move(self, target):
        """Leads elsewhere, as an address that is taken over."""
        self.target = target
        self.cut_all()

    def cut_all(self):
        for pair in list(self.pairs):
            pair.cut()

    def on_connect(self, *_):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.pairs.append(Pair(self, client, connect(self.target)))
        except OSError:
            reset(client)

    def close(self):
        self.cut_all()
        self.loop.forget(self.listener)
        self.listener.close()


class Pair:
    """One connection through the proxy: its two halves, and what is on its way in each direction."""

    def __init__(self, proxy, client, target):
        self.proxy = proxy
        self.client, self.target = client, target
        # What is under way to each: when it is due, and the bytes.
        self.queue = {client: [], target: []}
        self.is_connected = False
        self.left = proxy.random.randrange(1, proxy.cut_within) if proxy.cut_within else None
        self.watch()

    def watch(self):
        if self.proxy.hangs:
            self.proxy.loop.forget(self.client)
            self.proxy.loop.forget(self.target)
            return
        now = time.monotonic()
        for half in (self.client, self.target):
            is_due = bool(self.queue[half] and self.queue[half][0][0] <= now)
            writes = is_due or (half is self.target and not self.is_connected)
            on_ready = lambda can_read, can_write, half=half: self.on_ready(half, can_read, can_write)
            self.proxy.loop.watch(half, on_ready, True, writes)

    def other(self, half):
        return self.target if half is self.client else self.client

    def on_ready(self, half, reads, writes):
        try:
            if writes and half is self.target:
                self.is_connected = True
            if reads:
                data = half.recv(64 * 1024)
                if not data:
                    return self.cut()
                self.take(half, data)
            self.deliver()
        except BlockingIOError:
            pass
        except OSError:
            self.cut()

    def take(self, half, data):
        """Takes bytes from one half; cuts the connection behind any of them."""
        if self.proxy.cut_within and self.left is None:
            self.left = self.proxy.random.randrange(1, self.proxy.cut_within)
        if self.proxy.cut_within and len(data) >= self.left:
            late, data = data, data[: self.left]
            if half is self.client and self.proxy.is_late:
                self.deliver_late(late)
            else:
                self.queue[self.other(half)].append((0, data))
                self.deliver()
            raise ConnectionResetError
        if self.left is not None:
            self.left -= len(data)
        self.queue[self.other(half)].append((time.monotonic() + self.proxy.delay, data))
        if self.proxy.delay:
            self.proxy.loop.later(self.proxy.delay, lambda: self.client.fileno() >= 0 and self.deliver())

    def deliver(self):
        now = time.monotonic()
        if not self.proxy.hangs:
            for half, queue in self.queue.items():
                while queue and queue[0][0] <= now and (half is self.client or self.is_connected):
                    due, data = queue[0]
                    try:
                        sent = half.send(data)
                    except BlockingIOError:
                        break
                    except OSError:
                        return self.cut()
                    queue[0] = (due, data[sent:])
                    if sent == len(data):
                        queue.pop(0)
        self.watch()

    def deliver_late(self, data):
        """Redis gets these bytes when the server has come back long ago. Its answers are for nobody."""
        target, loop = self.target, self.proxy.loop
        self.target = self.target.dup()
        loop.forget(target)
        queue = b"".join(data for _, data in self.queue.pop(target, [])) + data
        self.queue[self.target] = []

        def arrive():
            try:
                target.setblocking(True)
                target.settimeout(1)
                target.sendall(queue)
            except OSError:
                pass
            loop.later(LATE, target.close)

        loop.later(self.proxy.random.uniform(0.1, LATE), arrive)

    def cut(self):
        if self in self.proxy.pairs:
            self.proxy.pairs.remove(self)
            self.proxy.cuts += 1
        for half in (self.client, self.target):
            self.proxy.loop.forget(half)
        reset(self.client)
        # The end of a half that lives on in another descriptor is no end of the connection.
        self.target.close()


def reset(connection):
    """Ends a connection as a host that crashed would."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    connection.close()
