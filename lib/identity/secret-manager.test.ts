// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AmbitError } from '#lib/kit/error.ts';
import { createLogger } from '#lib/kit/log.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import type { WorkloadCertificate } from './certificate.ts';
import { SecretManager } from './secret-manager.ts';

const HOUR_MS = 3_600_000;

interface Call {
  readonly identity: string;
  readonly at: number;
  readonly signal: AbortSignal;
  grant(lifeMs?: number): void;
  refuse(reason: string): void;
  /** No answer comes. */
  lose(): void;
}

function bench(random = () => 0.5) {
  const clock = new FakeClock();
  const calls: Call[] = [];
  const issued: string[] = [];
  const unavailable: string[] = [];
  const start = clock.now();
  const manager = new SecretManager({
    clock,
    random,
    log: createLogger({ scope: 'test', level: 'off' }),
    onIssued: ({ identity }) => issued.push(identity),
    onUnavailable: (identity, reason) => unavailable.push(`${identity}: ${reason}`),
    issue: (identity, signal) =>
      new Promise<WorkloadCertificate>((resolve, reject) => {
        const notBefore = clock.now();
        calls.push({
          identity,
          at: clock.now() - start,
          signal,
          grant: (lifeMs = 24 * HOUR_MS) =>
            resolve({
              identity,
              chainPem: 'chain',
              keyPem: 'key',
              rootsPem: 'roots',
              notBefore,
              notAfter: notBefore + lifeMs,
            }),
          refuse: (reason) => reject(new Error(reason)),
          lose: () => reject(new AmbitError('CA_UNREACHABLE', 'no answer')),
        });
      }),
  });
  const names = (): string[] => calls.map(({ identity }) => identity);
  return { clock, calls, names, issued, unavailable, manager, settle: () => clock.advance(0) };
}

test('callers wait for the one request of their identity, later ones get the certificate at once', async () => {
  const { manager, calls, settle, issued } = bench();
  const both = Promise.all([manager.get('a'), manager.get('a')]);
  await settle();
  assert.equal(calls.length, 1);
  calls[0]!.grant();
  const [one, two] = await both;
  assert.equal(one, two);
  assert.equal(await manager.get('a'), one);
  assert.deepEqual(issued, ['a']);
  manager.stop();
});

test('a certificate is renewed at half its life and stays in use until the new one is there', async () => {
  const { manager, calls, clock, settle } = bench();
  const first = manager.get('a');
  calls[0]!.grant(24 * HOUR_MS);
  const old = await first;
  await clock.advance(12 * HOUR_MS - 1);
  assert.equal(calls.length, 1);
  await clock.advance(1);
  assert.equal(calls.length, 2);
  assert.equal(await manager.get('a'), old);
  calls[1]!.grant();
  await settle();
  assert.notEqual(await manager.get('a'), old);
  await clock.advance(12 * HOUR_MS);
  assert.equal(calls.length, 3);
  manager.stop();
});

test('without a certificate callers are told the reason at once, until a retry succeeds', async () => {
  const { manager, calls, clock, unavailable, settle } = bench();
  const waiting = manager.get('a');
  calls[0]!.refuse('no such pod');
  await assert.rejects(waiting, { code: 'CERTIFICATE_UNAVAILABLE', message: /for a: no such pod/ });
  await assert.rejects(manager.get('a'), /no such pod/);
  assert.equal(calls.length, 1);
  await clock.advance(1000);
  assert.equal(calls.length, 2);
  calls[1]!.refuse('no such pod');
  await settle();
  assert.deepEqual(unavailable, ['a: no such pod'], 'told once');
  await clock.advance(2000);
  calls[2]!.grant();
  await settle();
  assert.equal((await manager.get('a')).identity, 'a');
  manager.stop();
});

test('waits double from one second to 150 and vary by a fifth; after 15 minutes they are steady', async () => {
  let sign = 0;
  const { manager, calls, clock, settle } = bench(() => (sign++ % 2 === 0 ? 0 : 0.999_999));
  manager.get('a').catch(() => {});
  const gaps: number[] = [];
  for (let i = 0; i < 18; i++) {
    calls[i]!.refuse('down');
    await settle();
    const before = clock.now();
    while (calls.length === i + 1) await clock.advance(100);
    gaps.push(Math.round((clock.now() - before) / 100) / 10);
  }
  assert.deepEqual(gaps.slice(0, 7), [0.8, 2.4, 3.2, 9.6, 12.8, 38.4, 51.2]);
  assert.ok(gaps[7]! >= 120 && gaps[7]! <= 180);
  assert.deepEqual(gaps.slice(-4), [150, 150, 150, 150]);
  manager.stop();
});

test('when the authority is back nobody waits out a long pause, and nobody who lacks nothing asks', async () => {
  const { manager, calls, clock, names, settle } = bench();
  const well = manager.get('well');
  calls[0]!.grant();
  await well;
  manager.get('a').catch(() => {});
  for (let i = 1; i < 10; i++) {
    calls[i]!.refuse('down');
    await settle();
    while (calls.length === i + 1) await clock.advance(1000);
  }
  calls[10]!.refuse('down');
  await clock.advance(2_000);
  assert.equal(calls.length, 11);
  manager.retry();
  await clock.advance(1_000);
  assert.deepEqual(names().slice(11), ['a']);
  calls[11]!.grant();
  await settle();
  assert.equal((await manager.get('a')).identity, 'a');
  manager.retry();
  await clock.advance(1_000);
  assert.equal(calls.length, 12);
  manager.stop();
});

