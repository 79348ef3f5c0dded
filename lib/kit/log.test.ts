// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bare, createLogger, type LogOptions } from './log.ts';

const capture = (options: Partial<LogOptions> = {}) => {
  const lines: string[] = [];
  const log = createLogger({
    scope: 'access',
    now: () => Date.UTC(2026, 0, 2),
    write: (line) => lines.push(line),
    ...options,
  });
  return { lines, log };
};

test('a plain line has tabs between its parts, quoted strings, bare addresses and no absent field', () => {
  const { lines, log } = capture();
  log.info('connection complete', {
    'src.addr': new Bare('10.0.0.1:80'),
    'src.identity': 'spiffe://a',
    bytes_sent: 5,
    error: undefined,
  });
  assert.deepEqual(lines, [
    '2026-01-02T00:00:00.000000Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:80 src.identity="spiffe://a" bytes_sent=5\n',
  ]);
});

test('a JSON line is one object with level, time, scope and message', () => {
  const { lines, log } = capture({ format: 'json' });
  log.child('xds').warn('gone', { reason: new Error('reset') });
  assert.deepEqual(JSON.parse(lines[0]!), {
    level: 'warn',
    time: '2026-01-02T00:00:00.000Z',
    scope: 'xds',
    reason: 'reset',
    message: 'gone',
  });
});

test('fields are not computed for a line that is not written', () => {
  const { lines, log } = capture();
  log.debug('detail', () => assert.fail('computed'));
  assert.deepEqual(lines, []);
});

test('levels change at run time, for all or for one scope', () => {
  const { lines, log } = capture();
  const dns = log.child('dns');
  log.setLevel('debug', 'dns');
  log.debug('hidden');
  dns.debug('shown');
  assert.equal(lines.length, 1);
  assert.equal(log.levels(), 'info,dns=debug');
  log.setLevel('off');
  dns.error('hidden');
  assert.equal(lines.length, 1);
});
