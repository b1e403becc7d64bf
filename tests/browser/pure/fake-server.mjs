// A server that tracks, as a script of a test moves it. It keeps the tape of each room and the sessions, and knows
// nothing of bytes and time: `times` says when records are said.

const HOUR = 3_600_000;

export class FakeServer {
  /** `isShared`: other servers share the rooms, so each second of a room begins an epoch. */
  constructor({ history = 0, kept = Infinity, isShared = false } = {}) {
    Object.assign(this, { history, kept, isShared, rooms: new Map(), sessions: new Map(), members: 0, at: HOUR });
  }

  room(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, new Room(name, this.isShared));
    return this.rooms.get(name);
  }

  /**
   * Crashes, and begins again with its journal: all rooms and records, and no session. Or another server that shares the
   * rooms goes on.
   */
  restart() {
    this.sessions.clear();
    for (const room of this.rooms.values()) room.restart();
  }

  /** Says a record in a room. Each is said in a second of its own, unless `isSameSecond`. */
  tell(room, text, { isSameSecond = false } = {}) {
    this.at += isSameSecond ? 1 : 1000;
    room.add({ text, at: this.at });
    for (const reader of room.readers) reader.read();
  }

  connect(say) {
    return new Connection(this, say);
  }
}

class Room {
  constructor(name, isShared) {
    Object.assign(this, { name, isShared, records: [], readers: new Set(), runs: [{ epoch: `e-${name}.x`, first: 0 }] });
  }

  /** Whether positions count without a session. */
  get isKept() {
    return !this.isShared && this.runs.length > 1;
  }

  restart() {
    this.readers.clear();
    if (this.isShared) return;
    this.runs.push({ epoch: `r${this.runs.length}-${this.name}.x`, first: this.records.length });
  }

  add(record) {
    const { records, runs } = this;
    const last = records.at(-1);
    records.push(record);
    if (!this.isShared || (last && Math.floor(last.at / 1000) === Math.floor(record.at / 1000))) return;
    // A client knows no order of epochs.
    runs.push({ epoch: `${(record.at * 7919) % 65521}-${this.name}`, first: records.length - 1 });
  }

  /** Whether the record at this place is the first one of an epoch. */
  isFirst(record) {
    return this.runs.some(({ first }) => first === record);
  }

  /** The position of a record. Behind the last one it is in the present run. */
  position(record) {
    const isBehind = record >= this.records.length;
    const { epoch, first } = this.runs.findLast((run) => isBehind || run.first <= record);
    return `${epoch}.${this.isShared ? record - first : record}`;
  }

  /** The record at a position. Behind the last one of an earlier run it is the first of the next. */
  recordAt(epoch, number) {
    const run = this.runs.findIndex((each) => each.epoch === epoch);
    if (run < 0) return -1;
    const { first } = this.runs[run];
    const record = this.isShared ? first + number : Math.max(first, number);
    return run + 1 < this.runs.length ? Math.min(record, this.runs[run + 1].first) : record;
  }
}

class Connection {
  /** `say` takes each line to the client. */
  constructor(server, say) {
    Object.assign(this, { server, say, session: null, room: null, next: 0, second: -1, isFirst: true, isPaused: false });
  }

  /** Takes a whole line of the client. */
  hear(line) {
    const [, position, token] = /^\/track(?: (\S+) (\S+))?$/.exec(line) ?? [];
    const isFirst = this.isFirst;
    this.isFirst = false;
    if (/^\/track/.test(line)) {
      if (this.session) return this.tellSession();
      return this.enter(isFirst ? position : undefined, token);
    }
    if (!this.session) throw new Error(`said before the answer: ${line}`);
    this.session.heard += 1;
    this.obey(line);
  }

