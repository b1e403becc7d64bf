"""Those who talk, and those who write down what they are shown: all of them plain clients of real servers."""

import random
import time

import history
from loop import connect

# Talkers read what they are shown so often, in seconds, and throw it away.
READ_EVERY = 0.1

# A client whose server has gone comes back after so long, in seconds: some random part of it.
BACK_WITHIN = 0.5


class Wire:
    """A connection to a server."""

    def __init__(self, loop, address, on_data, on_end):
        self.loop = loop
        self.on_data = on_data
        self.on_end = on_end
        self.unsent = b""
        self.is_open = True
        self.socket = connect(address)

    def watch(self, reads=True):
        self.reads = reads
        self.loop.watch(self.socket, self.on_ready, reads, bool(self.unsent))

    def on_ready(self, can_read, can_write):
        if can_write:
            self.send(b"")
        if can_read:
            self.read()

    def send(self, data):
        if not self.is_open:
            return
        self.unsent += data
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return self.end()
        self.watch(self.reads)

    def read(self):
        while self.is_open:
            try:
                data = self.socket.recv(256 * 1024)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return self.end()
            self.on_data(data)
            if len(data) < 256 * 1024:
                return

    def end(self):
        if self.is_open:
            self.close()
            self.on_end()

    def close(self):
        self.is_open = False
        self.loop.forget(self.socket)
        self.socket.close()


class Talker:
    """A client that says a line now and then, at one server as long as that is there, and then at another."""

    def __init__(self, crowd, number, server, random):
        self.crowd, self.number, self.server, self.random = crowd, number, server, random
        self.connections = 0
        self.connection = None
        self.come()

    def come(self):
        if self.crowd.is_over:
            return
        try:
            self.wire = Wire(self.crowd.loop, self.server.address, lambda data: None, self.go_elsewhere)
        except OSError:
            self.wire = None
            return self.go_elsewhere()
        self.wire.watch(reads=False)
        self.connection = history.Connection(self.server.writer(), self.number, self.connections)
        self.crowd.connections.append(self.connection)
        self.connections += 1
        self.say()

    def go_elsewhere(self):
        if self.connection:
            self.connection.is_whole = False
            self.connection = None
        self.server = self.random.choice(self.crowd.servers)
        self.crowd.loop.later(self.random.uniform(0.1, BACK_WITHIN), self.come)

    def say(self):
        if self.connection:
            self.wire.send(self.connection.text(self.crowd.padding))

    def read(self):
        if self.connection:
            self.wire.read()


