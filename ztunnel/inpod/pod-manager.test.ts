// SPDX-License-Identifier: Apache-2.0
// The node agent's protocol over a real socket with real namespaces' descriptors; the capture of pods is a fake.
import assert from 'node:assert/strict';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { unixAccept, unixListen } from '#lib/linux/unix.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from '#lib/proto/gen/zds_pb.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { until } from '#lib/testkit/until.ts';
import type { PodInfo } from '../control.ts';
import { Pods } from '../pods.ts';
import { PodManager } from './pod-manager.ts';
import { ZdsClient } from './zds-client.ts';

type Payload = NonNullable<MessageInitShape<typeof WorkloadRequestSchema>['payload']>;

const arena = Arena.allocate(4096);
const log = createLogger({ scope: 'test', level: 'off' });
const netnsFd = (): number => openSync('/proc/self/ns/net', 'r');

/** Plays the node agent, and the data plane. */
class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'ambit-zds-'));
  readonly path = join(this.folder, 'z.sock');
  readonly clock = new FakeClock();
  readonly watch = new FdWatch();
  readonly pods = new Pods();
  readonly readiness: boolean[] = [];
  readonly fatal: string[] = [];
  /** Why captures fail, by uid. */
  readonly failing = new Map<string, string>();
  readonly manager: PodManager;
  readonly client: ZdsClient;
  listener = unixListen(this.path);
  fd = -1;

  constructor() {
    this.manager = new PodManager({
      clock: this.clock,
      log,
      onReadiness: (ready) => this.readiness.push(ready),
      onFatal: (reason) => this.fatal.push(reason),
      capture: {
        pods: this.pods,
        addPod: async (info: PodInfo, fd: number | undefined, netns: string) => {
          const reason = this.failing.get(info.uid) ?? '';
          if (reason === '') void this.pods.add({ info, fd, netns }, []);
          if (fd !== undefined) close(fd);
          return reason;
        },
        removePod: (uid) => this.pods.remove(uid) !== undefined,
      },
    });
    this.client = new ZdsClient({
      path: this.path,
      watch: this.watch,
      clock: systemClock,
      random: () => 0.5,
      log,
      handler: this.manager,
    });
    this.client.start();
  }

  get ready(): boolean {
    return this.readiness.at(-1) === true;
  }

  /** Accepts the proxy and hears its hello. */
  async accept(): Promise<void> {
    await until('the proxy connects', () => {
      this.fd = unixAccept(this.listener);
      return this.fd >= 0;
    });
    const hello = fromBinary(ZdsHelloSchema, await this.#receive());
    assert.equal(hello.version, 1);
  }

  /** Sends one request and returns the error of its ack. */
  async ask(payload: Payload, fds: readonly number[] = []): Promise<string> {
    this.send(toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload })), fds);
    return await this.ack();
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    arena.bytes.set(bytes);
    assert.equal(sendMessage(this.fd, arena, 0, bytes.length, fds), bytes.length);
    for (const fd of fds) close(fd);
  }

  async ack(): Promise<string> {
    const { payload } = fromBinary(WorkloadResponseSchema, await this.#receive());
    assert.equal(payload.case, 'ack');
    return payload.value!.error;
  }

  add(uid: string, fd = netnsFd()): Promise<string> {
    const workloadInfo = { name: uid, namespace: 'shop', serviceAccount: 'default' };
    return this.ask({ case: 'add', value: { uid, workloadInfo } }, [fd]);
  }

  snapshot(): Promise<string> {
    return this.ask({ case: 'snapshotSent', value: {} });
  }

  uids(): string[] {
    return this.pods.list().map(({ info }) => info.uid);
  }

  async ended(): Promise<void> {
    await until('the proxy closes', () => receiveMessage(this.fd, arena, 0, 1024) === 0);
  }

  async #receive(): Promise<Uint8Array> {
    let n = -1;
    await until('a message of the proxy', () => {
      n = receiveMessage(this.fd, arena, 0, 1024);
      return n >= 0;
    });
    assert.deepEqual(received.fds, []);
    return arena.bytes.subarray(0, n);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.manager.close();
    await this.client.close();
    this.watch.close();
    close(this.listener);
    if (this.fd >= 0) close(this.fd);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

test('pods of the snapshot are captured, and the proxy is ready when it is complete', async () => {
  await using bench = new Bench();
  await bench.accept();
  assert.equal(await bench.add('one'), '');
  assert.equal(await bench.add('two'), '');
  assert.equal(bench.ready, false);
  assert.equal(await bench.snapshot(), '');
  assert.deepEqual(bench.uids(), ['one', 'two']);
  assert.equal(bench.ready, true);
  assert.equal(await bench.add('two'), '', 'the same pod again changes nothing');
  assert.equal(bench.pods.started, 2);
  assert.equal(await bench.ask({ case: 'del', value: { uid: 'one' } }), '');
  assert.equal(await bench.ask({ case: 'del', value: { uid: 'unknown' } }), '');
  assert.deepEqual(bench.uids(), ['two']);
});

test('pods outlive the agent; the next snapshot ends those it does not name', async () => {
  await using bench = new Bench();
  await bench.accept();
  for (const uid of ['kept', 'added-again', 'gone', 'deleted']) assert.equal(await bench.add(uid), '');
  await bench.snapshot();
  close(bench.fd);
  await until('the end is noticed', () => !bench.ready);
  assert.equal(bench.uids().length, 4);
  await bench.accept();
  assert.equal(await bench.ask({ case: 'keep', value: { uid: 'kept' } }), '');
  assert.equal(await bench.add('added-again'), '');
  assert.equal(await bench.add('deleted'), '');
  assert.equal(await bench.ask({ case: 'del', value: { uid: 'deleted' } }), '');
  assert.equal(bench.uids().length, 4, 'nothing ends before the snapshot is complete');
  await bench.snapshot();
  assert.deepEqual(bench.uids(), ['kept', 'added-again']);
});

test('a pod that cannot be captured is told of, holds readiness and is tried again', async () => {
  await using bench = new Bench();
  await bench.accept();
  bench.failing.set('bad', 'bind 15001: EADDRINUSE');
  assert.equal(await bench.add('bad'), 'failure to start proxy : bind 15001: EADDRINUSE');
  await bench.snapshot();
  assert.equal(bench.ready, false);
  assert.equal(bench.manager.pending, 1);
  await bench.clock.advance(5000);
  assert.equal(bench.ready, false);
  bench.failing.clear();
  await bench.clock.advance(5000);
  await until('ready', () => bench.ready);
  assert.deepEqual(bench.uids(), ['bad']);
});

test('messages that cannot be read end the connection, and the proxy comes back', async () => {
  await using bench = new Bench();
  await bench.accept();
  bench.send(new Uint8Array([0xff, 0xff, 0xff]));
  assert.match(await bench.ack(), /^failure to read message : undecodable/);
  await bench.ended();
  close(bench.fd);
  await bench.accept();
  bench.send(new Uint8Array(2000).fill(8));
  assert.match(await bench.ack(), /^failure to read message/);
  await bench.ended();
  close(bench.fd);
  await bench.accept();
  const workloadInfo = { name: 'x', namespace: 'shop', serviceAccount: 'default' };
  assert.match(await bench.ask({ case: 'add', value: { uid: 'x', workloadInfo } }), /0 descriptors, expected 1/);
  await bench.ended();
  close(bench.fd);
  await bench.accept();
  assert.match(await bench.ask({ case: 'keep', value: { uid: 'x' } }, [netnsFd()]), /1 descriptors, expected 0/);
  assert.deepEqual(bench.fatal, []);
});

test('a broken protocol is fatal: neither side knows what the other holds', async () => {
  for (const breakIt of [
    async (bench: Bench) => bench.ask({ case: 'add', value: { uid: 'x' } }, [netnsFd()]),
    async (bench: Bench) => {
      await bench.snapshot();
      return bench.snapshot();
    },
    async (bench: Bench) => {
      await bench.snapshot();
      return bench.ask({ case: 'keep', value: { uid: 'x' } });
    },
  ]) {
    await using bench = new Bench();
    await bench.accept();
    assert.match(await breakIt(bench), /^failure to process message : /);
    await until('it is fatal', () => bench.fatal.length === 1);
  }
});
