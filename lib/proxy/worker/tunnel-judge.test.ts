// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TunnelJudgeOptions } from './tunnel-judge.ts';
import { TunnelJudge } from './tunnel-judge.ts';

type TestPod = ReturnType<TunnelJudgeOptions['groups']> extends Iterable<infer P> ? P : never;

test('trap 9: tunnels of an expired peer drain, on both sides, and no other', () => {
  const drained: string[] = [];
  let timer = (): void => {};
  let now = 1000;
  const session = (name: string, notAfter: number) => ({
    peer: { notAfter, anchor: 'root' },
    drain: () => drained.push(name),
    abort: () => drained.push(`abort ${name}`),
  });
  const out = [session('out-old', 2000), session('out-new', 9000)];
  const pod = {
    local: () => undefined,
    sessions: new Set([session('in-old', 2000), session('in-new', 9000), { ...session('plain', 0), peer: null }]),
    pool: {
      drainWhere: (picked: (one: (typeof out)[number]) => boolean) => {
        for (const one of out) if (picked(one)) one.drain();
      },
      dropWhere: () => {},
    },
  } as unknown as TestPod;
  new TunnelJudge({
    loop: {
      afterAbout: (_ms, target) => {
        timer = () => target.onTimer(0);
        return 0;
      },
    } as TunnelJudgeOptions['loop'],
    groups: () => [pod],
    trusts: () => true,
    revoked: () => false,
    onRevoked: () => assert.fail('nobody is revoked'),
    now: () => now,
  });
  timer();
  assert.deepEqual(drained, []);
  now = 2000;
  timer();
  assert.deepEqual(drained, ['out-old', 'in-old']);
});
