// The order of positions of different epochs, as their stamps came. Pure.
//
// A log of one server has one epoch until the server is restarted. In a log that several servers share, each second
// begins an epoch, whose records are counted from 0. So a stamp of another epoch with the number 0 that stands behind a
// record goes on in the log of that record. Its records are counted through, and the log is called by its first epoch.

const KNOWN_MAX = 1000;

class Chart {
  constructor() {
    this.logs = new Map();        // for each epoch of a stamp, { epoch, offset }: its log, and the number of its record 0
    this.ahead = [];              // positions of epochs whose stamp has not come
    this.isShared = false;        // whether a log went on in another epoch
    this.home = null;             // a position in the log of the session
  }

  /** Whether records of this log tell nothing of the session: they are of an earlier run of the server. */
  isElsewhere(epoch) {
    return this.home !== null && this.home.epoch !== epoch;
  }

  /** Follows a session to a stamp: returns its position, and finds the log in which the session goes on. */
  pass(position, { place: before, head, mark, shown, isEntry, isNewSession, isReadOn, isMoved }) {
    const missed = isNewSession ? undefined : head.find(({ kind }) => kind === 'missed')?.lines;
    const isNext = head.length === 0 || (isReadOn && head.every(({ kind }) => kind !== 'missed'));
    const place = this.follow(position, { before, shown, missed, isNext, isMoved });
    if (isEntry || head.length > 0) {
      const isInLog = this.isShared || !this.isElsewhere(place.epoch);
      this.home = !isNewSession && !isMoved && isInLog ? { ...place } : mark;
    }
    return place;
  }

  /** Returns a position in its log. That of an epoch whose stamp has not come is completed with the stamp. */
  locate(epoch, number) {
    const known = this.logs.get(epoch);
    if (known) return { epoch: known.epoch, number: known.offset + number };
    const position = { epoch, number };
    this.ahead.push(position);
    if (this.ahead.length > KNOWN_MAX) this.ahead.shift();
    return position;
  }

  /**
   * Returns the position of a stamp in its log: `before` is that of the next record, `missed` the number of records
   * between the two, if the server has told it, and `shown` that of the first record of this log that has not come.
   * `isNext`: the stamp stands behind a record, or at the same place. `isMoved`: the room is another one.
   */
  follow({ epoch, number }, { before, shown = 0, missed, isNext = false, isMoved = false }) {
    let known = this.logs.get(epoch);
    const isSame = known !== undefined && known.epoch === before?.epoch;
    // Entries of two rooms may have the same id.
    if (isMoved ? isSame : known && isNext && number === 0 && before && !isSame) known = undefined;
    if (!known) {
      const isSecond = isNext && number === 0 && before;
      if (isSecond) known = { epoch: before.epoch, offset: Math.max(before.number, shown) };
      else if (missed !== undefined && before) known = { epoch: before.epoch, offset: before.number + missed - number };
      else known = { epoch: isSame ? `${epoch}'` : epoch, offset: 0 };
      this.isShared ||= Boolean(isSecond);
      this.enter(epoch, known);
    }
    return { epoch: known.epoch, number: known.offset + number };
  }

  enter(epoch, known) {
    this.logs.delete(epoch);
    this.logs.set(epoch, known);
    if (this.logs.size > KNOWN_MAX) this.logs.delete(this.logs.keys().next().value);
    const isOfIt = (position) => position.epoch === epoch;
    for (const position of this.ahead.filter(isOfIt)) {
      assign(position, { epoch: known.epoch, number: known.offset + position.number });
    }
    this.ahead = this.ahead.filter((position) => !isOfIt(position) && position.epoch !== known.epoch);
  }
}
