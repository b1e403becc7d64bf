"""The checker: what several witnesses were shown, against each other and against what was said.

A talker says lines such as `a1/17.0 345 ~~~`: at the first run of server a, talker 17 on its connection 0 says its line
345. So every line is there once, and each of its parts can be checked. A transcript is all that a witness was shown.

It must hold:

- There is one order, in which every transcript has its lines. (Lines that were under way when a replica without them
  took over may stand at two places: they are *unsettled*.)
- No transcript has a line twice, and each has the lines of a connection in their order.
- A line that a transcript lacks is told as lost before the next line of the same server, and the sum is exact.
- The lines of a connection that lived to the end are all there. Of one that broke, the first ones are: no hole.
- Nothing was shown that nobody said.
- A connection has one name everywhere, and no two have the same.
- Two tracked witnesses count the same record at the same position.

    python3 tests/system/bus/broken.py    shows that each of these finds what breaks it
"""

import dataclasses
import graphlib
import re

SAID = re.compile(r"(\S+)> (([a-z])(\d+)/(\d+)\.(\d+) (\d+))(?: ~*)?")
LOST = re.compile(r"\*\* ([\d,]+) lines? of others (?:was|were) lost between the servers")
MISSED = re.compile(r"\*\*? you missed ([\d,]+) (?:lines?|records?)")
STAMP = re.compile(r"@ (\d+) ([0-9a-z]+)\.(\d+)")
CUT_OFF = "** cut off from the other servers: what you say waits"
TOGETHER = re.compile(r"\*\* together again after ([\d,]+) s")

# The faults that are told of one transcript: the first ones say enough.
FAULTS_MAX = 3


@dataclasses.dataclass(frozen=True, order=True)
class Line:
    """A line that a talker said."""

    writer: str
    talker: int
    connection: int
    number: int

    def __str__(self):
        return f"{self.writer}/{self.talker}.{self.connection} {self.number}"


@dataclasses.dataclass
class Connection:
    """What a talker said on one connection."""

    writer: str
    talker: int
    number: int
    said: int = 0
    # Whether it lived to the end, and so every line of it must have been heard.
    is_whole: bool = True

    def line(self, number):
        return Line(self.writer, self.talker, self.number, number)

    def text(self, padding=60):
        """The next line that it says, with less than so many bytes behind it."""
        text = f"{self.line(self.said)} {'~' * (self.said * 7919 % padding)}\n"
        self.said += 1
        return text.encode()


@dataclasses.dataclass
class Transcript:
    """What a witness was shown."""

    name: str
    is_tracked: bool = False
    # Whether it begins when lines have been said already.
    is_late: bool = False
    # Whether its server died: it need not have what came afterwards.
    is_ended: bool = False
    shown: list = dataclasses.field(default_factory=list)

    def heard(self):
        """The lines of talkers among all that was shown."""
        return [line for line, _ in filter(None, map(said, self.shown))]


def said(shown):
    """The line that was said, and the name that it was shown with, if this is one."""
    if match := SAID.fullmatch(shown):
        name, _, server, run, talker, connection, number = match.groups()
        return Line(server + run, int(talker), int(connection), int(number)), name
    return None


def told(shown):
    """How many lines this says are missing."""
    match = LOST.fullmatch(shown) or MISSED.fullmatch(shown)
    return int(match[1].replace(",", "")) if match else 0


def check(transcripts, connections, compares_positions=True, unsettled=frozenset()):
    """Returns everything that does not hold, in words. Of lines that are unsettled only the order does not matter."""
    faults = []
    for transcript in transcripts:
        faults += once_and_in_order(transcript)
    faults += names(transcripts)
    order, cycle = one_order(transcripts, unsettled)
    if cycle:
        return [*faults, f"no one order: {' before '.join(map(str, cycle[:4]))} …"]
    for transcript in transcripts:
        faults += missing(transcript, order, unsettled)
    faults += against_what_was_said([*order, *unsettled], connections)
    if compares_positions:
        faults += positions([transcript for transcript in transcripts if transcript.is_tracked])
    return faults


def once_and_in_order(transcript):
    faults, newest, seen = [], {}, set()
    for line in transcript.heard():
        key = (line.writer, line.talker, line.connection)
        if line in seen:
            faults.append(f"{transcript.name}: {line} is there twice")
        elif line.number < newest.get(key, -1):
            faults.append(f"{transcript.name}: {line} comes after {newest[key]}")
        newest[key] = max(line.number, newest.get(key, -1))
        seen.add(line)
    return faults[:FAULTS_MAX]


