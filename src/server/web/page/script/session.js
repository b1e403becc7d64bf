// The tracked session: what outlives a connection. Lines of the server go in, events come out. Pure.

const SESSION_LINE =
  /^\*\* session (?<token>[A-Za-z0-9]+) heard (?<heard>[\d,]+) at (?<epoch>\S+)\.(?<number>\d+) as (?<name>\S+)$/;
const STAMP = /^@ (?<time>\d+) (?<epoch>\S+)\.(?<number>\d+)$/;

/** The answers to `/track` of an older server, and of `--audience sender`. */
const UNTRACKED = /^(?:there is no command \/track; |nothing to track: )/;

/** A position that no server has: it is answered with the history. */
const NOWHERE = '0.0';

const EPOCHS_MAX = 100;

/**
 * A session on a server that tracks: its token, how far the page has read, and which own lines have arrived. It asks each
 * connection with `/track`, and passes the lines of a server that does not track on as they are.
 *
 * `mode` is 'off', 'asking' until `/track` is answered, 'plain' or 'tracked'. A line to the server is
 * `{ text, isCommand, isQuiet }`; `isQuiet` is that of the page itself, which is not sent again.
 */
class Session {
  constructor() {
    this.seen = new Map();      // for each epoch, the number of the first record that has not come
    this.mode = 'off';
    this.forget();
  }

  /** Forgets the session, but not which records have come. Returns the lines that may not have arrived. */
  forget() {
    const lost = this.sent?.filter(({ line }) => !line.isQuiet).map(({ line }) => line);
    this.token = '';
    this.place = null;          // { epoch, number } of the next record
    this.time = 0;              // of the newest stamp
    this.name = '';             // the own name at this place
    this.sent = [];             // { n, line } of the lines without a record, in order; `n` counts as the server does
    this.next = 1;              // `n` of the next line
    this.isGapped = false;      // whether records before the mark may be missing
    this.offset = 0;            // the clock of the server minus that of the browser
    return lost ?? [];
  }

  /** Begins a connection. Returns its first line; nothing else is said before the event `ready`. */
  begin() {
    this.mode = 'asking';
    this.early = [];            // what came before the answer
    this.head = [];             // what tells about the place that the next stamp names
    this.mark = null;           // { epoch, number, heard, name } of the newest session line, until it is reached
    this.border = null;         // { epoch, number }: records before it are older than this connection, or this room
    this.history = null;        // { lines, isShown } while a history arrives
    if (!this.token) return '/track\n';
    return `/track ${this.place ? `${this.place.epoch}.${this.place.number}` : NOWHERE} ${this.token}\n`;
  }

  /** Ends the connection. Returns the events of what came before an answer that never did. */
  end() {
    const early = this.mode === 'asking' ? this.early : [];
    this.mode = 'off';
    return early;
  }

  /** Takes note of a line that is handed to the connection. `/track` does not count. */
  say(line) {
    if (this.mode === 'tracked' && !/^\/track(?:[ \t]|$)/i.test(line.text)) this.sent.push({ n: this.next++, line });
  }

  /** Returns the first lines that were said and whose record has not come. */
  waiting(max) {
    const lines = [];
    for (const { line } of this.sent) {
      if (lines.length === max) break;
      if (isSaid(line)) lines.push(line);
    }
    return lines;
  }

  /** Takes note that the server refused a line: it has no record to come. */
  refuse(line) {
    this.sent = this.sent.filter((entry) => entry.line !== line);
  }

  /** Takes a line of the server, at this time of the browser. Returns what it tells, as events. */
  hear(text, now) {
    if (this.mode === 'plain') return [readLine(text)];
    const session = SESSION_LINE.exec(text)?.groups;
    if (session) return this.hearSession(session);
    if (this.mode === 'asking') return this.hearEarly(text);
    if (text.startsWith('** ')) return this.hearPrivate(readLine(text), now);
    if (text === 'FIN') return [readLine(text)];
    const stamp = STAMP.exec(text)?.groups;
    return stamp ? this.hearStamp(stamp, now) : this.hearRecord(readLine(text));
  }

  /** Lines before the answer are those of a server that does not track, or come again in the dialect. */
  hearEarly(text) {
    const heard = readLine(text);
    if (heard.kind !== 'other' || !UNTRACKED.test(heard.notice)) {
      this.early.push(heard);
      return [];
    }
    this.mode = 'plain';
    return [{ kind: 'ready', isTracked: false, again: [], lost: this.forget() }, ...this.early];
  }

