"""The processes of a scenario: redis-server as Debian has it, and servers that share rooms through it."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

from crowd import Crowd
from loop import DEADLINE, HOST, Loop, check
from proxy import Proxy

# Seconds that `gettimeofday` is put back by a library of eight lines; libfaketime hangs redis-server.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
int gettimeofday(struct timeval *tv, void *tz) {
    int result = ((int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday"))(tv, tz);
    tv->tv_sec += atoi(getenv("CLOCK_IS_OFF_BY"));
    return result;
}
"""



MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../src/manual/operating.md")


class LeftOut(Exception):
    """It cannot be tested here."""


class Process:
    """A child process, and its output in files."""

    def __init__(self, scratch, name, command, environment=None):
        self.out, self.err = os.path.join(scratch, name + ".out"), os.path.join(scratch, name + ".log")
        with open(self.out, "wb") as out, open(self.err, "ab") as err:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        self.is_stopped = False

    def printed(self):
        return read(self.out)

    def logged(self):
        return read(self.err)

    def is_running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def stop(self):
        """Stops it, as a machine that hangs: its kernel still takes connections and bytes."""
        self.signal(signal.SIGSTOP)
        self.is_stopped = True

    def go_on(self):
        self.signal(signal.SIGCONT)
        self.is_stopped = False

    def kill(self):
        self.child.kill()
        self.child.wait()

    def cpu_seconds(self):
        with open(f"/proc/{self.child.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Redis:
    """A redis-server, whose data outlive it."""

    def __init__(self, world, name, *flags, bind=HOST, within=()):
        self.world, self.name, self.within = world, name, within
        self.folder = os.path.join(world.scratch, name)
        os.makedirs(self.folder, exist_ok=True)
        self.port = free_port()
        self.address = (bind, self.port)
        self.socket = os.path.join(world.scratch, f"{name}.sock")
        self.flags = ["--port", str(self.port), "--bind", bind, "--unixsocket", self.socket, "--dir", self.folder]
        self.flags += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--protected-mode", "no"]
        # The user of the manual, with the commands that a server needs and no other.
        self.flags += ["--user", *re.search(r"^user (pollchat on >secret .*)$", read(MANUAL), re.M)[1].split()]
        self.flags += flags
        self.process = None

    def start(self, *flags, environment=None, loads=True):
        environment = {**os.environ, **(environment or {})}
        command = [*self.within, "redis-server", *self.flags, *flags]
        self.process = Process(self.world.scratch, self.name, command, environment)
        self.world.processes.append(self.process)
        if loads:
            self.world.loop.until(lambda: f"{self.name} is up: {self.process.printed()[-300:]}", self.is_up)
        return self

    def is_up(self):
        try:
            return self.ask("PING").startswith(("PONG", "NOAUTH"))
        except OSError:
            return False

    def ask(self, *words):
        """Asks it over its Unix socket, past all proxies. An error is returned as its text."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.socket)
            words = [str(word).encode() for word in words]
            command = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
            connection.sendall(b"*%d\r\n%s" % (len(words), command))
            with connection.makefile("rb") as replies:
                return reply(replies)

    def kill(self):
        self.process.kill()


def reply(replies):
    line = replies.readline().decode().rstrip("\r\n")
    kind, rest = line[:1], line[1:]
    if kind == "$":
        return None if rest == "-1" else replies.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == "*":
        return None if rest == "-1" else [reply(replies) for _ in range(int(rest))]
    return int(rest) if kind == ":" else rest


class Server:
    """A pollchat-server, in all its runs."""

    def __init__(self, world, name, bus, *flags, within=(), listens_on_path=False):
        self.world, self.name, self.within = world, name, within
        self.path = os.path.join(world.scratch, f"{name}.sock") if listens_on_path else None
        listen = f"unix:{self.path}" if self.path else f"{HOST}:0"
        # A password is better kept from a list of processes.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("POLLCHAT_")}
        self.environment.update(POLLCHAT_BUS=bus, RUST_BACKTRACE="1")
        self.control = os.path.join(world.scratch, f"{name}.control")
        self.flags = ["--listen", listen, "--announce-up-to", "0", "--log-level", "debug", "--control", self.control]
        self.flags += flags
        self.runs = 0
        self.address = (HOST, 9)
        self.process = None

    def writer(self):
        """What its lines are said at: its name, and the number of its run."""
        return f"{self.name}{self.runs}"

    def begin(self):
        self.runs += 1
        command = [*self.within, os.path.join(self.world.binaries, "pollchat-server"), *self.flags]
        self.process = Process(self.world.scratch, self.writer(), command, self.environment)
        self.world.processes.append(self.process)
        return self

    def start(self, within=DEADLINE):
        self.begin()
        self.world.loop.until(lambda: f"{self.name} listens: {self.log()[-600:]}", self.listens, within)
        return self

    def listens(self):
        check(self.process.is_running(), lambda: f"{self.name} ended: {self.log()[-600:]}")
        told = re.search(r"^listening on (?:[\d.]+:(\d+)|unix:.*)$", self.process.printed(), re.M)
        if told:
            self.address = (HOST, int(told[1])) if told[1] else self.path
        return told

    def log(self):
        return self.process.logged()

    def order(self, *words):
        """Gives an order with `ctl`, and returns the answer."""
        command = [os.path.join(self.world.binaries, "pollchat-server"), "ctl", "--control", self.control, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=self.environment)
        return done.stdout + done.stderr

    def figures(self):
        """The figures of `ctl stats`, by name."""
        answer = self.order("stats")
        figures = {name: int(value) for name, value in re.findall(r"(\w+)[ =]+(\d+)", answer)}
        check("clients" in figures, f"{self.name} has no figures: {answer!r}")
        return figures

    def kill(self):
        self.process.kill()

    def end(self):
        """Ends it in good order."""
        self.process.signal(signal.SIGTERM)
        self.world.loop.until(f"{self.name} ends", lambda: not self.process.is_running())
        code = self.process.child.returncode
        check(code == 0, lambda: f"{self.name} ended with {code}: {self.log()[-300:]}")


class World:
    """One scenario's processes, in a folder of its own. All of them are gone when it is closed."""

    def __init__(self, binaries, scratch, seed, is_short):
        self.binaries, self.scratch, self.is_short = binaries, scratch, is_short
        self.loop = Loop()
        self.random = random.Random(seed)
        self.seed = seed
        self.processes = []
        self.proxies = []
        self.namespaces = []
        self.crowd = None
        self.notes = []

    def seconds(self, short, long):
        return short if self.is_short else long

    def note(self, text):
        self.notes.append(text)

    def redis(self, name="redis", *flags, **how):
        return Redis(self, name, *flags, **how).start()

    def proxy(self, target):
        proxy = Proxy(self.loop, target, self.random)
        self.proxies.append(proxy)
        return proxy

    def server(self, name, address, *flags, user="pollchat:secret@", **how):
        return Server(self, name, f"redis://{user}{address[0]}:{address[1]}", *flags, **how)

    def three(self, address, *flags):
        """Three servers, each with a proxy of its own to Redis."""
        self.doors = [self.proxy(address) for _ in range(3)]
        self.servers = [self.server(name, door.address, *flags).start() for name, door in zip("abc", self.doors)]
        return self.servers

    def gather(self, talkers=None):
        talkers = talkers or self.seconds(60, 200)
        self.crowd = Crowd(self.loop, self.servers, talkers, self.seconds(150, 300), self.seed)
        return self.crowd

    def clock_off_by(self, seconds):
        """The environment of a program whose clock is off by so much; left out where there is no compiler."""
        if not shutil.which("cc"):
            raise LeftOut("there is no cc")
        source, library = os.path.join(self.scratch, "clock.c"), os.path.join(self.scratch, "clock.so")
        with open(source, "w") as file:
            file.write(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        return {"LD_PRELOAD": library, "CLOCK_IS_OFF_BY": str(seconds)}

    def expect_all_well(self):
        """Every server that should live does, and none has panicked."""
        for server in self.servers:
            check(server.process.is_running(), lambda: f"{server.name} has ended: {server.log()[-600:]}")
        for process in self.processes:
            check("panicked" not in process.logged(), lambda: f"a panic: {process.logged()[-900:]}")

    def expect_rest(self):
        """Nobody talks: a second costs no server more than a few milliseconds."""
        self.loop.run(0.5)
        before = [server.process.cpu_seconds() for server in self.servers]
        self.loop.run(1)
        used = [server.process.cpu_seconds() - cpu for server, cpu in zip(self.servers, before)]
        check(max(used) <= 0.05, f"in a second without a word they used {used} s")

    def close(self):
        if self.crowd:
            self.crowd.close()
        for process in self.processes:
            process.child.kill()
            process.child.wait()
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def ip(*words):
    result = subprocess.run(["ip", *words], capture_output=True, text=True)
    if result.returncode:
        raise LeftOut(f"ip {' '.join(words)}: {result.stderr.strip() or result.returncode}")
