"""What is done to servers and Redis while clients talk, and what must hold besides what the checker finds."""

import os
import re
import socket
import subprocess

import history
from loop import DEADLINE, HOST, check
from world import LeftOut, ip

# Within what time lines pass again, in seconds: the longest pause of a connection, and what a busy machine adds.
BACK = 15

# Within what time the members of a server that died are gone: its lease, two looks, and what a busy machine adds.
GONE = 45

# An entry that its server has not read back is written again after so long, in seconds, and a little.
OVERDUE = 6

# The streams of the lobby, and of the members.
ROOM, ROSTER = "pollchat:room:lobby", "pollchat:roster"


def calm(world):
    """Nothing happens."""
    world.three(world.redis().address)
    world.gather().talk(world.seconds(3, 30))


def redis_is_killed(world):
    """Redis is killed and started again: its file has every entry that it has answered."""
    redis = world.redis()
    world.three(redis.address)
    crowd = world.gather()
    waits = []
    for _ in range(world.seconds(2, 10)):
        crowd.talk(world.random.uniform(0.5, 2))
        redis.kill()
        crowd.talk(world.random.uniform(0, 3))
        redis.start()
        waits.append(crowd.expect_heard("lines pass again", BACK))
    world.note(f"lines passed again after {max(waits):.1f} s at most")


def server_is_killed(world):
    """A server is killed. Its clients go elsewhere; its members are gone; it comes back as another one."""
    world.three(world.redis().address)
    crowd = world.gather()
    for _ in range(world.seconds(1, 5)):
        crowd.talk(2)
        server = world.random.choice(world.servers)
        server.kill()
        others = [witness for witness in crowd.witnesses if witness.server is not server]
        crowd.expect_heard("the others talk on", 5, others)
        if not world.is_short:
            crowd.talk(world.random.uniform(0, 2))
        server.start()
        crowd.expect_heard("all of them hear", BACK)
    expect_nobody_twice(world)


def expect_nobody_twice(world):
    """Each server comes to have all the members in its list, and no other: as many as have a connection anywhere."""
    seen = []

    def is_so():
        present = sum(server.figures()["clients"] for server in world.servers) + 1
        seen[:] = [f"{present:,} should be there"] + [who(server)[-1] for server in world.servers]
        return all(total == f"* {present:,} here" for total in seen[1:])

    world.loop.until(lambda: f"nobody is there twice: {seen}", is_so, GONE, every=1)


