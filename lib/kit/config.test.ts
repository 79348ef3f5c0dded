// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigReader, parseDuration } from './config.ts';

const reader = (env: Record<string, string>): ConfigReader => new ConfigReader((name) => env[name]);

test('unset variables give their defaults and no problem', () => {
  const config = reader({});
  assert.equal(config.string('A', 'x'), 'x');
  assert.equal(config.integer('B', 7), 7);
  assert.equal(config.boolean('C', true), true);
  assert.equal(config.duration('D', 5000), 5000);
  assert.equal(config.oneOf('E', ['shared', 'dedicated'], 'shared'), 'shared');
  assert.deepEqual(config.list('F'), []);
  config.assertValid();
});

test('every bad variable is reported in one error, each with its mend', () => {
  const config = reader({ B: '1.5', C: 'maybe', D: '10', E: 'both' });
  config.integer('B', 7);
  config.boolean('C', true);
  config.duration('D', 5000);
  config.oneOf('E', ['shared', 'dedicated'], 'shared');
  config.required('F');
  assert.throws(
    () => config.assertValid(),
    (error: Error) => {
      for (const part of [
        'B: "1.5"',
        'C: "maybe"',
        'D: "10"',
        'E: "both"',
        'F: is not set',
        '24h',
        'shared, dedicated',
      ])
        assert.ok(error.message.includes(part), `${part} missing in ${error.message}`);
      return true;
    },
  );
});

test('durations need a unit and add up', () => {
  assert.equal(parseDuration('1m30s'), 90_000);
  assert.equal(parseDuration('250ms'), 250);
  assert.equal(parseDuration('24h'), 86_400_000);
  for (const bad of ['', '10', 's', '-1s', '1 s', '1d']) assert.equal(parseDuration(bad), undefined, bad);
});

test('a duration that Istio names may be a bare number of seconds, or count days', () => {
  const read = (text: string): ConfigReader => new ConfigReader((name) => (name === 'D' ? text : undefined));
  const taken = [
    ['90', 90_000],
    ['1d', 86_400_000],
    ['1w2d3h', 788_400_000],
    ['5m', 300_000],
    ['', 7],
  ] as const;
  for (const [text, ms] of taken) assert.equal(read(text).istioDuration('D', 7), ms, text);
  for (const bad of ['d', '-1d', '1.5', 'soon']) {
    const config = read(bad);
    config.istioDuration('D', 7);
    assert.equal(config.problems()[0]?.field, 'D', bad);
  }
});
