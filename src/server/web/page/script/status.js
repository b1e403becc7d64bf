// What the page shows of its connection, all of it derived from the state.

function showState() {
  const isRenaming = state === 'on' && $('name').value.trim() !== '' && $('name').value.trim() !== me;
  document.body.dataset.state = state;
  put('state', {
    off: why || 'Not connected',
    asked: 'Asked for a password',
    connecting: `Connecting to ${address?.host}…`,
    on: me ? `Connected as ${me}` : 'Connected',
    waiting: `${why}: trying again`,
  }[state]);
  $('countdown').textContent = state === 'on' && isReclaiming() ? `until ${wanted} is free` : '';
  $('server').readOnly = state !== 'off';
  $('connect').textContent = { off: 'Connect', on: 'Rename', waiting: 'Try now' }[state] ?? '';
  $('connect').hidden = state === 'connecting' || state === 'asked' || (state === 'on' && !isRenaming);
  $('disconnect').hidden = state === 'off';
  showToken();
}
