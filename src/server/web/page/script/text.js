// Text: sizes, plurals, links and the colours of names. Pure.

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** A text in which case makes no difference. */
const folded = (text) => text.normalize().toLowerCase();

/** The order of names: `guest-9` comes before `guest-10`. */
const byName = new Intl.Collator([], { numeric: true }).compare;

/** A number as people read it: `1,234`. */
const grouped = (n) => n.toLocaleString('en');

/** A number with its noun: `1 line`, `1,234 lines`. */
const count = (n, noun) => `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`;

/** A notice as a sentence of its own, without its full stop. */
const sentence = (notice) => notice[0].toUpperCase() + notice.slice(1);

/** Splits a text at its web addresses, which have the odd indices. */
function splitAtLinks(text) {
  if (!text.includes('://')) return [text];
  return text.split(/(\bhttps?:\/\/[^\s<>"]*[^\s<>"'.,:;!?)\]}])/);
}

/** The hue of a name, in degrees: one of 24, the same on every page. The style sheet adds lightness, for contrast. */
function hueOf(name) {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  return ((hash >>> 8) % 24) * 15;
}