test('while the authority is away one identity asks every 3 s at least, and its answer is every other’s', async () => {
  const { manager, calls, clock, names, settle } = bench();
  const all = ['a', 'b', 'c', 'd'];
  for (const identity of all) manager.get(identity).catch(() => {});
  const start = clock.now();
  let answered = 0;
  // For an hour, at the end of which each of them would wait for minutes.
  while (clock.now() - start < 3_600_000) {
    while (answered < calls.length) calls[answered++]!.lose();
    await settle();
    const before = clock.now();
    while (calls.length === answered) await clock.advance(250);
    assert.equal(clock.now() - before <= 3_000, true);
  }
  assert.equal(calls.length < 1.1 * (3_600_000 / 3_000) + 100, true, `${calls.length} calls`);
  const returned = calls.length;
  // A refusal is an answer, too.
  calls[answered++]!.refuse('no such pod');
  while (answered < calls.length) calls[answered++]!.grant();
  for (let k = 0; k < 4; k++) {
    await clock.advance(250);
    while (answered < calls.length) calls[answered++]!.grant();
  }
  await settle();
  const granted = all.filter((identity) => manager.states().get(identity)?.kind === 'available');
  assert.equal(granted.length, 3, `${names().slice(returned)}`);
  manager.stop();
});

test('an attempt that began while the authority was away and fails after its return is made again at once', async () => {
  const { manager, calls, clock, settle } = bench();
  manager.get('a').catch(() => {});
  for (let i = 0; i < 9; i++) {
    calls[i]!.refuse('down');
    await settle();
    while (calls.length === i + 1) await clock.advance(1000);
  }
  manager.retry();
  calls[9]!.refuse('down');
  await settle();
  await clock.advance(1_000);
  assert.equal(calls.length, 11);
  manager.stop();
});

test('a failed renewal keeps the valid certificate; at its expiry the identity becomes unavailable', async () => {
  const { manager, calls, clock, unavailable, settle } = bench();
  const first = manager.get('a');
  calls[0]!.grant(60_000);
  await first;
  await clock.advance(30_000);
  for (let i = 1; clock.now() < calls[0]!.at + Date.UTC(2026, 0, 1) + 60_000; i++) {
    calls[i]!.refuse('down');
    await settle();
    assert.equal((await manager.get('a')).keyPem, 'key');
    while (calls.length === i + 1) await clock.advance(100);
  }
  assert.equal(calls.at(-1)!.at, 60_000, 'retried at expiry, not after it');
  calls.at(-1)!.refuse('down');
  await settle();
  assert.deepEqual(unavailable, ['a: down']);
  await assert.rejects(manager.get('a'), /down/);
  manager.stop();
});

test('eight requests run at a time; waiting connections come before warm-up, warm-up runs singly', async () => {
  const { manager, calls, names, settle } = bench();
  for (let i = 0; i < 5; i++) manager.prefetch(`warm-${i}`);
  assert.deepEqual(names(), ['warm-0']);
  for (let i = 0; i < 9; i++) manager.get(`now-${i}`).catch(() => {});
  await settle();
  assert.deepEqual(
    names().slice(1),
    [0, 1, 2, 3, 4, 5, 6].map((i) => `now-${i}`),
  );
  manager.get('warm-4').catch(() => {});
  for (const call of calls.slice(0, 3)) call.grant();
  await settle();
  assert.deepEqual(names().slice(8).sort(), ['now-7', 'now-8', 'warm-4']);
  manager.stop();
});

test('the warm-up queue holds 256 and refuses the rest', async () => {
  const { manager } = bench();
  const accepted = Array.from({ length: 300 }, (_, i) => manager.prefetch(`w-${i}`)).filter(Boolean);
  assert.equal(accepted.length, 256);
  manager.stop();
});

test('a forgotten identity is dropped: its request aborted, its callers told, nothing stored', async () => {
  const { manager, calls, issued, settle } = bench();
  const waiting = manager.get('a');
  await settle();
  manager.forget('a');
  assert.equal(calls[0]!.signal.aborted, true);
  await assert.rejects(waiting, /no workload of this identity is left/);
  calls[0]!.grant();
  await settle();
  assert.deepEqual(issued, []);
  assert.equal(manager.states().size, 0);
  manager.stop();
  await assert.rejects(manager.get('b'), { code: 'CERTIFICATE_UNAVAILABLE' });
});

test('a short certificate that was backdated is renewed halfway through what is left of it', async () => {
  const { manager, calls, clock } = bench();
  const first = manager.get('a');
  await clock.advance(120_000);
  calls[0]!.grant(180_000);
  await first;
  await clock.advance(29_999);
  assert.equal(calls.length, 1);
  await clock.advance(1);
  assert.equal(calls.length, 2);
  manager.stop();
});

test('certificates that arrive past half their life are not asked for in a circle', async () => {
  const { manager, calls, clock } = bench();
  const first = manager.get('a');
  calls[0]!.grant(100);
  await first;
  await clock.advance(999);
  assert.equal(calls.length, 1);
  await clock.advance(1);
  assert.equal(calls.length, 2);
  manager.stop();
});
