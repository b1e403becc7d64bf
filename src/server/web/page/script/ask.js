// The question whether a line that looks like a command is one. Until it is answered, the line stays in the draft.

/** Asks, if the draft looks like a command and is none. Returns whether it does. */
function askAbout(text) {
  const command = disguisedCommand(text);
  const [verb] = command.split(/\s/u, 1);
  put('question', command && `Not sent yet: this line does not begin with ${verb}, so everybody would read it.`);
  $('as-text').hidden = $('as-command').hidden = command === '';
  return command !== '';
}

function dropQuestion() {
  askAbout('');
}
