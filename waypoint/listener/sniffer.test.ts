// SPDX-License-Identifier: Apache-2.0
// Who speaks first, and in which pieces, on a connection of which nothing is known.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import type { Link, LinkOwner } from '#lib/net/http/link.ts';
import { Sniffer } from './sniffer.ts';

function rig(httpOnly: boolean) {
  let silence = 0;
  let timer: TimerTarget | undefined;
  const arena = { bytes: Buffer.alloc(4096), size: 4096 };
  const loop = {
    after: (ms: number, target: TimerTarget) => {
      silence = ms;
      timer = target;
      return 1;
    },
    cancel: () => {
      timer = undefined;
    },
  };
  const told: string[] = [];
  const passed: string[] = [];
  const next = {
    onBytes: (_link: Link, { bytes }: { bytes: Buffer }, start: number, end: number) => {
      passed.push(bytes.toString('latin1', start, end));
    },
  };
  const link = { owner: null as unknown as LinkOwner, closed: false };
  new Sniffer({ loop, first: arena } as unknown as HttpBench, link as unknown as Link, httpOnly, {
    onProtocol: (_link, protocol) => {
      told.push(protocol);
      link.owner = next as unknown as LinkOwner;
    },
    onNoProtocol: () => told.push('none'),
  });
  const say = (text: string): void => {
    const bytes = Buffer.from(text, 'latin1');
    link.owner.onBytes(link as unknown as Link, { bytes } as never, 0, bytes.length);
  };
  return { told, passed, say, wait: () => timer?.onTimer(1), silence: () => silence };
}

test('the first bytes are handed on whole, in however many pieces they came', () => {
  for (const [pieces, protocol] of [
    [['GET / HT', 'TP/1.1\r\n'], 'h1'],
    [['PRI * HTTP', '/2.0\r\n\r\nSM\r\n\r\n'], 'h2'],
    [['\x16\x03\x01'], 'other'],
  ] as const) {
    const { passed, say, told } = rig(false);
    for (const piece of pieces) say(piece);
    assert.deepEqual([told, passed.join('')], [[protocol], pieces.join('')]);
  }
});

test('a client that is silent for 15 s waits for its server to speak, unless the port is HTTP’s', () => {
  const open = rig(false);
  assert.equal(open.silence(), 15_000);
  open.wait();
  assert.deepEqual(open.told, ['other']);
  const http = rig(true);
  http.wait();
  assert.deepEqual(http.told, ['none']);
});

test('at a port of HTTP nothing else is served', () => {
  const { passed, say, told } = rig(true);
  say('\x16\x03\x01');
  assert.deepEqual([told, passed], [['none'], []]);
});
