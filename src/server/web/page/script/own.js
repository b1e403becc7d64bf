// Own lines of a session: those under way, those that wait, and those of a lost session. Pure.

/** Until a line has its record, it is in one of three lists, in the order in which they are said. */
class OwnLines {
  /** Forgets all lines. Returns those of the person. */
  forgetLines() {
    const lost = [this.lost?.entries ?? [], (this.held ?? []).map((line) => ({ line })), this.sent ?? []].flat();
    this.lost = null;           // the lines of the session before, while its log is read on
    this.held = [];             // lines to say once it is read
    this.sent = [];             // { n, line, until } of the lines without a record, in order; `n` counts as the server
                                // does, and the record of a line that is taken comes before `until`
    this.next = 1;              // `n` of the next line
    this.heard = 0;             // `n` of the last line that the server is known to have taken
    return lost.map(({ line }) => line).filter(({ isQuiet }) => !isQuiet);
  }

  /** Takes note of a line that is handed to the connection. `/track` does not count. */
  say(line) {
    if (this.mode === 'tracked' && !/^\/track(?:[ \t]|$)/i.test(line.text)) this.sent.push({ n: this.next++, line });
  }

  /** Whether lines must wait: earlier ones are said first, if they are said again at all. */
  get holdsLines() {
    return this.held.length > 0 || this.isUndecided;
  }

  /** Whether records decide which lines are said again. */
  get isUndecided() {
    return this.mode === 'tracked' && this.lost !== null && this.lost.entries.length > 0;
  }

  /** Keeps lines until they may be said. */
  hold(lines) {
    this.held.push(...lines);
  }

  /** Returns the lines that were kept. */
  release() {
    return this.held.splice(0);
  }

  /** Returns the first lines that were said and whose record has not come. */
  waiting(max) {
    const lines = [];
    for (const entry of [this.lost?.entries ?? [], this.held.map((line) => ({ line })), this.sent].flat()) {
      if (lines.length === max) break;
      if (isSaid(entry.line)) lines.push(entry.line);
    }
    return lines;
  }

  /** Takes note that the server refused a line: it has no record to come. */
  refuse(line) {
    this.sent = this.sent.filter((entry) => entry.line !== line);
  }

  /** The server knows another session, which may read on. Returns the lines that may not have arrived. */
  loseSession() {
    if (!this.place) return this.forget();
    const { entries, elsewhere } = lostEntries(this.sent, this.heard, this.isMoving);
    const log = this.isMoving ? this.place.epoch : this.log || this.place.epoch;
    const names = [this.name, this.mark?.name ?? this.name];
    // Nothing was said while lines of a session before were undecided.
    if (!this.lost?.entries.length) this.lost = new LostLines({ entries, names, log });
    assign(this, { sent: [], next: 1, name: '', isGapped: false });
    return elsewhere;
  }

  /** The records of the lost session are over. Returns what they tell of its lines. */
  endLost(isGone) {
    if (!this.lost) return [];
    const { taken, again, lost } = this.lost.sorted(isGone);
    this.lost = null;
    this.held.unshift(...again);
    const events = taken.map((line) => ({ kind: 'taken', line, isRefused: false }));
    return [...events, { kind: 'decided', lost }];
  }

  /** At the place where the log of the lost session is over, its lines are decided. */
  followLost() {
    return this.lost?.reach(this.place, this.mark ?? this.place) ? this.endLost(false) : [];
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
}

const isSaid = ({ isCommand, isQuiet }) => !isCommand && !isQuiet;

/** A text without what the server may drop or replace. */
const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}\uFFFD]/gu, '');
