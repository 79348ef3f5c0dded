// SPDX-License-Identifier: Apache-2.0
// The enroller on real namespaces, with a node proxy that is there or is not.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, close, read, send } from '#lib/linux/calls.ts';
import { POLLIN, POLLOUT } from '#lib/linux/constants.ts';
import { EAGAIN, ECONNREFUSED, ECONNRESET } from '#lib/linux/errno.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { Netns, netnsIdentity } from '#lib/linux/netns.ts';
import { applyNft } from '#lib/linux/nft.ts';
import { pollFor } from '#lib/linux/poll.ts';
import { socketError, tcpDial, tcpListen } from '#lib/linux/socket.ts';
import { unixConnect } from '#lib/linux/unix.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { Version, WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from '#lib/proto/gen/zds_pb.ts';
import { joinNetns, type TestNetns, testNetns } from '#lib/testkit/netns.ts';
import { until } from '#lib/testkit/until.ts';
import { HostRules } from '../rules/host.ts';
import { NAT_TABLE } from '../rules/in-pod.ts';
import { PodRedirection } from '../rules/pod.ts';
import { ZdsServer } from '../zds/server.ts';
import { Enroller } from './enroller.ts';
import type { EnrolRequest } from './enrolment.ts';
import { createCniMetrics } from './metrics.ts';
import { NetnsFinder } from './netns-finder.ts';

