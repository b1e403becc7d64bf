// A line of the log as an element. A line is one of
//   { from, text, at, own, ...FLAGS }   said by a client; `at` is 0 if the time is unknown, `late` without a record
//   { parts, at }                       a notice of texts and names; an answer to a command has no `at`
//   { rule } or { missed }              a divider

const FLAGS = ['own', 'private', 'earlier', 'failed', 'more'];

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' });
let minute = { is: 0, text: '' };  // the minute that was formatted last

function render(line) {
  if (line.rule) return make('p', 'rule', line.rule);
  if (line.missed) return make('p', 'note missed', line.missed);
  if (line.parts) return make('p', 'note', ...line.parts.map(isolated), ' ', line.at ? timeOf(line) : '');
  const name = make('bdi', '', line.own && !line.private ? 'you' : line.from);
  const alone = line.own ? ['to ', name, ' alone'] : [name, ' to you alone'];
  const who = make('b', 'who', ...(line.private ? alone : [name]));
  who.style.setProperty('--hue', hueOf(line.from));
  if (line.more || (line.own && !line.private)) who.classList.add('unseen');
  const text = make('span', 'text', ...linked(line.text));
  text.dir = 'auto';
  const what = make('span', 'what', text, fateOf(line));
  line.element = make('p', 'said', who, what);
  line.element.classList.add(...FLAGS.filter((flag) => line[flag]));
  return line.element;
}

/** Whether a line belongs to the same group as the line before it. */
function continues(before, line) {
  return before.from === line.from && ['own', 'private', 'earlier'].every((flag) => before[flag] === line[flag]) &&
    line.from !== undefined && line.at - before.at < GROUP_WITHIN;
}

function fateOf(line) {
  if (line.failed) return make('b', 'fate', line.failed);
  return line.late ? make('b', 'fate late', 'under way') : timeOf(line);
}

function timeOf({ at }) {
  if (!at) return make('time', '', 'earlier');
  const date = new Date(at);
  // Formatting is slow, and thousands of lines may share a minute.
  const is = Math.floor(at / (60 * SECOND));
  if (minute.is !== is) minute = { is, text: clock.format(date) };
  const time = make('time', '', minute.text);
  time.dateTime = date.toISOString();
  return time;
}

/** Isolates a name: one that runs from right to left must not reorder the text beside it. */
function isolated(part) {
  return typeof part === 'string' ? part : make('bdi', '', part.name);
}

function linked(text) {
  return splitAtLinks(text).map((part, at) => {
    if (at % 2 === 0 || !URL.canParse(part)) return part;
    const link = make('a', '', part);
    Object.assign(link, { href: part, target: '_blank', rel: 'noopener noreferrer' });
    return link;
  });
}
