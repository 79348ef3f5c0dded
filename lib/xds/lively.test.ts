// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { lively } from './lively.ts';

/** A socket that is not connected, and the probes it is told to send. */
function socket(): { readonly socket: Socket; readonly told: unknown[] } {
  const told: unknown[] = [];
  const made = connect({ port: 1, lookup: () => {}, host: 'nowhere.invalid' });
  made.setKeepAlive = (options: unknown) => {
    told.push(options);
    return made;
  };
  return { socket: made, told };
}

for (const [name, made] of [
  ['plaintext', credentials.createInsecure()],
  ['TLS', credentials.createSsl()],
] as const) {
  test(`a ${name} connection to the control plane is probed, so that it is missed within 10 s`, () => {
    const { socket: dialled, told } = socket();
    const connector = lively(made)._createSecureConnector({ scheme: 'dns', path: 'istiod:15012' }, {});
    connector.connect(dialled).catch(() => undefined);
    dialled.destroy();
    connector.destroy();
    equal(told.length, 1);
    const { initialDelay, interval, count } = told[0] as Record<'initialDelay' | 'interval' | 'count', number>;
    deepEqual([initialDelay + interval * count < 10_000, count >= 3], [true, true]);
  });
}
