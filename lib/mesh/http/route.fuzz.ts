// SPDX-License-Identifier: Apache-2.0
// Fuzzes the decisions that meet strangers' bytes: the compiled table against asking every entry in order, paths
// against their own normal form, patterns against their own bounds.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { drawRoutes } from '#lib/testkit/drawn-routes.ts';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { SeededRandom } from '#lib/testkit/random.ts';
import { naiveRoute } from '#lib/testkit/route-oracle.ts';
import { request } from '#lib/testkit/routes.ts';
import { NO_PROOF } from '../proof.ts';
import { compileTable } from './compiled-table.ts';
import { normalisePath } from './path-normalise.ts';
import { NO_SLASH, templateMatches, templateProblem, wildcardMatches } from './path-template.ts';
import { literalPrefix, wholeRegex } from './regex.ts';
import { route } from './route.ts';

const corpus = (name: string): string => join(import.meta.dirname, 'testdata', name);

fuzz({
  name: 'a compiled table answers as asking every entry in order would, for any table and requests',
  corpus: corpus('route'),
  seeds: Array.from({ length: 64 }, (_, i) => new SeededRandom(i).bytes(24 + 4 * i)),
  maxBytes: 320,
  run(input) {
    const { requests, table } = drawRoutes(input, 4);
    const compiled = compileTable(table, undefined);
    let hits = '';
    for (const { fields, line } of requests) {
      const asked = request(line, fields);
      const verdict = route(compiled, asked, () => 0, NO_PROOF);
      assert.equal(verdict.kind === 'forward' ? verdict.entry : undefined, naiveRoute(table, asked), line);
      if (verdict.kind === 'forward')
        hits += `${verdict.entry?.match.path.kind}${verdict.entry?.match.headers.length} `;
    }
    return hits;
  },
});

fuzz({
  name: 'any path has one normal form, or none',
  corpus: corpus('path'),
  seeds: ['/a/../b', '/a//b%2f..%5cx?q=/../', '/%2e%2E/.%2e/x', '*', '/a\\..\\b#c', '/%00'].map((text) =>
    Buffer.from(text),
  ),
  maxBytes: 256,
  run(input) {
    const path = input.toString('latin1');
    for (const how of ['base', 'merge-slashes', 'decode-and-merge-slashes', 'none'] as const) {
      const once = normalisePath(path, how);
      if (once === undefined || once === '*') continue;
      assert.equal(normalisePath(once, how), once);
      if (how === 'none') continue;
      const bare = once.replace(/\?.*$/s, '');
      assert.ok(bare.startsWith('/'));
      for (const element of bare.split('/')) assert.ok(element !== '.' && element !== '..', once);
      assert.ok(!bare.includes('\\') && !/%2e/i.test(bare), once);
      if (how === 'decode-and-merge-slashes') assert.ok(!/%2f|%5c/i.test(bare) && !bare.includes('//'), once);
    }
  },
});

fuzz({
  name: 'templates, wildcards and expressions mean what a plain expression would, or are refused',
  corpus: corpus('pattern'),
  seeds: ['/a/{*}/b\n/a/x/b', '/{**}/c\n/a/b/c', 'a*b\nacb', '(?i)ab+c\nABBC', '\\Qa.b\\E|[[:alpha:]]+\na.b'].map(
    (text) => Buffer.from(text),
  ),
  maxBytes: 48,
  run(input) {
    const [pattern = '', text = ''] = input.toString('latin1').split('\n', 2);
    const quoted = (part: string): string => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
    if (templateProblem(pattern) === '') {
      const source = pattern
        .split(/(\{\*{1,2}\})/)
        .map((part) => (part === '{*}' ? '[^/]+' : part === '{**}' ? '[^]*' : quoted(part)))
        .join('');
      assert.equal(templateMatches(pattern, text), new RegExp(`^${source}$`).test(text), `${pattern} ${text}`);
    }
    if (pattern.split('*').length + pattern.split(NO_SLASH).length < 8) {
      const source = pattern
        .split('*')
        .map((part) => part.split(NO_SLASH).map(quoted).join('[^/]*'))
        .join('[^]*');
      assert.equal(wildcardMatches(pattern, text), new RegExp(`^${source}$`).test(text), `${pattern} ${text}`);
    }
    const regex = wholeRegex(pattern);
    if (typeof regex === 'string') assert.notEqual(regex, '');
    else if (pattern.length < 16 && text.length < 24 && regex.test(text)) {
      assert.ok(text.startsWith(literalPrefix(pattern)), `${pattern} begins with ${literalPrefix(pattern)}`);
    }
  },
});
