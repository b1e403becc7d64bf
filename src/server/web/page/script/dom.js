// The document: finding and making elements. Peers' text is only ever set as text, never as HTML; the
// Content-Security-Policy (hashes, Trusted Types) enforces it.

const $ = (id) => document.getElementById(id);
const draft = $('draft');

/** Calls `act` at each event of this type of an element, or of the one with this id. */
const on = (target, type, act, options) => (isText(target) ? $(target) : target).addEventListener(type, act, options);

/** Calls `act` when a form is sent: it goes nowhere else. */
function onSubmit(id, act) {
  on(id, 'submit', (event) => {
    event.preventDefault();
    act();
  });
}

/** Sets the text of an element. The same text again would be read aloud again. */
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

/** Makes an element with a class and children, which are elements or texts. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Shows what went wrong with what the person just did, or nothing. */
function showProblem(text) {
  put('trouble', text);
}
