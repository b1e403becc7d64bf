// What the page shows of its connection, all of it derived from the state.

function showState() {
  const isRenaming = state === 'on' && $('name').value.trim() !== '' && $('name').value.trim() !== me;
  document.body.dataset.state = state;
  document.body.classList.toggle('on', state === 'on');
  const told = {
    off: why || 'Not connected',
    asked: 'Asked for a password',
    connecting: `Connecting to ${address?.host}…`,
    on: me ? `Connected as ${me}` : 'Connected',
    waiting: `${why}: trying again`,
  }[state];
  // Beside the green mark the name alone is enough to see.
  if ($('state').textContent !== told) {
    $('state').replaceChildren(...(state === 'on' && me ?
      [make('span', 'unseen', 'Connected as '), make('bdi', '', me)] : [told]));
  }
  $('countdown').textContent = state === 'on' && isReclaiming() ? `until ${wanted} is free` : '';
  $('server').readOnly = state !== 'off';
  $('connect').textContent = { off: 'Connect', on: 'Rename', waiting: 'Try now' }[state] ?? '';
  $('connect').hidden = state === 'connecting' || state === 'asked' || (state === 'on' && !isRenaming);
  $('disconnect').hidden = state === 'off';
  if (state !== 'on') {
    openMenu(false);
    openRooms(false);
  }
  showToken();
}