const PROBES = { ip: '169.254.7.127', ip6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' };
const OVERRIDES = { dnsCapture: true, bypassInbound: false, virtualInterfaces: [], unreadable: [] };
const POD = { uid: 'uid-1', name: 'web', namespace: 'shop', serviceAccount: 'web' };
/** Until something is there, at most. */
const SOON_MS = 30_000;
/** What takes so long is over only when a test lets it pass. */
const LONG_MS = 3_600_000;
const arena = Arena.allocate(4096);

/** Says hello, acknowledges everything, remembers what it was told and for which namespace. */
class NodeProxy {
  readonly told: string[] = [];
  netns = '';
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;

  constructor(path: string) {
    this.#fd = unixConnect(path);
    this.#send(toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 })));
    this.#timer = setInterval(() => this.#turn(), 2);
  }

  end(): void {
    clearInterval(this.#timer);
    close(this.#fd);
  }

  #turn(): void {
    const n = receiveMessage(this.#fd, arena, 0, 1024);
    if (n === -EAGAIN) return;
    if (n <= 0) {
      clearInterval(this.#timer);
      return;
    }
    const { payload } = fromBinary(WorkloadRequestSchema, arena.bytes.subarray(0, n));
    for (const fd of received.fds) {
      this.netns = netnsIdentity(fd);
      close(fd);
    }
    this.told.push(payload.case ?? '');
    const answer = create(WorkloadResponseSchema, { payload: { case: 'ack', value: { error: '' } } });
    this.#send(toBinary(WorkloadResponseSchema, answer));
  }

  #send(bytes: Uint8Array): void {
    arena.bytes.set(bytes, 2048);
    sendMessage(this.#fd, arena, 2048, bytes.length);
  }
}

interface Rig extends AsyncDisposable {
  readonly pod: TestNetns;
  readonly node: TestNetns;
  readonly enroller: Enroller;
  readonly redirection: PodRedirection;
  readonly logged: string[];
  readonly metrics: ReturnType<typeof createMetrics>;
  connect(): NodeProxy;
  /** Time passes. */
  pass(ms: number): void;
  request(starting?: boolean, strict?: boolean): EnrolRequest;
  keep(fd: number): number;
}

async function rig(): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-enrol-'));
  const pod = await testNetns('ambit-pod');
  const node = await testNetns('ambit-node');
  await joinNetns(pod, node, [{ left: '10.7.0.2/24', right: '10.7.0.1/24' }]);
  const logged: string[] = [];
  const log = createLogger({ scope: 'test', write: (line) => void logged.push(line), level: 'debug' });
  const metrics = createMetrics();
  const watch = new FdWatch();
  let aheadMs = 0;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs };
  const redirection = new PodRedirection();
  const host = new HostRules({ netns: node.netns, probes: PROBES, kubeletUid: 0 });
  await host.apply([]);
  const path = join(folder, 'zds.sock');
  const zds = new ZdsServer({
    ...{ path, watch, clock, log },
    pods: () => enroller.list(),
    onConnections: (count) => {
      if (count === 0) enroller.proxiesGone();
    },
    onSnapshot: () => {},
  });
  const enroller = new Enroller({
    ...{ redirection, host, zds, clock, log, metrics: createCniMetrics(metrics), probes: PROBES },
    ...{ openConnectionMs: LONG_MS, leaveMs: LONG_MS, proxyWaitMs: 100 },
  });
  zds.start();
  const proxies: NodeProxy[] = [];
  const fds: number[] = [];
  return {
    ...{ pod, node, enroller, redirection, logged, metrics },
    pass: (ms) => {
      aheadMs += ms;
    },
    connect: () => {
      const proxy = new NodeProxy(path);
      proxies.push(proxy);
      return proxy;
    },
    request: (starting = false, strict = false) => ({
      ...{ pod: POD, ips: ['10.7.0.2'], overrides: OVERRIDES, starting, strict },
      netns: async () => Netns.open(`/run/netns/${pod.name}`),
    }),
    keep: (fd) => {
      assert.ok(fd >= 0, `errno ${-fd}`);
      fds.push(fd);
      return fd;
    },
    [Symbol.asyncDispose]: async () => {
      for (const proxy of proxies) proxy.end();
      for (const fd of fds) close(fd);
      zds.close();
      watch.close();
      for (const held of enroller.list()) held.netns?.close();
      await pod[Symbol.asyncDispose]();
      await node[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Opens a connection from the pod to its node; the errno, or 0. */
function tryOut(r: Rig): number {
  const fd = r.keep(tcpDial(Endpoint.parse('10.7.0.1', 80)!, { netns: r.pod.netns.fd }));
  pollFor([{ fd, events: POLLOUT }], SOON_MS);
  return socketError(fd);
}

test('a pod that joins without a proxy is cut off and pending; when the proxy comes it is served', async () => {
  await using r = await rig();
  r.keep(tcpListen(Endpoint.parse('10.7.0.1', 80)!, { netns: r.node.netns.fd }));
  assert.equal(tryOut(r), 0, 'before, the pod speaks freely');
  await assert.rejects(r.enroller.enrol(r.request()), { code: 'ZDS_NO_PROXY' });
  assert.equal(r.enroller.get(POD.uid)!.state, 'pending');
  assert.equal(tryOut(r), ECONNREFUSED, 'nothing leaves in clear');
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  assert.equal(proxy.netns, r.pod.netns.id, 'the snapshot carries the namespace');
  await r.enroller.enrol(r.request());
  assert.equal(r.enroller.get(POD.uid)!.state, 'enrolled');
});

test('a starting pod is refused without a proxy, and nothing of it is held', async () => {
  await using r = await rig();
  await assert.rejects(r.enroller.enrol(r.request(true)), { code: 'ZDS_NO_PROXY' });
  assert.deepEqual(r.enroller.list(), []);
});

test('the proxy is told of a running pod before its rules stand, and a repeated enrolment changes nothing', async () => {
  await using r = await rig();
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request());
  assert.equal(r.enroller.get(POD.uid)!.state, 'enrolled');
  await r.enroller.enrol(r.request());
  assert.equal(r.enroller.get(POD.uid)!.state, 'enrolled');
  assert.deepEqual(proxy.told, ['snapshotSent', 'add']);
  assert.deepEqual(await r.redirection.problems(r.pod.netns, r.enroller.get(POD.uid)!.rules(PROBES)), []);
  assert.doesNotMatch((await r.metrics.text()).body, /ambit_cni_repairs_total\{/);
});

test('connections open at that moment live on, are listed, and end at the limit', async () => {
  await using r = await rig();
  const listener = r.keep(tcpListen(Endpoint.parse('10.7.0.1', 80)!, { netns: r.node.netns.fd }));
  const out = r.keep(tcpDial(Endpoint.parse('10.7.0.1', 80)!, { netns: r.pod.netns.fd }));
  pollFor([{ fd: listener, events: POLLIN }], SOON_MS);
  const peer = r.keep(accept(listener));
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request());
  const held = r.enroller.get(POD.uid)!;
  assert.deepEqual(
    held.open.map(({ remote }) => String(remote)),
    ['10.7.0.1:80'],
  );
  assert.ok(r.logged.some((line) => line.includes('connection lives on') && line.includes('10.7.0.1:80')));
  assert.match((await r.metrics.text()).body, /ambit_cni_open_connections 1/);
  send(out, arena, 0, 5);
  pollFor([{ fd: peer, events: POLLIN }], SOON_MS);
  assert.equal(read(peer, arena, 0, 10), 5, 'it still carries bytes');
  r.pass(LONG_MS);
  await r.enroller.enrol(r.request());
  assert.equal(held.lock, 'both');
  assert.match((await r.metrics.text()).body, /ambit_cni_ended_connections_total 1/);
});

test('under STRICT old connections into a pod end at once, those it opened live on', async () => {
  await using r = await rig();
  const outside = r.keep(tcpListen(Endpoint.parse('10.7.0.1', 80)!, { netns: r.node.netns.fd }));
  const inside = r.keep(tcpListen(Endpoint.parse('10.7.0.2', 8080)!, { netns: r.pod.netns.fd }));
  const out = r.keep(tcpDial(Endpoint.parse('10.7.0.1', 80)!, { netns: r.pod.netns.fd }));
  const into = r.keep(tcpDial(Endpoint.parse('10.7.0.2', 8080)!, { netns: r.node.netns.fd }));
  pollFor([{ fd: outside, events: POLLIN }], SOON_MS);
  const outPeer = r.keep(accept(outside));
  pollFor([{ fd: inside, events: POLLIN }], SOON_MS);
  r.keep(accept(inside));
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request(false, true));
  assert.equal(r.enroller.get(POD.uid)!.lock, 'inbound');
  assert.ok(r.logged.some((line) => line.includes('ended by STRICT') && line.includes('10.7.0.2:8080')));
  await until('a reset', () => {
    send(into, arena, 0, 5);
    return read(into, arena, 0, 10) === -ECONNRESET;
  });
  send(out, arena, 0, 5);
  pollFor([{ fd: outPeer, events: POLLIN }], SOON_MS);
  assert.equal(read(outPeer, arena, 0, 10), 5);
});

test('rules that somebody removed are found by the next look, mended, counted and logged', async () => {
  await using r = await rig();
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request());
  await applyNft([{ delete: { table: { family: 'inet', name: NAT_TABLE } } }], r.pod.netns);
  await r.enroller.enrol(r.request());
  assert.deepEqual(await r.redirection.problems(r.pod.netns, r.enroller.get(POD.uid)!.rules(PROBES)), []);
  assert.match((await r.metrics.text()).body, /ambit_cni_repairs_total\{what="istio-ambient-nat"\} 1/);
});

test('a pod leaves in two steps, and nothing of it stays', async () => {
  await using r = await rig();
  r.keep(tcpListen(Endpoint.parse('10.7.0.1', 80)!, { netns: r.node.netns.fd }));
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request());
  await r.enroller.beginLeaving(POD.uid);
  assert.equal(tryOut(r), 0, 'new connections are direct at once');
  assert.ok(!proxy.told.includes('del'), 'the proxy still serves what it has');
  r.pass(LONG_MS);
  await until('the pod to be out', () => r.enroller.finishLeaving(POD.uid));
  assert.equal(proxy.told.at(-1), 'del');
  assert.equal(await r.redirection.present(r.pod.netns), false);
  assert.deepEqual(r.enroller.list(), []);
});

test('trap 16: a pod that is gone is withdrawn from the proxy and its namespace is held no longer', async () => {
  await using r = await rig();
  const proxy = r.connect();
  await until('the snapshot', () => proxy.told.includes('snapshotSent'));
  await r.enroller.enrol(r.request());
  const held = r.enroller.get(POD.uid)!;
  await r.enroller.forget(POD.uid);
  assert.equal(proxy.told.at(-1), 'del');
  assert.equal(held.netns!.closed, true);
});

test("a pod's namespace is found by control group and address, and a visitor of another namespace is not believed", async () => {
  await using own = await testNetns('ambit-find');
  await using other = await testNetns('ambit-find');
  await joinNetns(own, other, [{ left: '10.8.0.2/24', right: '10.8.0.1/24' }]);
  const proc = mkdtempSync(join(tmpdir(), 'ambit-proc-'));
  const uid = '0f9a1c2d-1234-4abc-8def-0123456789ab';
  const add = (pid: number, netns: string, started: number, of = uid) => {
    mkdirSync(join(proc, String(pid), 'ns'), { recursive: true });
    symlinkSync(netns, join(proc, String(pid), 'ns/net'));
    writeFileSync(join(proc, String(pid), 'cgroup'), `0::/kubepods/besteffort/pod${of}/c\n`);
    writeFileSync(join(proc, String(pid), 'stat'), `${pid} (a) b) S ${'0 '.repeat(18)}${started} 0`);
  };
  try {
    add(1, '/proc/self/ns/net', 1, '00000000-0000-0000-0000-000000000000');
    add(10, `/run/netns/${other.name}`, 5);
    add(11, '/proc/self/ns/net', 6);
    add(12, `/run/netns/${own.name}`, 7);
    const finder = new NetnsFinder(proc);
    const found = await finder.find(uid, ['10.8.0.2']);
    assert.equal(found?.id, own.netns.id, 'the oldest process only visits');
    found.close();
    assert.equal(await finder.find(uid, ['10.8.0.99']), undefined);
    assert.equal(await finder.find('11111111-1111-1111-1111-111111111111', ['10.8.0.2']), undefined);
  } finally {
    rmSync(proc, { recursive: true });
  }
});
