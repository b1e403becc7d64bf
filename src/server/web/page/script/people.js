// The panel of the people in the room. The page asks for them when the panel is opened or something is said: asking
// counts as saying something, and an unused page is to time out (`--idle-timeout`).

let isPanelDue = false;
const roster = new Roster(rosterChanged);

function askWho() {
  ask('/who');
  roster.asked(false);
}

function rosterChanged() {
  if (isPanelDue) return;
  isPanelDue = true;
  requestAnimationFrame(showRoster);
}

function showRoster() {
  isPanelDue = false;
  $('who').textContent = roster.isCounted ? `${roster.size.toLocaleString('en')} here` : 'People';
  if ($('people').hidden) return;
  $('others').textContent = roster.unnamed ? `and ${roster.unnamed.toLocaleString('en')} more` : '';
  // Rows that stay keep their elements: a person may be about to press one.
  const before = Array.from($('names').children);
  const rowOf = (name) => before.find((row) => row.textContent === labelOf(name)) ?? rosterRow(name);
  const rows = Array.from(roster.names, rowOf);
  if (rows.length === before.length && rows.every((row, at) => row === before[at])) return;
  const focused = document.activeElement;
  $('names').replaceChildren(...rows);
  if (focused.isConnected) focused.focus();
}

function labelOf(name) {
  return name === me ? `${name} (you)` : name;
}

function rosterRow(name) {
  if (name === me) return make('li', '', make('p', '', labelOf(name)));
  const button = make('button', '', make('bdi', '', name));
  button.type = 'button';
  button.title = `Send ${name} a private message`;
  button.style.setProperty('--hue', hueOf(name));
  button.addEventListener('click', () => {
    $('draft').value = `/msg ${name} ${$('draft').value}`;
    $('draft').focus();
    // On a phone the panel covers the log.
    if (getComputedStyle($('people')).zIndex === '1') openPeople(false);
  });
  return make('li', '', button);
}

function openPeople(isOpen) {
  $('people').hidden = !isOpen;
  $('who').ariaExpanded = isOpen;
  if (isOpen && isOn()) askWho();
  rosterChanged();
}