  hearSession({ token, heard, epoch, number, name }) {
    const isAnswer = this.mode === 'asking';
    const isSame = token === this.token;
    const lost = isSame ? [] : this.forget();
    this.mode = 'tracked';
    this.token = token;
    this.mark = { epoch, number: Number(number), heard: Number(heard.replaceAll(',', '')), name };
    if (isAnswer || epoch !== this.place?.epoch) this.border = this.mark;
    const isRenamed = isSame && this.name !== '' && this.name !== name;
    this.name ||= name;
    const events = [];
    if (isAnswer) {
      const again = this.sent.filter(({ n, line }) => n > this.mark.heard && !line.isQuiet).map(({ line }) => line);
      this.sent = this.sent.filter(({ n }) => n <= this.mark.heard);
      this.next = this.mark.heard + 1;
      events.push({ kind: 'ready', isTracked: true, isResumed: isSame, isRenamed, name, again, lost });
    } else {
      this.sent = this.sent.filter(({ n, line }) => n > this.mark.heard || !line.isCommand);
    }
    // After a resume, a gap or a move the place is not known before the stamp: it reaches the mark then.
    return isAnswer ? events : [...events, ...this.settle()];
  }

  hearPrivate(heard, now) {
    // With a stamp behind them these are one unit: if it does not come, they are told again.
    if (['missed', 'cannotResume', 'earlier', 'placed'].includes(heard.kind)) {
      this.head.push(heard);
      return [];
    }
    if (heard.kind === 'resumed') return [];
    if (heard.kind === 'renamed' && heard.from === this.name) this.name = heard.to;
    return [{ ...heard, at: now + this.offset, isPrivate: true }];
  }

  hearStamp({ time, epoch, number }, now) {
    this.place = { epoch, number: Number(number) };
    this.time = Number(time);
    const { head } = this;
    this.head = [];
    for (const { kind, lines } of head) {
      if (kind === 'earlier') this.history = { lines: this.seen.has(epoch) ? 0 : lines, isShown: false };
      if (kind === 'missed' || kind === 'cannotResume') this.isGapped = true;
    }
    if (this.isPast(this.border) && head.length === 0) this.offset = this.time - now;
    const told = head.filter(({ kind }) => kind !== 'earlier');
    // Where the page is comes first: what it missed is missing there.
    told.sort((one, other) => (other.kind === 'placed') - (one.kind === 'placed'));
    return [...told, ...this.settle()];
  }

  hearRecord(heard) {
    const place = this.place ??= { epoch: '', number: 0 };
    const isNews = this.isPast(this.border);
    const { epoch, number } = place;
    place.number += 1;
    if (number < (this.seen.get(epoch) ?? 0)) return this.settle();
    this.seen.delete(epoch);
    this.seen.set(epoch, number + 1);
    if (this.seen.size > EPOCHS_MAX) this.seen.delete(this.seen.keys().next().value);
    const isOwn = this.isOwn(heard.from);
    const record = { ...heard, at: this.time, isRecord: true, isNews, isEarlier: !isNews && this.history !== null, isOwn };
    const events = [];
    if (record.isEarlier && !this.history.isShown) {
      this.history.isShown = true;
      events.push({ kind: 'earlier', lines: this.history.lines });
    }
    if (heard.kind === 'renamed' && isOwn) this.name = heard.to;
    if (heard.kind === 'joined' && this.isIntroducedAs(heard.name)) this.name = heard.name;
    if (heard.kind === 'said' && isOwn) events.push(...this.take(record));
    return [...events, record, ...this.settle()];
  }

  /** While records may be missing, so may be the own renaming. */
  isOwn(from) {
    return from !== undefined && (from === this.name || (this.isGapped && from === this.mark?.name));
  }

  /** Whether a client that joins is this one. A renaming before it is private, and may have been lost. */
  isIntroducedAs(name) {
    const isAsked = ({ line }) => /^\/nick[ \t]+(\S+)/i.exec(line.text)?.[1] === name;
    return /^client-/.test(this.name) && (name === this.mark?.name || this.sent.some(isAsked));
  }

  /** Finds the own line of a record. Lines before it have none to come, or theirs is missing. */
  take(record) {
    const at = this.sent.findIndex(({ line }) => isSaid(line) && visible(line.text) === visible(record.text));
    if (at < 0) return [];
    const done = this.sent.splice(0, at + 1);
    record.line = done.pop().line;
    return this.takenOf(done);
  }

  takenOf(entries) {
    const said = entries.filter(({ line }) => isSaid(line));
    return said.map(({ line }) => ({ kind: 'taken', line, isRefused: !this.isGapped }));
  }

  /** At the mark, all lines that the server had taken by then have their records, or none to come. */
  settle() {
    if (!this.mark || !this.isPast(this.mark)) return [];
    const { heard, name } = this.mark;
    const done = this.sent.filter(({ n }) => n <= heard);
    if (done.length > 0) this.sent = this.sent.filter(({ n }) => n > heard);
    const events = this.takenOf(done);
    if (this.history?.isShown) events.push({ kind: 'caughtUp' });
    Object.assign(this, { name, mark: null, history: null, isGapped: false });
    return events;
  }

  isPast(mark) {
    return !mark || (this.place !== null && this.place.epoch === mark.epoch && this.place.number >= mark.number);
  }
}

function isSaid({ isCommand, isQuiet }) {
  return !isCommand && !isQuiet;
}

/** A text without what the server may drop or replace. */
function visible(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}\uFFFD]/gu, '');
}
