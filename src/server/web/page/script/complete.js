// The completion of names and commands. Pure.

const COMMANDS = ['/msg', '/me', '/nick', '/who', '/join', '/rooms', '/ignore',
  '/unignore', '/help', '/say', '/history', '/search', '/quit'];

/** Returns what may stand in the place of the word before the caret: `{ from, options }`. */
function completionsOf(text, caret, names) {
  const word = /[^\s]*$/u.exec(text.slice(0, caret))[0];
  const from = caret - word.length;
  const mark = word.startsWith('@') ? '@' : '';
  const beginning = folded(word.slice(mark.length));
  if (word === '') return { from, options: [] };
  const begins = (name) => folded(name).startsWith(beginning);
  if (from === 0 && word.startsWith('/')) return { from, options: COMMANDS.filter(begins).map((command) => `${command} `) };
  const end = from === 0 && !mark ? ': ' : ' ';
  return { from, options: names.filter(begins).map((name) => mark + name + end) };
}
