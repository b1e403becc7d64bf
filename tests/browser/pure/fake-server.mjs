// A server that tracks, as a script of a test moves it. It keeps the tape of each room and the sessions, and knows
// nothing of bytes and time: `times` says when records are said.

const HOUR = 3_600_000;

export class FakeServer {
  constructor({ history = 0, kept = Infinity } = {}) {
    Object.assign(this, { history, kept, rooms: new Map(), sessions: new Map(), members: 0, at: HOUR });
  }

  room(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, { name, epoch: `e-${name}.x`, records: [], readers: new Set() });
    return this.rooms.get(name);
  }

  /** Says a record in a room. Each is said in a second of its own, unless `isSameSecond`. */
  tell(room, text, { isSameSecond = false } = {}) {
    this.at += isSameSecond ? 1 : 1000;
    room.records.push({ text, at: this.at });
    for (const reader of room.readers) reader.read();
  }

  connect(say) {
    return new Connection(this, say);
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
    this.session = known ?? { token: `T${server.sessions.size}`, heard: 0, name: `client-${++server.members}`, room: 'lobby' };
    server.sessions.set(this.session.token, this.session);
    this.session.connection?.leave();
    this.session.connection = this;
    this.room = server.room(this.session.room);
    const { records, epoch } = this.room;
    this.tellSession();
    const [, old, number] = /^(.*)\.(\d+)$/.exec(position) ?? [];
    const at = known && old === epoch ? Number(number) : -1;
    const oldest = Math.max(0, records.length - server.kept);
    const { moved } = this.session;
    if (known && moved?.from === old) {
      const missed = moved.end - Number(number);
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
    const { records, epoch, name } = this.room;
    this.say(`** you are ${this.session.name}, in ${name}`);
    const lines = records.length - next;
    if (isNew && lines > 0) this.say(`** ${lines} earlier line${lines === 1 ? '' : 's'}:`);
    this.next = next;
    this.second = records[next - 1]?.at ?? 0;
    this.say(`@ ${this.second} ${epoch}.${next}`);
    this.room.readers.add(this);
    this.read();
  }

  move(room) {
    this.server.tell(this.room, `* ${this.session.name} left`);
    this.leave();
    const { epoch, records } = this.room;
    this.session.moved = { from: epoch, end: records.length, start: room.records.length };
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
    const { epoch, records } = this.room;
    this.say(`** session ${token} heard ${heard} at ${epoch}.${records.length} as ${name}`);
  }

  read() {
    const { records, epoch } = this.room;
    if (this.isPaused) return;
    const oldest = Math.max(0, records.length - this.server.kept);
    if (this.next < oldest) {
      this.tellSession();
      this.say(`** you missed ${oldest - this.next} lines`);
      this.say(`@ ${records[oldest].at} ${epoch}.${oldest}`);
      this.next = oldest;
    }
    for (; this.next < records.length; this.next += 1) {
      const { text, at } = records[this.next];
      const second = Math.floor(at / 1000);
      if (second !== Math.floor(this.second / 1000)) this.say(`@ ${at} ${epoch}.${this.next}`);
      this.second = at;
      this.say(text);
    }
  }

  leave() {
    this.room?.readers.delete(this);
  }
}
