// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { CONFIG_MAP } from '#lib/kube/kind.ts';
import { until } from '#lib/testkit/until.ts';
import { startApi } from './app.ts';
import { parseConfig } from './config.ts';

interface Event {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef: { readonly resource: string; readonly namespace: string; readonly name: string };
  readonly responseStatus: { readonly code: number };
}

test('the audit log names who asked for each change and what became of it, and no reads', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-audit-'));
  const file = join(folder, 'audit.log');
  const words = ['--data', folder, '--listen', '127.0.0.1:0', '--memory', '--audit-log', file];
  const api = await startApi(parseConfig(words), {
    clock: systemClock,
    log: createLogger({ scope: 'api', level: 'off' }),
  });
  const client = connectKube({ kubeconfig: api.kubeconfig });
  try {
    const object = { metadata: { namespace: 'default', name: 'one' }, data: { a: '1' } };
    await client.create(CONFIG_MAP, object);
    await client.get(CONFIG_MAP, { namespace: 'default', name: 'one' });
    await assert.rejects(client.create(CONFIG_MAP, object), { code: 'KUBE_CONFLICT' });
    await client.delete(CONFIG_MAP, { namespace: 'default', name: 'one' });
    const events = await until('three lines', () => {
      const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
      return lines.length >= 3 && lines.map((line) => JSON.parse(line) as Event);
    });
    assert.deepEqual(
      events.map(({ objectRef, responseStatus, user, verb }) => [
        ...[user.username, verb, objectRef.resource, objectRef.namespace, objectRef.name, responseStatus.code],
      ]),
      [
        ['kubernetes-admin', 'create', 'configmaps', 'default', '', 201],
        ['kubernetes-admin', 'create', 'configmaps', 'default', '', 409],
        ['kubernetes-admin', 'delete', 'configmaps', 'default', 'one', 200],
      ],
    );
  } finally {
    await client.close();
    await api.close();
    rmSync(folder, { recursive: true });
  }
});
