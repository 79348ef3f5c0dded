// SPDX-License-Identifier: Apache-2.0
// Documents name files and link to each other; whoever moves a file hears of it here.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { sourceFiles } from './imports.ts';

const root = join(import.meta.dirname, '../..');
const LINK = /\]\((?!https?:|mailto:|#)([^)#\s]+)/g;
/** A whole word in backticks that begins with one of our folders. */
const PATH = /`((?:lib|ztunnel|waypoint|istiod|cni|cli|playground|e2e|tools|manifests|docs|bin)\/[\w./-]*)`/g;

const documents = [...globSync('*.md', { cwd: root }), ...globSync('docs/**/*.md', { cwd: root })].sort();

test('every file that a document links to or names is there', () => {
  const missing = documents.flatMap((document) => {
    const text = readFileSync(join(root, document), 'utf8');
    const links = [...text.matchAll(LINK)].map(([, to = '']) => ({ to, at: join(dirname(document), to) }));
    const paths = [...text.matchAll(PATH)].map(([, to = '']) => ({ to, at: to }));
    return [...links, ...paths].flatMap(({ at, to }) => (existsSync(join(root, at)) ? [] : [`${document}: ${to}`]));
  });
  assert.deepEqual(missing, []);
  assert.ok(documents.includes('README.md') && documents.length > 10, 'documents are found');
});

test('every file that a comment names with its folder is there', () => {
  const missing = sourceFiles(root)
    .filter((file) => !file.startsWith('tools/check/'))
    .flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8');
      const comments = [...text.matchAll(/^\s*(?:\/\/|\/?\*).*$/gm)].join('\n');
      return [
        ...comments.matchAll(
          /(?<![\w./#-])((?:lib|ztunnel|waypoint|istiod|cni|cli|playground|e2e|tools)\/[\w/-]+\.(?:ts|json|yaml))\b/g,
        ),
      ]
        .map(([, path = '']) => path)
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${file}: ${path}`);
    });
  assert.deepEqual(missing, []);
});
