import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PAGES, scriptFiles, sourceOf as sourceOfPage } from './load.mjs';

/** The variables that a file declares at its outermost level. */
const variablesOf = (source) => Array.from(source.matchAll(/^let (\w+)/gm), ([, name]) => name);

/** A source without its comments. */
const code = (source) => source.replace(/^ *\/\*[^]*?\*\/$/gm, '').replace(/(^| )\/\/ .*$/gm, '');

for (const page of PAGES) {
  const sourceOf = (file) => sourceOfPage(file, page);

  test(`${page}: only the file that declares a variable assigns to it`, () => {
    const files = scriptFiles(page);
    const owners = files.flatMap((file) => variablesOf(sourceOf(file)).map((name) => [name, file]));
    assert.ok(owners.length > 9, 'the variables are found');
    for (const [name, owner] of owners) {
      for (const file of files.filter((file) => file !== owner)) {
        const assigns = new RegExp(`(?<![.\\w]|const |let )${name} (?:[-+*/?]{0,2})=(?![=>])`);
        assert.doesNotMatch(code(sourceOf(file)), assigns, `${file} assigns ${name} of ${owner}`);
      }
    }
  });

  test(`${page}: every name of the shared scope is declared once`, () => {
    const declared = new Map();
    for (const file of scriptFiles(page)) {
      for (const [, name] of sourceOf(file).matchAll(/^(?:let|const|class|function) (\w+|\$)/gm)) {
        assert.equal(declared.get(name), undefined, `${name} of ${file}`);
        declared.set(name, file);
      }
    }
  });

  test(`${page}: the files say what they own, and can be read at a sitting`, () => {
    for (const file of scriptFiles(page)) {
      const source = sourceOf(file);
      assert.match(source, /^('use strict';\n)?\/\/ [A-Z]/, file);
      assert.ok(source.split('\n').length < 250, file);
    }
  });

  test(`${page}: no text becomes HTML or code`, () => {
    const unsafe = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/;
    for (const file of scriptFiles(page)) {
      assert.doesNotMatch(code(sourceOf(file)), unsafe, file);
    }
  });

  test(`${page}: no text has an indentation or a comment, which the page leaves out`, () => {
    for (const file of scriptFiles(page)) {
      for (const line of code(sourceOf(file)).split('\n')) {
        assert.equal(line.replaceAll('\\`', '').split('`').length % 2, 1, `${file}: ${line}`);
        const [before] = line.split(/ {2,}\/\//);
        const quotes = before === line ? [] : ["'", '`'];
        for (const quote of quotes) assert.equal(before.split(quote).length % 2, 1, `${file}: ${line}`);
      }
    }
  });

  test(`${page}: no template has another one within it, which the page would shorten`, () => {
    for (const file of scriptFiles(page)) {
      for (const line of code(sourceOf(file)).split('\n')) {
        for (const [, inside] of line.matchAll(/\$\{([^}]*)/g)) assert.ok(!inside.includes('`'), `${file}: ${line}`);
      }
    }
  });
}
