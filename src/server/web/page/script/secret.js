// Secrets of the person: the password of a server, and the tokens of names. Pure.

/** A link that gives its reader a name: `#ana:pcn_…`. No browser sends this part of an address to a server. */
const LINK = /^#(?<name>[^:]+):(?<token>pcn_[A-Za-z0-9]{1,64})$/;

/** A name as servers take it: letters, digits and marks of any script, `_` and `-`. */
const NAME = /^(?!\p{M})[\p{Alphabetic}\p{M}\p{N}_-]{1,24}$/u;

const BLANKS = new RegExp(`${BLANK}+`, 'u');
const BEFORE_VERB = new RegExp(`^${BLANK}*[/\uFF0F\u2044\u2215](?:${BLANK}|/)*`, 'u');

/** Reads the `#…` of an address: `{ name, token }`, or null if it has another form. */
function linkOf(hash) {
  const { name = '', token } = LINK.exec(decoded(hash))?.groups ?? {};
  return NAME.test(name.normalize()) ? { name: name.normalize(), token } : null;
}

/** Whether an address has a token, in a link of whatever form. */
const hasToken = (hash) => decoded(hash).includes('pcn_') || hash.includes('pcn_');

/** Reads a command with a secret: `{ word }` of `/pass`, or `{ name, token }` of `/nick`; null for any other text. */
function secretOf(text) {
  const lines = cleanLinesOf(text);
  if (lines.length !== 1) return null;
  const pass = /^\/pass[ \t]+(?<word>[^ \t].*)$/i.exec(lines[0]);
  const nick = /^\/nick[ \t]+(?<name>[^ \t]+)[ \t]+(?<token>[^ \t].*)$/i.exec(lines[0]);
  if (pass) return { word: trimmed(pass.groups.word) };
  return nick && { name: nick.groups.name, token: trimmed(nick.groups.token) };
}

const trimmed = (text) => text.replace(/[ \t]+$/, '');

/** Whether a text has a secret, or looks as if it should have been a command with one: it is not to be shown again. */
function hasSecret(text) {
  return text.includes('pcn_') || text.split('\n').some((line) => {
    const command = line.replace(BEFORE_VERB, '');
    if (command === line) return false;
    const [verb, first, second] = command.split(BLANKS, 3);
    return Boolean((/^(?:pass|track)$/i.test(verb) && first) || (/^nick$/i.test(verb) && second));
  });
}

/** Whether two names are the same to a server, which takes no notice of case. */
function isSameName(one, other) {
  const all = (name) => folded(folded(name).toUpperCase());
  return all(one) === all(other);
}

/** Reads a secret from the store: an object whose `fields` are texts, none of them empty; else null. */
function secretKept(kept, fields) {
  return fields.every((field) => isText(kept?.[field]) && kept[field]) ? pick(kept, fields) : null;
}