def one_order(transcripts, unsettled=frozenset()):
    """An order in which each transcript has its settled lines; or else lines that stand in a circle."""
    sorter = graphlib.TopologicalSorter()
    for transcript in transcripts:
        before = None
        for line in dict.fromkeys(line for line in transcript.heard() if line not in unsettled):
            sorter.add(line, *([before] if before else []))
            before = line
    try:
        return list(sorter.static_order()), None
    except graphlib.CycleError as error:
        return None, error.args[1][::-1]


def missing(transcript, order, unsettled):
    """Every line that this transcript lacks must have been told, exactly, and before the next line of its server."""
    if unsettled:
        return missing_in_all(transcript, order, unsettled)
    heard = dict.fromkeys(transcript.heard())
    if not heard:
        return [] if transcript.is_late or transcript.is_ended or not order else [f"{transcript.name} heard nothing"]
    place = {line: index for index, line in enumerate(order)}
    first = place[next(iter(heard))]
    last = max(place[line] for line in heard) if transcript.is_ended else len(order) - 1
    lacking = [line for line in order[first : last + 1] if line not in heard]
    waiting = {}
    for line in lacking:
        waiting.setdefault(line.writer, []).append(line)
    found, count = 0, 0
    for shown in transcript.shown:
        count += told(shown)
        if not (words := said(shown)):
            continue
        line, _ = words
        while waiting.get(line.writer) and place[waiting[line.writer][0]] < place[line]:
            lost = waiting[line.writer].pop(0)
            found += 1
            if found > count:
                return [f"{transcript.name} lacks {lost}, and is told of it neither before {line} nor exactly"]
    # One that came late may be told of what was lost before it came.
    if len(lacking) > count or (len(lacking) < count and not transcript.is_late):
        some = ", ".join(map(str, lacking[:3]))
        return [f"{transcript.name} lacks {len(lacking)} lines, and is told of {count}: {some} …"]
    return []


def missing_in_all(transcript, order, unsettled):
    """Every line that this transcript lacks must have been told, exactly."""
    lacking = len((unsettled | set(order)) - set(transcript.heard()))
    count = sum(map(told, transcript.shown))
    return [f"{transcript.name} lacks {lacking} lines, and is told of {count}"] if lacking != count else []


def against_what_was_said(order, connections):
    """Nothing was made up, and no connection has a hole."""
    faults, heard = [], {}
    known = {(connection.writer, connection.talker, connection.number) for connection in connections}
    for line in order:
        key = (line.writer, line.talker, line.connection)
        if key not in known:
            faults.append(f"nobody said {line}")
        heard.setdefault(key, set()).add(line.number)
    for connection in connections:
        numbers = heard.get((connection.writer, connection.talker, connection.number), set())
        if numbers - set(range(connection.said)):
            faults.append(f"nobody said {connection.line(max(numbers))}")
        elif connection.is_whole and len(numbers) < connection.said:
            lost = min(set(range(connection.said)) - numbers)
            faults.append(f"nobody heard {connection.line(lost)}, of a connection that lived")
        elif numbers and max(numbers) + 1 != len(numbers):
            hole = min(set(range(max(numbers))) - numbers)
            faults.append(f"nobody heard {connection.line(hole)}, but lines after it")
    return faults[: 2 * FAULTS_MAX]


def names(transcripts):
    faults, name_of, holder_of = [], {}, {}
    for transcript in transcripts:
        for line, name in filter(None, map(said, transcript.shown)):
            holder = (line.writer, line.talker, line.connection)
            if name_of.setdefault(holder, name) != name:
                faults.append(f"{transcript.name}: {line} is of {name}, elsewhere of {name_of[holder]}")
            if holder_of.setdefault(name, holder) != holder:
                faults.append(f"{transcript.name}: {name} is a name of two: {line}")
    return faults[:FAULTS_MAX]


def records(transcript):
    """The records of a tracked transcript, each with its position."""
    base, count = None, 0
    for shown in transcript.shown:
        if stamp := STAMP.fullmatch(shown):
            base, count = stamp[2], int(stamp[3])
        elif base and not shown.startswith("** ") and shown != "FIN":
            yield (base, count), shown
            count += 1


def positions(transcripts):
    faults, record_at = [], {}
    for transcript in transcripts:
        for position, record in records(transcript):
            known, where = record_at.setdefault(position, (record, transcript.name))
            if known != record:
                place = ".".join(map(str, position))
                faults.append(f"at {place} {transcript.name} has {record[:40]!r}, and {where} has {known[:40]!r}")
    return faults[:FAULTS_MAX]
