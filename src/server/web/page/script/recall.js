// The texts that were sent, for the arrows up and down. Pure.

/** Texts without secrets, the oldest first. Between two arrows, one of them stands in the draft. */
class Recall {
  constructor() {
    this.texts = [];
    this.at = 0;                // which text stands in the draft; behind the last one, a new text
    this.draft = '';            // that new text
  }

  add(text) {
    if (text && text !== this.texts.at(-1)) this.texts.push(text);
    if (this.texts.length > RECALLED_MAX) this.texts.shift();
    this.at = this.texts.length;
    this.draft = '';
  }

  /** Goes `by` texts further. Returns the next draft, or null: an edited text stays, and the arrow moves in it. */
  go(by, draft) {
    const isNew = this.at === this.texts.length;
    if (draft !== (isNew ? '' : this.texts[this.at]) && !(isNew && by < 0 && !draft.includes('\n'))) return null;
    const at = this.at + by;
    if (at < 0 || at > this.texts.length) return null;
    if (isNew) this.draft = draft;
    this.at = at;
    return this.texts[at] ?? this.draft;
  }
}
