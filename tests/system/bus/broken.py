"""The checker finds what is broken, and nothing else: transcripts as they should be, and each with one fault."""

import copy
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import history

STAMP = "@ 1764166801123 0000000000007.0"
WRITERS = ["a1", "b1", "c1"]


def told(count):
    return f"** {count} lines of others were lost between the servers"


class Broken(unittest.TestCase):
    """Three servers with a talker each, who say ten lines in turn; a plain and a tracked witness on each."""

    def setUp(self):
        self.connections = [history.Connection(writer, talker, 0) for talker, writer in enumerate(WRITERS)]
        lines = []
        for _ in range(10):
            for number, connection in enumerate(self.connections):
                lines.append(f"client-{number}> {connection.text().decode().rstrip()}".rstrip())
        self.plain = [history.Transcript(f"plain at {writer}", shown=list(lines)) for writer in WRITERS]
        self.tracked = [
            history.Transcript(f"tracked at {writer}", is_tracked=True, shown=[STAMP, *lines]) for writer in WRITERS
        ]
        self.shown = self.plain[1].shown

        self.unsettled = frozenset()

    def faults(self):
        return history.check(self.plain + self.tracked, self.connections, True, self.unsettled)

    def expect(self, *words):
        faults = self.faults()
        self.assertTrue(faults and all(any(word in fault for fault in faults) for word in words), (words, faults))

    def line(self, writer, number):
        """Where the plain witness at b has this line."""
        wanted = f"> {writer}/{WRITERS.index(writer)}.0 {number} "
        return next(at for at, shown in enumerate(self.shown) if wanted in shown + " ")

    def lose(self, transcript, writer, numbers):
        """Takes lines out of a transcript; returns where the next line of that server is."""
        wanted = [f"> {writer}/{WRITERS.index(writer)}.0 {number} " for number in [*numbers, max(numbers) + 1]]
        following = wanted.pop()
        kept = [shown for shown in transcript.shown if not any(line in shown + " " for line in wanted)]
        transcript.shown[:] = kept
        return next(at for at, shown in enumerate(kept) if following in shown + " ")

    def test_what_is_as_it_should_be_passes(self):
        self.assertEqual(self.faults(), [])

    def test_notices_between_the_lines_are_no_matter(self):
        self.shown[4:4] = [history.CUT_OFF, "** together again after 12 s", "* you are client-9"]
        self.tracked[2].shown[5:5] = [history.CUT_OFF, "** together again after 12 s"]
        self.assertEqual(self.faults(), [])

    def test_two_lines_that_changed_places(self):
        self.shown[3], self.shown[4] = self.shown[4], self.shown[3]
        self.expect("no one order")

    def test_unsettled_lines_may_change_places_but_are_neither_lost_nor_doubled(self):
        self.unsettled = frozenset(history.Transcript("", shown=self.shown[3:6]).heard())
        self.plain[1].shown[3:5] = reversed(self.shown[3:5])
        self.assertEqual(self.faults(), [])
        lost = self.shown.pop(3)
        self.expect("lacks 1 lines, and is told of 0")
        self.shown[4:4] = [lost, lost]
        self.expect("is there twice")
        del self.shown[4]
        self.shown[7], self.shown[8] = self.shown[8], self.shown[7]
        self.expect("no one order")

    def test_an_order_that_no_two_witnesses_contradict_but_three(self):
        # Each lacks one of three lines, and tells the others in its own order: a before b, b before c, c before a.
        a, b, c = ("client-0> a1/0.0 0", "client-1> b1/1.0 0", "client-2> c1/2.0 0")
        self.plain = [
            history.Transcript(f"at {number}", shown=[told(1).replace("lines", "line").replace("were", "was"), *pair])
            for number, pair in enumerate([(a, b), (b, c), (c, a)])
        ]
        self.tracked = []
        self.expect("no one order")

    def test_a_line_that_is_there_twice(self):
        self.shown.insert(9, self.shown[3])
        self.expect("is there twice")

    def test_a_line_that_is_there_twice_everywhere(self):
        for transcript in self.plain + self.tracked:
            transcript.shown.append(transcript.shown[-1])
        self.expect("is there twice")

    def test_a_talker_whose_lines_are_in_another_order_everywhere(self):
        for transcript in self.plain + self.tracked:
            at = len(transcript.shown) - 6
            transcript.shown[at], transcript.shown[at + 3] = transcript.shown[at + 3], transcript.shown[at]
        self.expect("comes after")

    def test_a_line_that_is_missing_and_not_told(self):
        self.lose(self.plain[1], "a1", [4])
        self.expect("lacks a1/0.0 4")

    def test_a_last_line_that_is_missing(self):
        self.shown.pop()
        self.expect("lacks 1 lines, and is told of 0")

    def test_a_gap_that_is_told_exactly_passes(self):
        at = self.lose(self.plain[1], "a1", [4, 5, 6])
        self.shown.insert(at, told(3))
        self.assertEqual(self.faults(), [])

    def test_gaps_of_two_servers_pass(self):
        at = self.lose(self.plain[1], "a1", [4, 5, 6])
        self.shown.insert(at, told(3))
        at = self.lose(self.plain[1], "c1", [4, 5])
        self.shown.insert(at, "** 2 lines of others were lost between the servers")
        self.assertEqual(self.faults(), [])

    def test_a_gap_that_is_told_with_too_many(self):
        self.shown.insert(self.lose(self.plain[1], "a1", [4, 5, 6]), told(4))
        self.expect("lacks 3 lines, and is told of 4")

    def test_a_gap_that_is_told_with_too_few(self):
        self.shown.insert(self.lose(self.plain[1], "a1", [4, 5, 6]), told(2))
        self.expect("lacks a1/0.0 6")

    def test_a_gap_that_is_told_too_late(self):
        self.shown.insert(self.lose(self.plain[1], "a1", [4, 5, 6]) + 1, told(3))
        self.expect("lacks a1/0.0 4")

    def test_a_line_that_nobody_said(self):
        for transcript in self.plain + self.tracked:
            transcript.shown.append("client-0> a1/0.0 10")
        self.expect("nobody said a1/0.0 10")

    def test_a_connection_that_nobody_had(self):
        self.shown.append("client-7> a1/7.0 0")
        self.expect("nobody said a1/7.0 0")

    def test_a_line_that_nobody_heard(self):
        self.connections[2].text()
        self.expect("nobody heard c1/2.0 10")

    def test_the_last_lines_of_a_connection_that_broke_may_be_lost(self):
        self.connections[2].text()
        self.connections[2].is_whole = False
        self.assertEqual(self.faults(), [])

    def test_no_other_lines_of_a_connection_that_broke_may_be_lost(self):
        self.connections[0].is_whole = False
        for transcript in self.plain + self.tracked:
            self.lose(transcript, "a1", [4])
        self.expect("nobody heard a1/0.0 4, but lines after it")

    def test_a_transcript_that_begins_late_or_ends_early_passes(self):
        self.plain[0].is_late = True
        del self.plain[0].shown[:7]
        self.plain[2].is_ended = True
        del self.plain[2].shown[20:]
        self.assertEqual(self.faults(), [])

    def test_a_late_transcript_has_all_from_then_on(self):
        self.plain[1].is_late = True
        del self.shown[:7]
        del self.shown[3]
        self.expect("lacks")

    def test_a_witness_that_heard_nothing(self):
        self.shown.clear()
        self.expect("heard nothing")

    def test_a_name_that_is_another_one_elsewhere(self):
        self.shown[6] = self.shown[6].replace("client-0", "client-9")
        self.expect("elsewhere of client-0")

    def test_a_number_of_two_connections(self):
        for transcript in self.plain + self.tracked:
            transcript.shown[:] = [shown.replace("client-2>", "client-0>") for shown in transcript.shown]
        self.expect("is a name of two")

    def test_a_position_of_two_records(self):
        self.tracked[1].shown[0] = STAMP.replace(".0", ".1")
        self.expect("at 0000000000007.1 tracked at b1")

    def test_a_record_that_one_server_does_not_count(self):
        for transcript in self.tracked[:2]:
            transcript.shown.insert(3, "* ana joined")
        self.expect("at 0000000000007.2")

    def test_a_fault_is_found_wherever_it_is(self):
        good = copy.deepcopy(self.plain[1].shown)
        for at in range(len(good) - 1):
            self.shown[:] = good
            self.shown[at], self.shown[at + 1] = self.shown[at + 1], self.shown[at]
            self.expect("no one order")
            self.shown[:] = good
            del self.shown[at + 1]
            self.expect("lacks")


if __name__ == "__main__":
    unittest.main()
