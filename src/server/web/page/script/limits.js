'use strict';
// Limits and times of the page, and short names of functions that are used everywhere. Times are in milliseconds.

const { assign } = Object;
const { isArray } = Array;
const { isInteger } = Number;

const SECOND = 1000;

const LINES_MAX = 2000;               // lines in the log; twice as many while a reader is scrolled up
const LINES_PER_FRAME = 40;           // more lines would take longer than a frame or two
const ANNOUNCED_MAX = 20;             // a screen reader is not given more lines than this at once
const GROUP_WITHIN = 300 * SECOND;    // lines of one sender that are closer than this form a group
const PASTED_WITHIN = SECOND / 2;     // lines of one client that are closer than this came at once
const BLOCK_LINES_MAX = 500;          // lines in a block of code, or moves in a fold
const RECALLED_MAX = 200;             // sent texts that the arrow up brings back
const NAMES_MAX = 1000;               // names that the page knows; the others are only counted
const ROWS_MAX = 200;                 // names in the panel; a search finds the others
const RECENT_MAX = 500;               // lines compared with a replayed history, to show none of them twice
const LOG_KEPT_MAX = 500;             // lines of the log kept for a reload...
const LOG_KEPT_BYTES_MAX = 1 << 18;   // ...and their size
const UNDER_WAY_MAX = 100;            // own lines without a record that are shown at the end of the log
const UNDER_WAY_AFTER = 1 * SECOND;   // then such a line is marked
const REPLAY_TIMEOUT = 2 * SECOND;    // a history that is still incomplete is shown as it is

const PAUSE_FIRST = 1 * SECOND;       // before the first attempt to reconnect; doubled for each further one...
const PAUSE_MAX = 30 * SECOND;        // ...up to this
const PAUSE_FIRST_FULL = 60 * SECOND; // the same for a server that is full
const PAUSE_MAX_FULL = 600 * SECOND;
const SEAT_KEPT = 30 * SECOND;        // so long after a break the server keeps the seat and the name by default...
const SEAT_PAUSE_MAX = 4 * SECOND;    // ...and no pause is longer
const STABLE_AFTER = 10 * SECOND;     // a connection that lasted longer resets the pauses
const CONNECT_TIMEOUT = 15 * SECOND;
const ANSWER_TIMEOUT = 10 * SECOND;   // for the reason why a connection did not open
const PROBE_AFTER = 20 * SECOND;      // a connection silent for longer is probed before the page relies on it
const PROBE_TIMEOUT = 10 * SECOND;
const RECLAIM_TIMEOUT = 180 * SECOND; // the server notices a dead connection, and frees its name, within two minutes
const RECLAIM_PAUSE_MAX = 15 * SECOND;
const UNSURE_WITHIN = 2 * SECOND;     // lines sent this shortly before a connection broke may not have arrived

const CLOSED_ELSEWHERE = 4000;        // close code: another connection has taken the session over
const MESSAGE_BYTES_MAX = 65536;      // the server closes the connection on a longer WebSocket message
const BUFFERED_BYTES_MAX = 1 << 18;   // the page queues no more than this on a connection that does not drain
const KEPT_BYTES_MAX = 1 << 19;       // of lines not sent, kept for a reload; a browser keeps some 5 MB in all
const REFUSAL_MAX = 300;              // longest reason that is shown, in UTF-16 code units
