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
class Session extends OwnLines {
  constructor() {
    super();
    this.seen = new Map();      // for each epoch, the number of the first record that has not come
    this.mode = 'off';
    this.forget();
  }

  /** Forgets the session, but not which records have come. Returns the lines that may not have arrived. */
  forget() {
    const lost = this.forgetLines();
    this.token = '';
    this.place = null;          // { epoch, number } of the next record, as the chart counts the records of a log
    this.position = null;       // the same as the server counts
    this.chart = new Chart();
    this.time = 0;              // of the newest stamp
    this.name = '';             // the own name at this place
    this.given = '';            // the name that the server gave, if it is known
    this.log = '';              // the epoch of the newest session line
    this.isMoving = false;      // whether that is of another room than the place
    this.isGapped = false;      // whether records before the mark may be missing
    this.offset = 0;            // the clock of the server minus that of the browser
    return lost;
  }

  /** Begins a connection. Returns its first line; nothing else is said before the event `ready`. */
  begin() {
    this.mode = 'asking';
    this.early = [];            // what came before the answer
    this.head = [];             // what tells about the place that the next stamp names
    this.mark = null;           // { epoch, number, heard, name } of the newest session line, until it is reached
    this.border = null;         // { epoch, number }: records before it are older than this connection, or this room
    this.history = null;        // { lines, isShown } while a history arrives
    this.isEntry = false;       // whether the next stamp is the first one...
    this.isNewSession = false;  // ...of a session that the page had not
    this.isUnsettled = false;   // whether the records up to the mark tell why the name is a given one...
    this.isNameTaken = false;   // ...and whether another client took the person's
    if (!this.token) return '/track\n';
    const { epoch, number } = this.position ?? {};
    return `/track ${epoch === undefined ? NOWHERE : [epoch, number].join('.')} ${this.token}\n`;
  }

  /** Ends the connection. Returns the events of what came before an answer that never did. */
  end() {
    const early = this.mode === 'asking' ? this.early : [];
    this.mode = 'off';
    return early;
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
    // Only the right answer brings the page on.
    if (heard.kind.startsWith('password')) return [heard];
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
    const lost = isSame ? [] : this.loseSession();
    this.mode = 'tracked';
    this.token = token;
    const at = this.chart.locate(epoch, Number(number));
    this.mark = assign(at, { heard: Number(heard.replaceAll(',', '')), name });
    if (isAnswer) this.border = this.mark;
    if (!isSame) this.chart.home = this.mark;
    this.isNewSession ||= !isSame;
    this.isMoving = !isAnswer && (this.isMoving || at.epoch !== this.log);
    this.log = at.epoch;
    this.heard = this.mark.heard;
    for (const entry of this.sent) if (entry.n <= this.heard) entry.until ??= this.chart.locate(epoch, Number(number));
    const isRenamed = isSame && this.name !== '' && this.name !== name;
    this.name ||= name;
    const events = [];
    if (isAnswer) {
      this.isEntry = true;
      this.isUnsettled = isRenamed && isGiven(name);
      const again = this.sent.filter(({ n, line }) => n > this.mark.heard && !line.isQuiet).map(({ line }) => line);
      this.sent = this.sent.filter(({ n }) => n <= this.mark.heard);
      this.next = this.mark.heard + 1;
      events.push({ kind: 'ready', isTracked: true, isResumed: isSame, isRenamed, name, again, lost });
    } else {
      this.sent = this.sent.filter(({ n, line }) => n > this.mark.heard || !line.isCommand);
      if (this.lost?.answer()) events.push(...this.endLost(false));
    }
    // After a resume, a gap or a move the place is not known before the stamp: it reaches the mark then.
    return isAnswer ? events : [...events, ...this.settle()];
  }

  hearPrivate(heard, now) {
    // With a stamp behind them these are one unit: if it does not come, they are told again.
    if (['missed', 'cannotResume', 'earlier', 'placed', 'resumed'].includes(heard.kind)) {
      this.head.push(heard);
      return [];
    }
    if (heard.kind === 'renamed' && heard.from === this.name) this.name = heard.to;
    // The mark may be in a log that nobody speaks in.
    if (heard.kind === 'renamed' && heard.from === this.mark?.name) this.mark.name = heard.to;
    return [{ ...heard, at: now + this.offset, isPrivate: true }];
  }

