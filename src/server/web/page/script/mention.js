// What a text tells besides its words: that it calls a name, that it is an action, that it is code. Pure.

const LETTER = '[\\p{L}\\p{M}\\p{N}_-]';

/** Whether a text has this name in it, as a whole word or behind `@`, in whatever case. */
function mentions(text, name) {
  // Most lines do not have it at all.
  if (!name || !folded(text).includes(folded(name))) return false;
  return new RegExp(`(?<!${LETTER})${name.normalize()}(?!${LETTER})`, 'iu').test(text.normalize());
}

/** The action in a text that stands between two asterisks, as `/me` writes it; else an empty text. */
const actionIn = (text) => /^\*([^\s*](?:.*[^\s*])?)\*$/su.exec(text)?.[1] ?? '';

/** Whether a line of several that were pasted looks like code. */
const isIndented = (text) => /^(?: {2,}|\t)\s*\S/.test(text);

/** Whether a line begins or ends a block of code. */
const isFence = (text) => /^```[^`]*$/.test(text);