  obey(line) {
    const { session, server } = this;
    const [, name] = /^\/nick (\S+)$/.exec(line) ?? [];
    const [, room] = /^\/join (\S+)$/.exec(line) ?? [];
    if (room) return this.move(server.room(room));
    if (name && !session.isKnown) {
      this.say(`** ${session.name} is now ${name}`);
      session.name = name;
      return this.introduce();
    }
    if (name) {
      const before = session.name;
      session.name = name;
      return server.tell(this.room, `* ${before} is now ${name}`);
    }
    if (line.startsWith('/')) return this.say(`** answer to ${line}`);
    if (line.length > 20) return this.say('** line too long (over 20 bytes): not relayed');
    this.introduce();
    server.tell(this.room, `${session.name}> ${line.replace(/[\x01-\x1f\u202e]/g, '\uFFFD')}`);
  }

  introduce() {
    if (this.session.isKnown) return;
    this.session.isKnown = true;
    this.server.tell(this.room, `* ${this.session.name} joined`);
  }

  enter(position, token) {
    const { server } = this;
    const known = server.sessions.get(token);
    const [, old, number] = /^(.*)\.(\d+)$/.exec(position) ?? [];
    // With a journal, a position counts without a session.
    const kept = [...server.rooms.values()].find((room) => room.isKept && room.recordAt(old, 0) >= 0);
    this.session = known ?? { token: `T${server.members}`, heard: 0, name: `client-${++server.members}`, room: kept?.name ?? 'lobby' };
    server.sessions.set(this.session.token, this.session);
    this.session.connection?.leave();
    this.session.connection = this;
    this.room = server.room(this.session.room);
    const { records } = this.room;
    this.tellSession();
    const at = known || kept ? this.room.recordAt(old, Number(number)) : -1;
    const oldest = Math.max(0, records.length - server.kept);
    const { moved } = this.session;
    const left = known && at < 0 ? moved?.from.recordAt(old, Number(number)) ?? -1 : -1;
    if (left >= 0) {
      const missed = moved.end - left;
      this.say(missed > 0 ? `** you missed ${missed} line${missed === 1 ? '' : 's'}` : '** resumed');
      this.place(moved.start, false);
    } else if (at >= 0 && at <= records.length) {
      this.say(at < oldest ? `** you missed ${oldest - at} lines` : '** resumed');
      this.place(Math.max(at, oldest), false);
    } else {
      if (position) this.say('** cannot resume: earlier lines follow');
      this.place(Math.max(oldest, records.length - server.history), true);
    }
  }

  place(next, isNew) {
    const { records, name } = this.room;
    this.say(`** you are ${this.session.name}, in ${name}`);
    const lines = records.length - next;
    if (isNew && lines > 0) this.say(`** ${lines} earlier line${lines === 1 ? '' : 's'}:`);
    this.next = next;
    this.second = records[next - 1]?.at ?? 0;
    this.say(`@ ${this.second} ${this.room.position(next)}`);
    this.room.readers.add(this);
    this.read();
  }

  move(room) {
    this.server.tell(this.room, `* ${this.session.name} left`);
    this.leave();
    this.session.moved = { from: this.room, end: this.room.records.length, start: room.records.length };
    this.session.room = room.name;
    this.room = room;
    this.tellSession();
    this.say(`** you are in ${room.name}, alone`);
    const next = Math.max(0, room.records.length - this.server.history);
    this.place(next, true);
    this.server.tell(room, `* ${this.session.name} joined`);
  }

  tellSession() {
    const { token, heard, name } = this.session;
    this.say(`** session ${token} heard ${heard} at ${this.room.position(this.room.records.length)} as ${name}`);
  }

  read() {
    const { records } = this.room;
    if (this.isPaused) return;
    const oldest = Math.max(0, records.length - this.server.kept);
    if (this.next < oldest) {
      this.tellSession();
      this.say(`** you missed ${oldest - this.next} lines`);
      this.say(`@ ${records[oldest].at} ${this.room.position(oldest)}`);
      this.next = oldest;
    }
    for (; this.next < records.length; this.next += 1) {
      const { text, at } = records[this.next];
      const second = Math.floor(at / 1000);
      const isOther = !this.room.isShared && second !== Math.floor(this.second / 1000);
      if (isOther || this.room.isFirst(this.next)) this.say(`@ ${at} ${this.room.position(this.next)}`);
      this.second = at;
      this.say(text);
    }
  }

  leave() {
    this.room?.readers.delete(this);
  }
}
