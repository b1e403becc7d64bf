// Own lines of a lost session, until the records of its log have come: a server that was restarted with its journal
// lets a new session read on. A line with a record there was heard, and one without is said again. If records are
// missing, it may have been heard: it is in doubt. Pure.

class LostLines {
  /** `entries` are `{ line, isTaken, until }` in the order of the lines, `names` the own names, and `log` is the epoch. */
  constructor({ entries, names, log, isWithin = false, isGapped = false }) {
    this.entries = entries;
    this.names = names;
    this.log = log;
    this.isWithin = isWithin;     // whether a record or a stamp of the log has come
    this.isGapped = isGapped;     // whether the record of the next line may be missing
    this.isQuiet = false;         // whether the server has answered, and said no record since
  }

  /** Takes the next position, and that where the new session began. Returns whether the log is over. */
  reach(place, mark) {
    if (place.epoch === mark.epoch && place.number >= mark.number) return true;
    const isInLog = place.epoch === this.log;
    const isOver = !isInLog && (this.isWithin || place.epoch === mark.epoch);
    this.isWithin ||= isInLog;
    return isOver;
  }

  /** Takes a record of the log. Names that leave may be another client's from there on. */
  follow({ kind, from, to, name }) {
    if (kind === 'renamed') this.names = this.names.map((own) => (own === from ? to : own));
    if (kind === 'left' || kind === 'removed') this.names = this.names.filter((own) => own !== name);
  }

  /** Takes an own text at this place. Returns its line, or undefined, and the said lines before it, which were taken. */
  take(text, { epoch, number }) {
    // The record of a line that was taken before this place is missing, and the next line may have the same text.
    const isBehind = (until) => until?.epoch === epoch && number >= until.number;
    const isOf = ({ line, until }) => isSaid(line) && visible(line.text) === visible(text) && !isBehind(until);
    const at = this.entries.findIndex(isOf);
    if (at < 0) return { before: [] };
    const done = this.entries.splice(0, at + 1);
    // Behind a gap it may be that of a later line with the same text.
    this.isGapped &&= this.entries.some(isOf);
    const { line } = done.pop();
    return { line, before: done.map((entry) => entry.line).filter(isSaid) };
  }

  /** Takes an answer of the server. Returns whether it owes no record: it says some between two answers. */
  answer() {
    const { isQuiet } = this;
    this.isQuiet = true;
    return isQuiet;
  }

  /** Returns the lines that were taken, those to be said again, and those in doubt: if the log `isGone`, all others. */
  sorted(isGone) {
    const isDoubtful = ({ line }) => isGone || (this.isGapped && isSaid(line)) || /^\/msg[ \t]/i.test(line.text);
    const linesOf = (entries) => entries.map(({ line }) => line);
    const open = this.entries.filter(({ isTaken }) => !isTaken);
    return {
      taken: linesOf(this.entries.filter(({ isTaken, line }) => isTaken && isSaid(line))),
      again: linesOf(open.filter((entry) => !isDoubtful(entry))),
      lost: linesOf(open.filter(isDoubtful)),
    };
  }
}

/**
 * Divides the lines of a lost session: those whose records decide, and those that no record in the room tells of.
 * Behind a `/join` they were perhaps said in another room; if `isMoving`, all that were not taken by then.
 */
function lostEntries(sent, heard, isMoving) {
  const entries = [];
  const elsewhere = [];
  let isElsewhere = false;
  for (const { n, line, until } of sent.filter(({ line }) => !line.isQuiet)) {
    const isTaken = n <= heard;
    if (isElsewhere || (isMoving && !isTaken)) elsewhere.push(line);
    else entries.push({ line, isTaken, until });
    isElsewhere ||= !isTaken && line.joins !== undefined;
  }
  return { entries, elsewhere };
}
