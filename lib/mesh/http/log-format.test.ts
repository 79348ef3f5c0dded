// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { headersOfArgument, parseLogFormat } from './log-format.ts';

test('a format is texts and commands with arguments and lengths', () => {
  deepEqual(parseLogFormat('[%START_TIME%] %REQ(X-A?:PATH):7% 100%% %RESPONSE_CODE%\n').parts, [
    '[',
    { name: 'START_TIME', argument: '', length: 0 },
    '] ',
    { name: 'REQ', argument: 'X-A?:PATH', length: 7 },
    ' 100% ',
    { name: 'RESPONSE_CODE', argument: '', length: 0 },
    '\n',
  ]);
});

test('a time has a format of its own', () => {
  const { parts, problems } = parseLogFormat('%START_TIME(%Y-%m)% a');
  deepEqual(parts, [{ name: 'START_TIME', argument: '%Y-%m', length: 0 }, ' a']);
  deepEqual(problems, []);
  deepEqual(parseLogFormat('%START_TIME(%Y').problems, ['% at character 1 has no end']);
});

test('what is no command is told of, and stands as a dash', () => {
  for (const [format, problem] of [
    ['%NOTHING%', '%NOTHING% is no command'],
    ['%toString%', '%toString% is no command'],
    ['%REQ%', '%REQ% needs the name of a header in parentheses'],
    ['%ENVIRONMENT%', '%ENVIRONMENT% needs the name of a variable in parentheses'],
    ['%PROTOCOL(x)%', '%PROTOCOL% takes no argument'],
  ] as const) {
    const { parts, problems } = parseLogFormat(format);
    deepEqual(problems, [problem]);
    deepEqual(parts, ['-']);
  }
  deepEqual(parseLogFormat('a 50% b').problems, ['% at character 5 has no end']);
  deepEqual(parseLogFormat('a 50% b').parts, ['a 50% b']);
});

test('any text can be read, and texts without a percent sign stay as they are', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { parts } = parseLogFormat(text);
      if (!text.includes('%')) equal(parts.join(''), text);
    }),
  );
});

test('an argument may name a second header', () => {
  deepEqual(headersOfArgument('X-Envoy-Original-Path?:PATH'), ['x-envoy-original-path', ':path']);
});
