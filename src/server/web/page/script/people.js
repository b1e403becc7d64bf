// The list of the people in the room. The page asks for them once the person does something: asking counts as saying
// something, and an unused page is to time out (`--idle-timeout`).

const isWide = matchMedia('(min-width: 62.5rem)');
let isPanelDue = false;
let seekTimer = 0;             // of the question to the server for a name
const roster = new Roster(rosterChanged);

function askWho(name = '') {
  ask(`/who ${name}`.trim());
  roster.asked(false);
}

/** Searches the names that the page knows, and, once the person stops typing, those that only the server knows. */
function seek() {
  rosterChanged();
  clearTimeout(seekTimer);
  const name = $('seek').value.trim();
  if (roster.unnamed && NAME.test(name)) seekTimer = setTimeout(() => { if (isOn()) askWho(name) }, SECOND / 3);
}

function rosterChanged() {
  if (isPanelDue) return;
  isPanelDue = true;
  requestAnimationFrame(showRoster);
}

function showRoster() {
  isPanelDue = false;
  $('who').textContent = roster.isCounted ? `${grouped(roster.size)} here` : 'People';
  if ($('people').hidden) return;
  const sought = folded($('seek').value.trim());
  const found = [...roster.names].filter((name) => folded(name).includes(sought)).sort(byName);
  const shown = found.slice(0, ROWS_MAX);
  const more = found.length - shown.length + (sought ? 0 : roster.unnamed);
  const others = more ? `and ${grouped(more)} more` : '';
  put('others', found.length === 0 && sought ?
    `No ${$('seek').value.trim()} among ${count(roster.names.size, 'name')}` : others);
  // Rows that stay keep their elements: a person may be about to press one.
  const before = Array.from($('names').children);
  const kept = new Map(before.map((row) => [row.textContent, row]));
  const rows = shown.map((name) => kept.get(labelOf(name)) ?? rosterRow(name));
  if (rows.length === before.length && rows.every((row, at) => row === before[at])) return;
  const focused = document.activeElement;
  $('names').replaceChildren(...rows);
  if (focused.isConnected) focused.focus();
}

const labelOf = (name) => name === me ? `${name} (you)` : name;

function rosterRow(name) {
  if (name === me) return make('li', '', make('p', '', labelOf(name)));
  const button = make('button', '', make('bdi', '', name));
  button.title = `Talk to ${name} alone`;
  button.style.setProperty('--hue', hueOf(name));
  on(button, 'click', () => {
    // On a small screen the panel covers the log.
    if (!isWide.matches) openPeople(false);
    talkAside(name);
  });
  return make('li', '', button);
}

function openPeople(isOpen) {
  $('people').hidden = !isOpen;
  $('who').ariaExpanded = isOpen;
  if (isOpen && isOn()) askWho();
  rosterChanged();
}

/** The person is at work on the page: its list of people has to be right. */
function noticeUse() {
  if (isOn() && !$('people').hidden && !roster.isCounted && roster.questions.length === 0) askWho();
}

/** A wide screen has the list beside the log. */
function fitPeople() {
  $('people').hidden = !isWide.matches;
  $('who').ariaExpanded = isWide.matches;
  rosterChanged();
}
