// SPDX-License-Identifier: Apache-2.0
// Where we are stricter than Node's parser (llhttp), and why is in docs/parity/http1.md: each row there is a case here. The
// other way round there is nothing: http1.fuzz.ts holds every message that we take against what llhttp takes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readHttp1 } from '#lib/testkit/http1-recorder.ts';
import { llhttp } from '#lib/testkit/llhttp.ts';

type Kind = 'request' | 'response';

/** What llhttp takes and we refuse; the reason is how ours says it. */
const STRICTER: readonly (readonly [what: string, kind: Kind, bytes: string, reason: RegExp])[] = [
  ['no Host in HTTP/1.1', 'request', 'GET / HTTP/1.1\r\n\r\n', /^Host is missing/],
  ['two Hosts', 'request', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', /^Host is missing, repeated/],
  ['a Host that is none', 'request', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', /^Host is/],
  [
    'a target that names another host',
    'request',
    'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n',
    /differs from the target/,
  ],
  ['a target with a fragment', 'request', 'GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n', /target/],
  ['* with another method than OPTIONS', 'request', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', /target/],
  ['CONNECT without a port', 'request', 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', /target/],
  ['a scheme that is not http', 'request', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', /target/],
  ['an empty line before a response', 'response', '\r\nHTTP/1.1 200 OK\r\n\r\n', /start line|version|status/],
  ['HTTP/2.0 and HTTP/0.9 as a version', 'request', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', /^the version/],
  [
    'chunks in HTTP/1.0',
    'request',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /Transfer-Encoding/,
  ],
  [
    'other codings than chunked',
    'response',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    /Transfer-Encoding/,
  ],
  [
    'two Transfer-Encodings',
    'response',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /Transfer-Encoding/,
  ],
  ['a status below 100', 'response', 'HTTP/1.1 099 Odd\r\n\r\n', /^the status/],
  ['content in what has none', 'response', 'HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n', /announces some/],
  ['Transfer-Encoding in a 204', 'response', 'HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n', /announces some/],
];

/** Refused by both, since each could smuggle a request past one of two parsers. */
const BOTH: readonly (readonly [what: string, kind: Kind, bytes: string])[] = [
  [
    'both lengths',
    'request',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['two Content-Lengths', 'request', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc'],
  ['a Content-Length with a sign', 'request', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc'],
  ['a blank before the colon', 'request', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['folded lines', 'request', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n'],
  [
    'a chunk size with 0x',
    'request',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n',
  ],
  [
    'chunked that is not last',
    'request',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  ],
];

const complete = (messages: readonly { readonly complete: boolean }[]): boolean => messages[0]?.complete === true;

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../../docs/parity/http1.md'), 'utf8');

for (const [what, kind, bytes, reason] of STRICTER) {
  test(`stricter than llhttp: ${what}`, () => {
    const theirs = llhttp(kind, Buffer.from(bytes));
    assert.equal(theirs.error, '', 'llhttp takes it');
    assert.ok(theirs.messages.length > 0);
    const ours = readHttp1(kind, Buffer.from(bytes));
    assert.match(ours.error, reason);
    assert.ok(!complete(ours.messages));
    assert.ok(DOCUMENT.includes(`| ${what} |`), 'the document has a row for it');
  });
}

for (const [what, kind, bytes] of BOTH) {
  test(`refused as llhttp does: ${what}`, () => {
    assert.notEqual(llhttp(kind, Buffer.from(bytes)).error, '');
    assert.notEqual(readHttp1(kind, Buffer.from(bytes)).error, '');
    assert.ok(DOCUMENT.includes(`| ${what} |`), 'the document has a row for it');
  });
}
