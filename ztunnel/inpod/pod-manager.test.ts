// SPDX-License-Identifier: Apache-2.0
// The node agent's protocol over a real socket with descriptors of real namespaces; the capture of pods is a fake.
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { NodeAgent } from '#lib/testkit/node-agent.ts';
import { until } from '#lib/testkit/until.ts';
import type { PodInfo } from '../control.ts';
import { Pods } from '../pods.ts';
import { PodManager } from './pod-manager.ts';
import { ZdsClient } from './zds-client.ts';

const log = createLogger({ scope: 'test', level: 'off' });

/** The proxy's side, with an agent to talk to. */
class Bench implements AsyncDisposable {
  readonly agent = new NodeAgent();
  readonly clock = new FakeClock();
  readonly watch = new FdWatch();
  readonly pods = new Pods();
  readonly readiness: boolean[] = [];
  readonly fatal: string[] = [];
  /** Why captures fail, by uid. */
  readonly failing = new Map<string, string>();
  readonly netns = openSync('/proc/self/ns/net', 'r');
  readonly manager: PodManager;
  readonly client: ZdsClient;

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
      path: this.agent.path,
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

  add(uid: string): Promise<string> {
    return this.agent.add({ uid, name: uid, namespace: 'shop', serviceAccount: 'default' }, this.netns);
  }

  uids(): string[] {
    return this.pods.list().map(({ info }) => info.uid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.manager.close();
    await this.client.close();
    this.watch.close();
    this.agent[Symbol.dispose]();
    closeSync(this.netns);
  }
}

test('pods of the snapshot are captured, and the proxy is ready when it is complete', async () => {
  await using bench = new Bench();
  await bench.agent.accept();
  assert.equal(await bench.add('one'), '');
  assert.equal(await bench.add('two'), '');
  assert.equal(bench.ready, false);
  assert.equal(await bench.agent.snapshot(), '');
  assert.deepEqual(bench.uids(), ['one', 'two']);
  assert.equal(bench.ready, true);
  assert.equal(await bench.add('two'), '', 'the same pod again changes nothing');
  assert.equal(bench.pods.started, 2);
  assert.equal(await bench.agent.ask({ case: 'del', value: { uid: 'one' } }), '');
  assert.equal(await bench.agent.ask({ case: 'del', value: { uid: 'unknown' } }), '');
  assert.deepEqual(bench.uids(), ['two']);
});

test('a pod that is announced in another namespace is moved, in the same one left alone', async () => {
  await using bench = new Bench();
  await bench.agent.accept();
  assert.equal(await bench.add('one'), '');
  const before = bench.pods.get('one')!.netns;
  assert.equal(await bench.add('one'), '');
  assert.equal(bench.pods.started, 1);
  // Another namespace of any kind has another inode, which is what counts here.
  const other = openSync('/proc/self/ns/uts', 'r');
  const info = { uid: 'one', name: 'one', namespace: 'shop', serviceAccount: 'default' };
  assert.equal(await bench.agent.add(info, other), '');
  closeSync(other);
  assert.notEqual(bench.pods.get('one')!.netns, before);
  assert.equal(bench.pods.started, 2);
});

test('pods outlive the agent; the next snapshot ends those it does not name', async () => {
  await using bench = new Bench();
  const { agent } = bench;
  await agent.accept();
  for (const uid of ['kept', 'added-again', 'gone', 'deleted']) assert.equal(await bench.add(uid), '');
  await agent.snapshot();
  agent.hangUp();
  await until('the end is noticed', () => !bench.ready);
  assert.equal(bench.uids().length, 4);
  await agent.accept();
  assert.equal(await agent.ask({ case: 'keep', value: { uid: 'kept' } }), '');
  assert.equal(await bench.add('added-again'), '');
  assert.equal(await bench.add('deleted'), '');
  assert.equal(await agent.ask({ case: 'del', value: { uid: 'deleted' } }), '');
  assert.equal(bench.uids().length, 4, 'nothing ends before the snapshot is complete');
  await agent.snapshot();
  assert.deepEqual(bench.uids(), ['kept', 'added-again']);
});

test('a pod that cannot be captured is told of, holds readiness and is tried again', async () => {
  await using bench = new Bench();
  await bench.agent.accept();
  bench.failing.set('bad', 'bind 15001: EADDRINUSE');
  assert.equal(await bench.add('bad'), 'failure to start proxy : bind 15001: EADDRINUSE');
  await bench.agent.snapshot();
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
  const { agent } = bench;
  await agent.accept();
  agent.send(new Uint8Array([0xff, 0xff, 0xff]));
  assert.match(await agent.ack(), /^failure to read message : undecodable/);
  await agent.ended();
  await agent.accept();
  agent.send(new Uint8Array(2000).fill(8));
  assert.match(await agent.ack(), /^failure to read message/);
  await agent.ended();
  await agent.accept();
  const workloadInfo = { name: 'x', namespace: 'shop', serviceAccount: 'default' };
  assert.match(await agent.ask({ case: 'add', value: { uid: 'x', workloadInfo } }), /0 descriptors, expected 1/);
  await agent.ended();
  await agent.accept();
  assert.match(await agent.ask({ case: 'keep', value: { uid: 'x' } }, [bench.netns]), /1 descriptors, expected 0/);
  assert.deepEqual(bench.fatal, []);
});

test('a broken protocol is fatal: neither side knows what the other holds', async () => {
  const ways: ((bench: Bench) => Promise<string>)[] = [
    (bench) => bench.agent.ask({ case: 'add', value: { uid: 'x' } }, [bench.netns]),
    async (bench) => {
      await bench.agent.snapshot();
      return bench.agent.snapshot();
    },
    async (bench) => {
      await bench.agent.snapshot();
      return bench.agent.ask({ case: 'keep', value: { uid: 'x' } });
    },
  ];
  for (const breakIt of ways) {
    await using bench = new Bench();
    await bench.agent.accept();
    assert.match(await breakIt(bench), /^failure to process message : /);
    await until('it is fatal', () => bench.fatal.length === 1);
  }
});
