// SPDX-License-Identifier: Apache-2.0
// The server against a node proxy that speaks the protocol over a real socket.
import assert from 'node:assert/strict';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { unixConnect } from '#lib/linux/unix.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import {
  Version,
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '#lib/proto/gen/zds_pb.ts';
import { until } from '#lib/testkit/until.ts';
import { type ZdsPod, ZdsServer } from './server.ts';

const arena = Arena.allocate(2048);

/** A proxy: reads what it is told, answers as it is asked to. */
class FakeProxy {
  readonly fd: number;
  readonly got: { readonly request: WorkloadRequest; readonly fds: number }[] = [];
  answer = '';

  constructor(path: string) {
    this.fd = unixConnect(path);
    this.#send(toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 })));
  }

  /** Takes one request, if there is one, and acknowledges it. */
  turn(): boolean {
    const n = receiveMessage(this.fd, arena, 0, 1024);
    if (n === -EAGAIN) return false;
    assert.ok(n > 0, `receive gave ${n}`);
    const { fds } = received;
    for (const fd of fds) close(fd);
    this.got.push({ request: fromBinary(WorkloadRequestSchema, arena.bytes.subarray(0, n)), fds: fds.length });
    this.#send(
      toBinary(
        WorkloadResponseSchema,
        create(WorkloadResponseSchema, { payload: { case: 'ack', value: { error: this.answer } } }),
      ),
    );
    return true;
  }

  get told(): string[] {
    return this.got.map(({ request }) => request.payload.case ?? '');
  }

  #send(bytes: Uint8Array): void {
    arena.bytes.set(bytes, 1024);
    assert.equal(sendMessage(this.fd, arena, 1024, bytes.length), bytes.length);
  }
}

const here = openSync('/proc/self/ns/net', 'r');
const pod = (uid: string, netnsFd: number | undefined = here): ZdsPod => ({
  uid,
  name: uid,
  namespace: 'shop',
  serviceAccount: 'sa',
  netnsFd,
});
let folder: string;
let pods: ZdsPod[];
let server: ZdsServer;
let watch: FdWatch;
const proxies: FakeProxy[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-zds-'));
  pods = [];
  watch = new FdWatch();
  server = new ZdsServer({
    path: join(folder, 'z.sock'),
    pods: () => pods,
    watch,
    clock: systemClock,
    log: createLogger({ scope: 'zds', level: 'off' }),
    onConnections: () => {},
    onSnapshot: () => {},
  });
  server.start();
});
afterEach(() => {
  server.close();
  for (const { fd } of proxies.splice(0)) close(fd);
  rmSync(folder, { recursive: true, force: true });
});

async function connect(): Promise<FakeProxy> {
  const proxy = new FakeProxy(join(folder, 'z.sock'));
  proxies.push(proxy);
  const before = server.connected;
  await until('the proxy to be connected', () => server.connected === before + 1);
  await until('its snapshot', () => {
    while (proxy.turn());
    return proxy.told.includes('snapshotSent');
  });
  return proxy;
}

test('a proxy that connects gets every pod with its namespace, those without one as keep, then the end of the snapshot', async () => {
  pods = [pod('a'), { ...pod('b'), netnsFd: undefined }];
  const proxy = await connect();
  assert.deepEqual(proxy.told, ['add', 'keep', 'snapshotSent']);
  assert.deepEqual(
    proxy.got.map(({ fds }) => fds),
    [1, 0, 0],
  );
});

test('an addition goes to the newest proxy, a deletion to all', async () => {
  const older = await connect();
  const newer = await connect();
  const added = server.add(pod('c'));
  await until('the addition', () => newer.turn());
  await added;
  const deleted = server.delete('c');
  await until(
    'the deletions',
    () => (older.turn() || older.told.includes('del')) && (newer.turn() || newer.told.includes('del')),
  );
  await deleted;
  assert.deepEqual(
    [older.told, newer.told],
    [
      ['snapshotSent', 'del'],
      ['snapshotSent', 'add', 'del'],
    ],
  );
});

test('without a proxy, or when it refuses or goes away, an addition fails and says why', async () => {
  await assert.rejects(server.add(pod('a')), { code: 'ZDS_NO_PROXY' });
  const proxy = await connect();
  proxy.answer = 'failure to start proxy : bind';
  const refused = assert.rejects(server.add(pod('a')), /failure to start proxy/);
  await until('the addition', () => proxy.turn());
  await refused;
  const cut = assert.rejects(server.add(pod('b')), { code: 'ZDS_LOST' });
  close(proxies.pop()!.fd);
  await cut;
});
