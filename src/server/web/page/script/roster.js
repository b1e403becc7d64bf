// Who is in the room, as far as the page knows. Pure.

/**
 * The names in the room, from answers to `/who` and from what the room is told. A large room announces no joins, so
 * the page also learns names from what their owners say.
 */
class Roster {
  constructor(onChange) {
    this.onChange = onChange;
    this.clear();
  }

  clear() {
    this.names = new Set();
    this.unnamed = 0;           // clients in the room that have no name here
    this.isCounted = false;     // whether an answer to `/who` has arrived
    this.questions = [];        // for each `/who` without an answer, whether a person asked it
    this.arriving = null;       // the part of an answer that has arrived: { names, more }
    this.onChange();
  }

  /** Forgets the names: the page has moved to another room. An answer that is due is about that room. */
  leave() {
    const { questions } = this;
    this.clear();
    this.questions = questions;
  }

  get size() {
    return this.names.size + this.unnamed;
  }

  asked(isByPerson) {
    this.questions.push(isByPerson);
  }

  /** Takes a row of an answer to `/who`. Returns whether a person asked for it. */
  takeRow({ kind, name, clients }) {
    this.arriving ??= { names: new Set(), more: 0 };
    if (kind === 'here') this.arriving.names.add(name);
    if (kind === 'hereMore') this.arriving.more = clients;
    if (kind === 'hereFound') return this.takeFound(clients);
    if (kind !== 'hereTotal') return this.questions[0] ?? true;
    this.names = this.arriving.names;
    this.unnamed = this.arriving.more;
    this.arriving = null;
    this.isCounted = true;
    this.onChange();
    return this.questions.shift() ?? true;
  }

  /** The rows were those of `/who NAME`: some of all names. */
  takeFound(clients) {
    for (const name of this.arriving.names) if (this.names.size < NAMES_MAX) this.names.add(name);
    this.unnamed = Math.max(0, clients - this.names.size);
    this.arriving = null;
    this.onChange();
    return this.questions.shift() ?? true;
  }

  add(name) {
    if (this.names.has(name) || this.names.size >= NAMES_MAX) return;
    this.names.add(name);
    this.unnamed = Math.max(0, this.unnamed - 1);
    this.onChange();
  }

  remove(name) {
    if (!this.names.delete(name)) this.unnamed = Math.max(0, this.unnamed - 1);
    this.onChange();
  }

  rename(from, to) {
    if (this.names.delete(from)) this.names.add(to);
    else this.add(to);
    this.onChange();
  }
}
