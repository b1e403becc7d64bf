// What the person types, presses and clicks; and the start of the page.

let sent = '';                 // the text that was sent last; the up arrow brings it back

function submitDraft() {
  const text = $('draft').value;
  if (text.trim() === '' || askAbout(text)) return;
  sendDraft(text);
}

/** Sends the draft, read as `text`. Keeps it if it cannot be sent. */
function sendDraft(text) {
  const problem = say(text);
  showProblem(problem);
  if (problem) return;
  dropQuestion();
  sent = $('draft').value;
  $('draft').value = '';
  goToEnd();
}

function answerQuestion(text) {
  sendDraft(text);
  $('draft').focus();
}

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  submitDraft();
  $('draft').focus();
});

$('draft').addEventListener('keydown', (event) => {
  // While an input method composes a word (Chinese, Japanese, Korean), Enter accepts the word.
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
    submitDraft();
  } else if (event.key === 'ArrowUp' && $('draft').value === '') {
    $('draft').value = sent;
  } else if (event.key === 'PageUp' || event.key === 'PageDown') {
    log.scrollBy(0, (event.key === 'PageUp' ? -0.9 : 0.9) * log.clientHeight);
  } else {
    return;
  }
  event.preventDefault();
});

$('draft').addEventListener('input', dropQuestion);
$('as-text').addEventListener('click', () => answerQuestion($('draft').value));
$('as-command').addEventListener('click', () => answerQuestion(disguisedCommand($('draft').value) || $('draft').value));

$('door').addEventListener('submit', (event) => {
  event.preventDefault();
  if (state === 'off') return connect();
  want($('name').value.trim());
  if (state === 'waiting') openSocket();
  $('draft').focus();
  if (isOn()) requestName(0);
});

$('disconnect').addEventListener('click', () => {
  leave('Not connected: you left');
  $('connect').focus();
});

$('name').addEventListener('input', () => markName(true));
$('server').addEventListener('input', () => { $('server').ariaInvalid = false });
$('who').addEventListener('click', () => openPeople($('people').hidden));
$('end').addEventListener('click', () => { goToEnd(); $('draft').focus() });
$('again').addEventListener('click', sendAgain);
$('forget').addEventListener('click', forgetUnsent);

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing) return;
  if (!$('people').hidden) {
    openPeople(false);
    $('who').focus();
  } else {
    goToEnd();
    $('draft').focus();
  }
});

document.addEventListener('visibilitychange', () => {
  // No later event is sure to reach a page that is reloaded, put away or closed.
  if (document.hidden) return storeTab();
  clearUnread();
  lookAgain();
});
addEventListener('pagehide', putAway);
// The browser kept the page for a way back, without its connection. The tab may have been in another room since.
addEventListener('pageshow', ({ persisted }) => { if (persisted && state !== 'off') location.reload() });
addEventListener('online', lookAgain);
visualViewport.addEventListener('resize', () => {
  // Safari lays a phone's keyboard over the page. A zoomed page keeps its height.
  document.body.style.height = visualViewport.scale === 1 ? `${visualViewport.height}px` : '';
});

const tab = storedTab();
$('server').value = tab.server ?? ownAddress(location);
$('name').value = tab.name ?? '';
$('draft').value = tab.draft ?? '';
$(tab.isIn ? 'draft' : 'name').focus();
showState();
aim();
restoreSessionOf(tab);
restoreUnsent(linesKept(tab.unsent));
if (tab.isIn) resume(tab.isHere);
