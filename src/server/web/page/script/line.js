// A line of the log as an element. A line is one of
//   { from, text, at, own, ...FLAGS }   said by a client; `at` is 0 if the time is unknown, `late` without a record
//   { parts, at, move, isRefusal }      a notice of texts and names; an answer to a command has no `at`, and `move` is
//                                       the kind of a notice about who comes and goes
//   { rule } or { missed }              a divider

const FLAGS = ['own', 'private', 'earlier', 'failed', 'more', 'mention'];

const clock = new Intl.DateTimeFormat([], { timeStyle: 'short' });
let minute = { is: 0, text: '' };  // the minute that was formatted last

function render(line) {
  const element = rendered(line);
  lineOf.set(element, line);
  return element;
}

function rendered(line) {
  if (line.rule) return make('p', 'rule', line.rule);
  if (line.missed) return make('p', 'note missed', line.missed);
  if (line.parts) return make('p', noteClass(line), ...line.parts.map(isolated), ' ', line.at ? timeOf(line) : '');
  const name = make('bdi', '', line.from);
  const alone = line.own ? ['to ', name, ' alone'] : [name, ' to you alone'];
  const who = make('b', 'who', ...(line.private ? alone : [name]));
  who.style.setProperty('--hue', hueOf(line.from));
  const action = actionIn(line.text);
  const text = make('span', 'text', ...linked(action || line.text));
  text.dir = 'auto';
  line.element = make('p', 'said', who, fateOf(line), text);
  if (line.mention) text.before(make('span', 'unseen', ' mentions you: '));
  line.element.classList.add(...FLAGS.filter((flag) => line[flag]));
  if (action) line.element.classList.add('action');
  return line.element;
}

function noteClass({ move, at, isRefusal }) {
  if (move) return 'note move';
  return isRefusal ? 'note refusal' : `note${at ? '' : ' answer'}`;
}

/** Whether a line belongs to the same group as the line before it. */
function continues(before, line) {
  return before.from === line.from && ['own', 'private', 'earlier'].every((flag) => before[flag] === line[flag]) &&
    line.from !== undefined && line.at - before.at < GROUP_WITHIN && !actionIn(before.text) && !actionIn(line.text);
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
const isolated = (part) => typeof part === 'string' ? part : make('bdi', '', part.name);

function linked(text) {
  return splitAtLinks(text).map((part, at) => {
    if (at % 2 === 0 || !URL.canParse(part)) return part;
    const link = make('a', '', part);
    assign(link, { href: part, target: '_blank', rel: 'noopener noreferrer' });
    return link;
  });
}
