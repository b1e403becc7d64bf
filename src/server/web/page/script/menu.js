// The menu, and what it has: a link to the room, the switches, and the keys and commands.

function openMenu(isOpen) {
  $('panel').classList.toggle('open', isOpen);
  $('more').ariaExpanded = isOpen;
}

/** The form that the person is perhaps typing into moves into the menu. */
function keepFormOpen() {
  if ($('door').contains(document.activeElement)) openMenu(true);
}

const isMenuOpen = () => $('panel').classList.contains('open');

/** Tells what a button of the menu did, or nothing. */
function tell(text) {
  put('told', text);
}

async function share() {
  const { href } = shareLink(address ?? ownSocket(location), location);
  tell(await copyText(href) ? `Copied: ${href}` : href);
}

/** Hides joins and leaves, or shows them. */
function setQuiet(isQuiet) {
  document.body.classList.toggle('quiet', isQuiet);
  $('quiet').ariaPressed = isQuiet;
  prefer('quiet', isQuiet);
  if (follows) stayAtEnd();
}

function openHelp() {
  openMenu(false);
  $('help').showModal();
}

on('more', 'click', () => { tell(''); openMenu(!isMenuOpen()) });
on('share', 'click', share);
on('notify', 'click', toggleNotify);
on('quiet', 'click', () => setQuiet(!document.body.classList.contains('quiet')));
on('to-help', 'click', openHelp);
on('close-help', 'click', () => $('help').close());
on('help', 'close', () => draft.focus());
on(document, 'pointerdown', ({ target }) => {
  if (!$('panel').contains(target) && target !== $('more')) openMenu(false)
});
