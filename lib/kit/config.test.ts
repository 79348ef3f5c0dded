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