class Witness:
    """A client that writes down what it is shown. If its server goes, it comes back to it, with a new transcript."""

    def __init__(self, crowd, server, is_tracked):
        self.crowd, self.server, self.is_tracked = crowd, server, is_tracked
        self.come()

    def come(self):
        if self.crowd.is_over:
            return
        # The newest line of each connection that it was shown.
        self.newest = {}
        try:
            self.wire = Wire(self.crowd.loop, self.server.address, self.on_data, self.on_end)
        except OSError:
            self.transcript = None
            return self.crowd.loop.later(BACK_WITHIN, self.come)
        name = f"{'tracked' if self.is_tracked else 'plain'} at {self.server.writer()}"
        is_late = bool(self.crowd.connections)
        self.transcript = history.Transcript(name, self.is_tracked, is_late)
        self.rest = b""
        self.crowd.transcripts.append(self.transcript)
        self.wire.watch()
        self.wire.send(b"/track\n" if self.is_tracked else b"\n")

    def on_data(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        lines = [line.decode() for line in lines]
        self.transcript.shown += lines
        for line, _ in filter(None, map(history.said, lines)):
            self.newest[line.writer, line.talker, line.connection] = line.number

    def on_end(self):
        self.transcript.is_ended = True
        self.transcript = None
        self.crowd.loop.later(BACK_WITHIN, self.come)

    def is_there(self):
        return self.transcript is not None and any("you are client-" in line for line in self.transcript.shown[:4])

    def has_newest(self):
        """Whether it was shown the newest line of each connection that lives."""
        alive = [connection for connection in self.crowd.connections if connection.is_whole]
        return self.is_there() and all(
            self.newest.get((connection.writer, connection.talker, connection.number)) == connection.said - 1
            for connection in alive
        )


class Crowd:
    """Talkers that are spread over servers, and two witnesses at each."""

    def __init__(self, loop, servers, talkers, lines_a_second, seed):
        self.loop = loop
        self.servers = servers
        self.is_over = False
        self.connections = []
        self.transcripts = []
        self.unsettled = frozenset()
        # Bytes that a line is made longer by, at most.
        self.padding = 60
        self.pause = talkers / lines_a_second
        self.random = random.Random(seed)
        self.is_talking = False
        self.witnesses = [Witness(self, server, is_tracked) for server in servers for is_tracked in (False, True)]
        loop.until("the witnesses are there", lambda: all(witness.is_there() for witness in self.witnesses))
        self.talkers = [Talker(self, number, servers[number % len(servers)], self.random) for number in range(talkers)]
        self.read()

    def read(self):
        for talker in self.talkers:
            talker.read()
        if not self.is_over:
            self.loop.later(READ_EVERY, self.read)

    def begin(self):
        """Has them talk, each at its own times."""
        self.is_talking = True
        for talker in self.talkers:
            self.loop.later(self.random.uniform(0, self.pause), lambda talker=talker: self.take_turn(talker))

    def take_turn(self, talker):
        if self.is_talking:
            talker.say()
            self.loop.later(self.random.uniform(0.5, 1.5) * self.pause, lambda: self.take_turn(talker))

    def talk(self, seconds):
        """Has them talk for so long."""
        if not self.is_talking:
            self.begin()
        self.loop.run(seconds)

    def expect_heard(self, what, within, witnesses=None):
        """From now on each of these is shown something new within so long; returns after what time the last was."""
        before = {}
        for witness in self.witnesses if witnesses is None else witnesses:
            before[witness] = (witness.transcript, len(witness.transcript.shown) if witness.transcript else 0)

        def hears(witness):
            transcript, length = before[witness]
            if not witness.is_there():
                return False
            shown = witness.transcript.shown[length if witness.transcript is transcript else 0 :]
            return any(map(history.said, shown))

        start = time.monotonic()
        self.loop.until(lambda: f"{what}: {self.state()}", lambda: all(map(hears, before)), within)
        return time.monotonic() - start

    def begin_unsettled(self):
        """Lines that are shown from now on may stand at two places, until it is over."""
        return {id(transcript): len(transcript.shown) for transcript in self.transcripts}

    def end_unsettled(self, begin):
        shown = [line for transcript in self.transcripts for line in transcript.shown[begin.get(id(transcript), 0) :]]
        self.unsettled |= {line for line, _ in filter(None, map(history.said, shown))}

    def state(self):
        parts = []
        for witness in self.witnesses:
            shown = witness.transcript.shown if witness.transcript else []
            name = witness.transcript.name if shown else witness.server.name
            parts.append(f"{name}: {len(shown)} lines, {shown[-1:]}")
        return "; ".join(parts)

    def settle(self, within=60):
        """Ends the talk, with a last line of each, and waits until every witness has them all."""
        self.is_talking = False
        self.loop.until("every talker is somewhere", lambda: all(talker.connection for talker in self.talkers), within)
        for talker in self.talkers:
            talker.say()
        self.loop.until(
            lambda: f"every witness has the last lines: {self.state()}",
            lambda: all(witness.has_newest() for witness in self.witnesses),
            within,
        )

    def verdict(self, compares_positions=True):
        """Checks all that was shown; returns what does not hold, and how much was checked."""
        faults = history.check(self.transcripts, self.connections, compares_positions, self.unsettled)
        said = sum(connection.said for connection in self.connections)
        lost = sum(history.told(shown) for transcript in self.transcripts for shown in transcript.shown)
        return faults, f"{said} lines in {len(self.transcripts)} transcripts, {lost} told as lost"

    def told(self, pattern):
        """How often witnesses were shown such a line, by their transcripts that are under way."""
        lines = [witness.transcript.shown if witness.transcript else [] for witness in self.witnesses]
        return [sum(bool(pattern.fullmatch(line)) for line in shown) for shown in lines]

    def close(self):
        self.is_over = True
        for one in self.talkers + self.witnesses:
            if one.wire:
                one.wire.close()