  hearStamp({ time, epoch, number }, now) {
    const { head, isEntry, place: before } = this;
    const isReadOn = head.some(({ kind }) => kind === 'resumed' || kind === 'missed');
    const isMoved = !isEntry && head.some(({ kind }) => kind === 'placed');
    this.position = { epoch, number: Number(number) };
    this.place = this.chart.pass(this.position, { ...this, shown: this.seen.get(before?.epoch), isReadOn, isMoved });
    if (this.log === epoch) this.log = this.place.epoch;
    if (isMoved) this.border = this.mark;
    if (isEntry) this.isNewSession = false;
    this.time = Number(time);
    this.head = [];
    this.isEntry = this.isMoving = false;
    if (head.length === 0 && before?.epoch === this.place.epoch && before.number < this.place.number) {
      // The journal has a gap.
      head.push(readLine(`* you missed ${count(this.place.number - before.number, 'line')}`));
    }
    for (const { kind, lines } of head) {
      if (kind === 'earlier') this.history = { lines: this.seen.has(this.place.epoch) ? 0 : lines, isShown: false };
      if (kind === 'missed' || kind === 'cannotResume') this.isGapped = true;
    }
    if (this.isPast(this.border) && head.length === 0) this.offset = this.time - now;
    const told = head.filter(({ kind }) => kind !== 'earlier' && kind !== 'resumed');
    // Where the page is comes first: what it missed is missing there.
    told.sort((one, other) => (other.kind === 'placed') - (one.kind === 'placed'));
    if (this.lost) {
      this.lost.isQuiet = false;
      this.lost.isGapped ||= head.some(({ kind }) => kind === 'missed');
    }
    const decided = isEntry && !isReadOn ? this.endLost(true) : this.followLost();
    return [...told, ...decided, ...this.settle()];
  }

  hearRecord(heard) {
    const place = this.place ??= { epoch: '', number: 0 };
    const isNews = this.isPast(this.border);
    const { epoch, number } = place;
    place.number += 1;
    if (this.position) this.position.number += 1;
    if (number < (this.seen.get(epoch) ?? 0)) return [...this.followLost(), ...this.settle()];
    this.seen.delete(epoch);
    this.seen.set(epoch, number + 1);
    if (this.seen.size > EPOCHS_MAX) this.seen.delete(this.seen.keys().next().value);
    // A record of an earlier log is older than the name, and of no line of this session.
    const isOfEarlierLog = this.chart.isElsewhere(epoch);
    const isOfLost = this.lost !== null && epoch === this.lost.log;
    const isLostOwn = isOfLost && this.lost.names.includes(heard.from);
    const isOwn = isLostOwn || (!isOfEarlierLog && this.isOwn(heard));
    if (this.lost) this.lost.isQuiet = false;
    if (isOfLost) this.lost.follow(heard);
    const record = { ...heard, at: this.time, isRecord: true, isNews, isEarlier: !isNews && this.history !== null, isOwn };
    const events = [];
    if (record.isEarlier && !this.history.isShown) {
      this.history.isShown = true;
      events.push({ kind: 'earlier', lines: this.history.lines });
    }
    if (isLostOwn && heard.kind === 'said') {
      const { line, before } = this.lost.take(record.text, { epoch, number });
      assign(record, line && { line });
      events.push(...before.map((early) => ({ kind: 'taken', line: early, isRefused: false })));
    }
    if (!isOfEarlierLog) events.push(...this.hearOwn(record));
    return [...events, record, ...this.followLost(), ...this.settle()];
  }

  /** Follows the own name, and takes the own line of a record. */
  hearOwn(record) {
    const { kind, to, name, isOwn } = record;
    if (kind === 'renamed' && isOwn) {
      this.isNameTaken ||= isGiven(to);
      this.name = to;
    }
    if (kind === 'joined' && this.isIntroducedAs(name)) this.name = name;
    return kind === 'said' && isOwn && !record.line ? this.take(record) : [];
  }

  /** While records may be missing, so may be the own renaming. A client that loses its name has the given one again. */
  isOwn({ from, to = '' }) {
    const isOfOther = isGiven(to) && this.given !== '' && to !== this.given;
    return from !== undefined && !isOfOther && (from === this.name || (this.isGapped && from === this.mark?.name));
  }

  /** Whether a client that joins is this one. A renaming before it is private, and may have been lost. */
  isIntroducedAs(name) {
    const isAsked = ({ line }) => /^\/nick[ \t]+(\S+)/i.exec(line.text)?.[1] === name;
    return /^client-/.test(this.name) && (name === this.mark?.name || this.sent.some(isAsked));
  }

  /** At the mark, all lines that the server had taken by then have their records, or none to come. */
  settle() {
    if (!this.mark || !this.isPast(this.mark)) return [];
    const { heard, name } = this.mark;
    const done = this.sent.filter(({ n }) => n <= heard);
    if (done.length > 0) this.sent = this.sent.filter(({ n }) => n > heard);
    const events = this.takenOf(done);
    if (this.history?.isShown) events.push({ kind: 'caughtUp' });
    if (this.isUnsettled) events.push({ kind: 'nameSettled', name, isTaken: this.isNameTaken });
    if (isGiven(name)) this.given = name;
    assign(this, { name, mark: null, history: null, isGapped: false, isUnsettled: false });
    return events;
  }

  isPast(mark) {
    return !mark || (this.place !== null && this.place.epoch === mark.epoch && this.place.number >= mark.number);
  }
}