def who(server):
    """What a newcomer is told about those present, itself included."""
    family = socket.AF_UNIX if isinstance(server.address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(DEADLINE)
        client.connect(server.address)
        client.sendall(b"\n/who\n")
        shown = []
        for line in client.makefile(encoding="utf-8"):
            shown.append(line.rstrip("\n"))
            if re.fullmatch(r"\* [\d,]+ here", shown[-1]):
                break
        # Not in the list of the next that asks.
        client.sendall(b"FIN\n")
        client.recv(4096)
    return shown


def redis_stands_still(world):
    """Redis is stopped: it takes bytes, and answers nothing. Clients are told once, and for how long."""
    redis = world.redis()
    world.three(redis.address)
    crowd = world.gather()
    for seconds in world.seconds([8], [10, 60]):
        crowd.talk(1)
        before = crowd.told(re.compile(re.escape(history.CUT_OFF)))
        redis.process.stop()
        crowd.talk(seconds)
        redis.process.go_on()
        crowd.expect_heard("lines pass again", BACK)
        expect_told_once(world, before)


def expect_told_once(world, before):
    """Each witness was told once that it was cut off, and once that it is no more."""
    crowd = world.crowd
    off = lambda: crowd.told(re.compile(re.escape(history.CUT_OFF)))
    again = lambda: crowd.told(history.TOGETHER)
    told = lambda: f"cut off {off()} times, together again {again()} times, cut off {before} times before"
    world.loop.until(told, lambda: off() == again(), 5)
    check([was + 1 for was in before] == off(), told)


def server_stands_still(world):
    """A server is stopped, for less than its lease, and for longer. Nobody is lost by the first."""
    world.three(world.redis().address)
    crowd = world.gather()
    stopped = world.servers[1]
    others = [witness for witness in crowd.witnesses if witness.server is not stopped]
    for seconds in world.seconds([4], [10, 60]):
        crowd.talk(1)
        stopped.process.stop()
        crowd.expect_heard("the others talk on", 5, others)
        crowd.talk(seconds)
        stopped.process.go_on()
        crowd.expect_heard("all of them hear", BACK)
    expect_nobody_twice(world)


def connections_are_cut(world):
    """Connections to Redis are cut behind any byte, again and again, and what was cut off arrives late or never."""
    world.three(world.redis().address)
    crowd = world.gather()
    crowd.talk(1)
    for door in world.doors:
        door.cut_within, door.is_late = 30_000, True
    crowd.talk(world.seconds(4, 60))
    for door in world.doors:
        door.mend()
    crowd.expect_heard("lines pass again", BACK)
    figures = [server.figures() for server in world.servers]
    repeated = [figure.get("bus_repetitions") for figure in figures]
    world.note(f"{sum(door.cuts for door in world.doors)} cuts, repetitions dropped: {repeated}")


def connections_are_slow(world):
    """Each byte takes 200 ms, each way. Nobody is cut off by that."""
    world.three(world.redis().address)
    crowd = world.gather()
    before = crowd.told(re.compile(re.escape(history.CUT_OFF)))
    for door in world.doors:
        door.delay = 0.2
    crowd.talk(world.seconds(3, 20))
    crowd.expect_heard("lines pass", 5)
    check(crowd.told(re.compile(re.escape(history.CUT_OFF))) == before, "somebody was told of being cut off")


def connections_hang(world):
    """The connections of one server are half open: nothing passes, and nothing ends."""
    world.three(world.redis().address)
    crowd = world.gather()
    crowd.talk(1)
    world.doors[0].hang()
    others = [witness for witness in crowd.witnesses if witness.server is not world.servers[0]]
    crowd.talk(world.seconds(7, 25))
    crowd.expect_heard("the others talk on", 5, others)
    world.doors[0].mend()
    crowd.expect_heard("all of them hear", BACK)


def redis_refuses(world):
    """Nothing listens where Redis should be, at the start and again later. A refused connect is not the last one."""
    redis = world.redis()
    door = world.proxy(redis.address)
    door.refuse()
    world.servers = [world.server(name, door.address).begin() for name in "abc"]
    world.loop.run(world.seconds(1, 5))
    door.mend()
    for server in world.servers:
        world.loop.until(f"{server.name} listens", server.listens)
    crowd = world.gather()
    crowd.talk(1)
    door.refuse()
    crowd.talk(world.seconds(3, 20))
    before = sum(server.process.cpu_seconds() for server in world.servers)
    crowd.is_talking = False
    world.loop.run(1)
    used = sum(server.process.cpu_seconds() for server in world.servers) - before
    check(used <= 0.1, f"three servers used {used:.2f} s in a second of waiting for Redis")
    door.mend()
    crowd.begin()
    crowd.expect_heard("lines pass again", BACK)


def redis_is_loading(world):
    """Redis answers -LOADING for seconds after its start."""
    redis = world.redis()
    world.three(redis.address)
    crowd = world.gather()
    crowd.talk(1)
    # It looks at its connections at each 1,024th command that it loads.
    redis.ask("EVAL", "for i = 1, 4000 do redis.call('SET', 'other:' .. i, i) end", 0)
    redis.kill()
    redis.start("--key-load-delay", str(world.seconds(500, 2_500)), loads=False)
    world.loop.until("it is loading", lambda: "LOADING" in answer(redis))
    crowd.expect_heard("lines pass again", 60)


def answer(redis):
    try:
        return redis.ask("PING") or ""
    except OSError:
        return ""


def redis_is_full(world):
    """Redis has no memory for another entry: the room waits, and nothing is lost."""
    redis = world.redis("redis", "--maxmemory-policy", "noeviction")
    world.three(redis.address)
    crowd = world.gather()
    crowd.talk(1)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    crowd.talk(world.seconds(4, 15))
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    crowd.expect_heard("lines pass again", BACK)


def redis_is_emptied(world):
    """The stream of the room is deleted, and then everything."""
    redis = world.redis()
    world.three(redis.address)
    crowd = world.gather()
    for words in world.seconds([("DEL", ROOM), ("FLUSHALL",)], [("DEL", ROOM), ("FLUSHALL",), ("DEL", ROSTER)]):
        crowd.talk(world.seconds(1, 5))
        begin = crowd.begin_unsettled()
        crowd.talk(0.3)
        redis.ask(*words)
        # An entry that some have read, but not its server, is written again when it is overdue: at another place.
        crowd.expect_heard(f"lines pass behind {words[0]}", BACK)
        crowd.talk(OVERDUE)
        crowd.end_unsettled(begin)
    crowd.talk(world.seconds(1, 10))


def replica_takes_over(world, clock="0"):
    """Redis dies, and a replica takes over that lacks its last entries. One server has not seen these, and says how
    many lines are lost. The others have nearly all of them. An entry that is under way is written again, elsewhere."""
    environment = world.clock_off_by(clock) if clock != "0" else {}
    master = world.redis("master")
    link = world.proxy(master.address)
    replica = world.redis("replica", "--replicaof", link.address[0], str(link.address[1]))
    world.loop.until("the replica follows", lambda: "master_link_status:up" in replica.ask("INFO", "replication"))
    world.three(master.address)
    crowd = world.gather()
    crowd.talk(2)
    # The third server falls behind first, then the replica: so the tail is more than what the third lacks.
    link.hang()
    begin = crowd.begin_unsettled()
    crowd.talk(1)
    world.doors[2].hang()
    crowd.talk(2)
    master.kill()
    replica.ask("REPLICAOF", "NO", "ONE")
    if environment:
        replica.kill()
        replica.flags = replica.flags[: replica.flags.index("--replicaof")]
        replica.start(environment=environment)
    for door in world.doors:
        door.mend()
        door.move(replica.address)
    crowd.expect_heard("lines pass again", BACK)
    crowd.talk(1)
    crowd.end_unsettled(begin)
    crowd.talk(world.seconds(1, 10))
    lost = [sum(map(history.told, witness.transcript.shown)) for witness in crowd.witnesses]
    world.note(f"told as lost, by witness: {lost}")
    check(lost[4] > 0, "the third server lacks nothing: the tail was not lost")


def replica_with_a_slow_clock_takes_over(world):
    """The same, and the clock of the replica is two seconds behind, so its ids are smaller than those before."""
    replica_takes_over(world, "-2")


def falls_behind(world):
    """A server stands still while more is said than Redis keeps. It tells how many lines it lacks. Its own entry that
    was under way is none of these: it writes it again, at another place."""
    world.three(world.redis().address, "--bus-keep", "1M")
    # Few talkers, who say much: each of them is shown all of it.
    crowd = world.gather(talkers=20)
    crowd.pause /= 8
    crowd.padding = 2_000
    crowd.talk(1)
    begin = crowd.begin_unsettled()
    crowd.talk(0.3)
    world.servers[1].process.stop()
    crowd.talk(12)
    world.servers[1].process.go_on()
    crowd.expect_heard("all of them hear", BACK)
    crowd.talk(OVERDUE)
    crowd.end_unsettled(begin)
    crowd.talk(1)
    lost = [sum(map(history.told, witness.transcript.shown)) for witness in crowd.witnesses]
    world.note(f"told as lost, by witness: {lost}")
    check(min(lost[2:4]) > 0, f"nothing was lost: {lost}")


def partition(world):
    """One of three hosts loses its link to Redis: its room waits, the others talk on, and the order is one again."""
    if os.geteuid():
        raise LeftOut("it needs root")
    prefix = f"pollchat-bus-{os.getpid()}-"
    hub = prefix + "redis"
    for name in ["redis", *"abc"]:
        ip("netns", "add", prefix + name)
        world.namespaces.append(prefix + name)
    ip("-n", hub, "link", "add", "bridge", "type", "bridge")
    ip("-n", hub, "addr", "add", "10.47.0.1/24", "dev", "bridge")
    ip("-n", hub, "link", "set", "bridge", "up")
    for number, name in enumerate("abc"):
        ip("-n", hub, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "wire", "netns", prefix + name)
        ip("-n", hub, "link", "set", f"to-{name}", "master", "bridge", "up")
        ip("-n", prefix + name, "addr", "add", f"10.47.0.{number + 2}/24", "dev", "wire")
        ip("-n", prefix + name, "link", "set", "wire", "up")
    into = lambda name: ["ip", "netns", "exec", prefix + name]
    redis = world.redis(bind="10.47.0.1", within=into("redis"))
    # Unix sockets lead from any namespace into any other.
    start = lambda name: world.server(name, redis.address, within=into(name), listens_on_path=True).start()
    world.servers = [start(name) for name in "abc"]
    crowd = world.gather()
    others = [witness for witness in crowd.witnesses if witness.server is not world.servers[2]]
    for seconds in world.seconds([9], [10, 60]):
        crowd.talk(2)
        before = crowd.told(re.compile(re.escape(history.CUT_OFF)))[4:]
        ip("-n", prefix + "c", "link", "set", "wire", "down")
        crowd.talk(seconds)
        crowd.expect_heard("the others talk on", 5, others)
        ip("-n", prefix + "c", "link", "set", "wire", "up")
        crowd.expect_heard("all of them hear", BACK + 15)
        off = crowd.told(re.compile(re.escape(history.CUT_OFF)))[4:]
        check([was + 1 for was in before] == off, f"told that they were cut off: {before}, then {off}")
    expect_nobody_twice(world)


def refused_starts(world):
    """A wrong password and none: one line, and exit code 1. A port of another program may become Redis yet: the log
    says so, and nobody is let in."""
    redis = world.redis("redis", "--requirepass", "secret")
    other = socket.create_server((HOST, 0))
    world.servers = []
    starts = [
        (world.server("a", redis.address, user=":wrong@"), "WRONGPASS"),
        (world.server("b", redis.address, user=""), "NOAUTH"),
    ]
    waiting = world.server("c", other.getsockname())
    connections = []

    def greet(*_):
        connections.append(other.accept()[0])
        connections[-1].sendall(b"* you are client-1; /help lists what you can do\r\n")

    world.loop.watch(other, greet)
    for server in [waiting, *(server for server, _ in starts)]:
        server.begin()
    for server, words in starts:
        world.loop.until(f"{server.name} ends", lambda: not server.process.is_running())
        said = [line for line in server.log().splitlines() if line.startswith("pollchat-server: ")]
        code = server.process.child.returncode
        check((code, len(said)) == (1, 1), lambda: f"{server.name} ended with {code}: {server.log()}")
        check(words in said[0] and "secret" not in said[0] and "wrong@" not in said[0], f"it says {said[0]!r}")
        world.note(said[0].removeprefix("pollchat-server: "))
    world.loop.until("it is told", lambda: "does another protocol answer on this port?" in waiting.log())
    world.loop.until("it listens", waiting.listens)
    with socket.create_connection(waiting.address) as client:
        client.sendall(b"\n")
        world.loop.run(2)
        client.setblocking(False)
        check(not can_read(client), "a client was let in")
    check(waiting.process.is_running() and waiting.process.cpu_seconds() < 0.5, "it has ended, or is busy")
    world.loop.forget(other)
    other.close()


def can_read(client):
    try:
        return bool(client.recv(1))
    except BlockingIOError:
        return False


def all_scenarios():
    """The scenarios by name: whether they are in the short form, too, and whether positions agree in the end."""
    return {
        "calm": (calm, True, True),
        "killed redis": (redis_is_killed, True, True),
        "killed server": (server_is_killed, True, True),
        "stopped redis": (redis_stands_still, True, True),
        "stopped server": (server_stands_still, True, True),
        "cut connections": (connections_are_cut, True, True),
        "slow connections": (connections_are_slow, True, True),
        "hung connections": (connections_hang, False, True),
        "refused connections": (redis_refuses, True, True),
        "loading redis": (redis_is_loading, False, True),
        "full redis": (redis_is_full, True, True),
        "emptied redis": (redis_is_emptied, True, False),
        "replica without the tail": (replica_takes_over, True, False),
        "replica with a slow clock": (replica_with_a_slow_clock_takes_over, False, False),
        "left behind": (falls_behind, False, False),
        "partition": (partition, False, True),
        "refused starts": (refused_starts, True, True),
    }


def has_redis():
    return subprocess.run(["sh", "-c", "command -v redis-server"], capture_output=True).returncode == 0
