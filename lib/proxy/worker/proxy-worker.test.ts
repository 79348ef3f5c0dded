// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { test } from 'node:test';
import type { WorkerContext } from '#lib/loop/worker.ts';
import type { PeerTrust } from './peer-trust.ts';
import { type ProxyProgram, ProxyWorker } from './proxy-worker.ts';

interface Own {
  readonly kind: 'own';
  readonly takes: number;
}

function started() {
  const log: string[] = [];
  const taken: number[] = [];
  const context = {
    channel: { sendJson: ({ kind }: { kind: string }) => void log.push(`sent ${kind}`) },
    stop: (code: number) => void log.push(`stopped ${code}`),
  } as unknown as WorkerContext;
  const worker = new ProxyWorker<string, Own>(context, (settings): ProxyProgram<Own> => {
    log.push(`built of ${settings}`);
    return {
      trust: { onMessage: ({ kind }) => void log.push(`trust ${kind}`) } as PeerTrust,
      telemetry: { freed: (runs) => void log.push(`freed ${JSON.stringify(runs)}`) },
      takeTunnel: (door) => {
        log.push(`tunnel of ${door}`);
        return door === 'ours';
      },
      onMessage: ({ kind, takes }, fds) => {
        log.push(kind);
        taken.push(...fds.splice(0, takes));
      },
      drain: (deadlineMs) => void log.push(`drains in ${deadlineMs}`),
    };
  });
  const tell = (message: object, fds: number[] = []) => worker.onMessage(Buffer.from(JSON.stringify(message)), fds);
  return { log, taken, tell, worker };
}

test('a process is built of its first settings, and says that it is ready each time', () => {
  const { log, tell } = started();
  tell({ kind: 'settings', settings: 'one' });
  tell({ kind: 'settings', settings: 'two' });
  assert.deepEqual(log, ['built of one', 'sent ready', 'sent ready']);
});

test('nothing comes before the settings', () => {
  for (const kind of ['own', 'identity', 'slots-free', 'tunnel'])
    assert.throws(() => started().tell({ kind }), {
      code: 'WORKER_ORDER',
      message: `message ${kind} came before the settings`,
    });
});

test('each message goes where it belongs', () => {
  const { log, tell } = started();
  tell({ kind: 'settings', settings: 'one' });
  log.length = 0;
  for (const kind of ['identity', 'identity-failed', 'identity-gone', 'revocations']) tell({ kind });
  tell({ kind: 'slots-free', runs: [[3, 2]] });
  tell({ kind: 'own', takes: 0 });
  assert.deepEqual(log, [
    ...['trust identity', 'trust identity-failed', 'trust identity-gone', 'trust revocations'],
    ...['freed [[3,2]]', 'own'],
  ]);
});

test('descriptors that nobody takes are closed', () => {
  const { taken, tell } = started();
  const [kept, left, stray] = [0, 1, 2].map(() => openSync('/dev/null', 'r')) as [number, number, number];
  tell({ kind: 'settings', settings: 'one' }, [stray]);
  tell({ kind: 'own', takes: 1 }, [kept, left]);
  assert.deepEqual(taken, [kept]);
  assert.ok(fstatSync(kept).isCharacterDevice());
  closeSync(kept);
  for (const fd of [left, stray]) assert.throws(() => fstatSync(fd), { code: 'EBADF' });
});

test('without its main process it drains, or ends at once where nothing was built', () => {
  const early = started();
  early.worker.onMainGone(500);
  const late = started();
  late.tell({ kind: 'settings', settings: 'one' });
  late.worker.onMainGone(500);
  assert.deepEqual([early.log, late.log.at(-1)], [['stopped 0'], 'drains in 500']);
});

test('a connection that another process gave is the program’s when it takes it, and closed when it does not', () => {
  const { log, tell } = started();
  tell({ kind: 'settings', settings: 'one' });
  const [kept, closed] = [openSync('/dev/null', 'r'), openSync('/dev/null', 'r')];
  try {
    tell({ kind: 'tunnel', door: 'ours' }, [kept]);
    tell({ kind: 'tunnel', door: 'nobody’s' }, [closed]);
    assert.deepEqual(log.slice(-2), ['tunnel of ours', 'tunnel of nobody’s']);
    assert.throws(() => fstatSync(closed), { code: 'EBADF' });
    fstatSync(kept);
  } finally {
    closeSync(kept);
  }
});
