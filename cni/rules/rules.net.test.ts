// SPDX-License-Identifier: Apache-2.0
// The rules on a real kernel: a pod, its node and a client behind it, with stand-ins for the proxy's listeners.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, close, read, send } from '#lib/linux/calls.ts';
import { POLLIN, POLLOUT } from '#lib/linux/constants.ts';
import { ECONNREFUSED, ECONNRESET } from '#lib/linux/errno.ts';
import { ip } from '#lib/linux/ip.ts';
import { applyNft, listNftTable } from '#lib/linux/nft.ts';
import { pollFor } from '#lib/linux/poll.ts';
import * as socket from '#lib/linux/socket.ts';
import { joinNetns, type TestNetns, testNetns } from '#lib/testkit/netns.ts';
import { HostRules } from './host.ts';
import { NAT_TABLE, PORTS, type PodRules, PROXY_MARK, RAW_TABLE } from './in-pod.ts';
import { PodRedirection } from './pod.ts';

const PROBES = { ip: '169.254.7.127', ip6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' };
const RULES: PodRules = {
  probes: PROBES,
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  lock: 'open',
  leaving: false,
};
/** Until something is there, at most. */
const SOON_MS = 30_000;
const arena = Arena.allocate(4096);

const at = (text: string, port = 0): Endpoint => Endpoint.parse(text, port)!;

interface Bench extends AsyncDisposable {
  readonly pod: TestNetns;
  readonly node: TestNetns;
  readonly redirection: PodRedirection;
  /** Sockets to close at the end. */
  keep(fd: number): number;
}

const POD = { 4: '10.6.0.2', 6: 'fd00:6::2' } as const;
const NODE = { 4: '10.6.0.1', 6: 'fd00:6::1' } as const;

async function bench(): Promise<Bench> {
  const pod = await testNetns('ambit-pod');
  const node = await testNetns('ambit-node');
  await joinNetns(pod, node, [
    { left: `${POD[4]}/24`, right: `${NODE[4]}/24` },
    { left: `${POD[6]}/64`, right: `${NODE[6]}/64` },
  ]);
  await ip(['route', 'add', 'default', 'via', NODE[4]], pod.netns);
  await ip(['-6', 'route', 'add', 'default', 'via', NODE[6]], pod.netns);
  const fds: number[] = [];
  const dispose = async () => {
    for (const fd of fds) close(fd);
    await pod[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
  };
  const keep = (fd: number) => {
    assert.ok(fd >= 0, `errno ${-fd}`);
    fds.push(fd);
    return fd;
  };
  return { pod, node, redirection: new PodRedirection(), keep, [Symbol.asyncDispose]: dispose };
}

const listen = (where: TestNetns, address: string, port: number, mark?: number) =>
  socket.tcpListen(at(address, port), { netns: where.netns.fd, mark });
const dial = (where: TestNetns, address: string, port: number, mark?: number) =>
  socket.tcpDial(at(address, port), { netns: where.netns.fd, mark });

/** 'open', or the errno with which the connection failed. */
function outcome(fd: number): 'open' | number {
  pollFor([{ fd, events: POLLOUT }], SOON_MS);
  const error = socket.socketError(fd);
  return error === 0 ? 'open' : error;
}

function accepted(listener: number): number {
  pollFor([{ fd: listener, events: POLLIN }], SOON_MS);
  const fd = accept(listener);
  assert.ok(fd >= 0, 'nothing to accept');
  return fd;
}

/** Sends a few bytes and says what the other end got of them, or its errno. */
function exchange(from: number, to: number): number {
  send(from, arena, 0, 5);
  pollFor([{ fd: to, events: POLLIN }], SOON_MS);
  return read(to, arena, 0, 100);
}

/** Whether the connection is reset when it is used. */
function endsByReset(fd: number): boolean {
  for (const deadline = Date.now() + SOON_MS; Date.now() < deadline; ) {
    if (send(fd, arena, 0, 5) === -ECONNRESET) return true;
    pollFor([{ fd, events: POLLIN }], 200);
    if (read(fd, arena, 0, 10) === -ECONNRESET) return true;
  }
  return false;
}

for (const family of [4, 6] as const) {
  test(`what a pod opens goes to the proxy, what it receives too, and the proxy itself is let out (IPv${family})`, async () => {
    await using b = await bench();
    await b.redirection.apply(b.pod.netns, RULES);
    const outbound = b.keep(listen(b.pod, '::', PORTS.outbound, PROXY_MARK));
    const inbound = b.keep(listen(b.pod, '::', PORTS.inbound, PROXY_MARK));
    const hbone = b.keep(listen(b.pod, '::', PORTS.hbone, PROXY_MARK));
    const server = b.keep(listen(b.node, '::', 80));
    const original = new Endpoint();

    b.keep(dial(b.pod, NODE[family], 80));
    assert.equal(socket.originalDestination(b.keep(accepted(outbound)), original), 0);
    assert.equal(String(original), String(at(NODE[family], 80)));

    b.keep(dial(b.node, POD[family], 8080));
    assert.equal(socket.originalDestination(b.keep(accepted(inbound)), original), 0);
    assert.equal(String(original), String(at(POD[family], 8080)));

    b.keep(dial(b.node, POD[family], PORTS.hbone));
    b.keep(accepted(hbone));

    b.keep(dial(b.pod, NODE[family], 80, PROXY_MARK));
    b.keep(accepted(server));
  });

  test(`without a proxy nothing leaves or enters in clear: TCP and DNS are refused (IPv${family})`, async () => {
    await using b = await bench();
    await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'both' });
    b.keep(listen(b.node, '::', 80));
    const dnsTcp = b.keep(listen(b.node, '::', 53));
    const dns = b.keep(socket.udpBind(at('::', 53), { netns: b.node.netns.fd }));
    b.keep(listen(b.pod, '::', 8080));
    assert.equal(outcome(b.keep(dial(b.pod, NODE[family], 80))), ECONNREFUSED);
    assert.equal(outcome(b.keep(dial(b.pod, NODE[family], 53))), ECONNREFUSED);
    assert.equal(outcome(b.keep(dial(b.node, POD[family], 8080))), ECONNREFUSED);
    const query = b.keep(socket.udpBind(at(POD[family]), { netns: b.pod.netns.fd }));
    assert.equal(socket.udpConnect(query, at(NODE[family], 53)), 0);
    send(query, arena, 0, 20);
    assert.deepEqual(pollFor([{ fd: dns, events: POLLIN }], 200), [0]);
    assert.equal(accept(dnsTcp), -11);
  });

  test(`connections open before go on, and the lock ends exactly those (IPv${family})`, async () => {
    await using b = await bench();
    const server = b.keep(listen(b.node, '::', 80));
    const app = b.keep(listen(b.pod, '::', 8080));
    const out = b.keep(dial(b.pod, NODE[family], 80));
    const outPeer = b.keep(accepted(server));
    const into = b.keep(dial(b.node, POD[family], 8080));
    const intoPeer = b.keep(accepted(app));

    await b.redirection.apply(b.pod.netns, RULES);
    const outbound = b.keep(listen(b.pod, '::', PORTS.outbound, PROXY_MARK));
    const inbound = b.keep(listen(b.pod, '::', PORTS.inbound, PROXY_MARK));
    const captured = b.keep(dial(b.pod, NODE[family], 80));
    const capturedPeer = b.keep(accepted(outbound));
    const received = b.keep(dial(b.node, POD[family], 8080));
    const receivedPeer = b.keep(accepted(inbound));
    const proxys = b.keep(dial(b.pod, NODE[family], 80, PROXY_MARK));
    const proxysPeer = b.keep(accepted(server));
    const pairs = [
      [captured, capturedPeer],
      [received, receivedPeer],
      [proxys, proxysPeer],
    ] as const;
    for (const [one, other] of [[out, outPeer], [into, intoPeer], ...pairs] as const) {
      assert.equal(exchange(one, other), 5);
      assert.equal(exchange(other, one), 5);
    }

    await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'inbound' });
    assert.equal(exchange(out, outPeer), 5, 'what the pod opened goes on');
    assert.ok(endsByReset(into), 'what came in ends');
    assert.ok(endsByReset(intoPeer), 'and the application learns of it');
    await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'both' });
    assert.ok(endsByReset(out));
    for (const [one, other] of pairs) {
      assert.equal(exchange(other, one), 5);
      assert.equal(exchange(one, other), 5);
    }
  });

  test(`while a pod leaves, what goes through the proxy goes on and new connections are direct (IPv${family})`, async () => {
    await using b = await bench();
    await b.redirection.apply(b.pod.netns, RULES);
    const outbound = b.keep(listen(b.pod, '::', PORTS.outbound, PROXY_MARK));
    const inbound = b.keep(listen(b.pod, '::', PORTS.inbound, PROXY_MARK));
    const captured = b.keep(dial(b.pod, NODE[family], 80));
    const capturedPeer = b.keep(accepted(outbound));
    const received = b.keep(dial(b.node, POD[family], 8080));
    const receivedPeer = b.keep(accepted(inbound));
    await b.redirection.apply(b.pod.netns, { ...RULES, leaving: true });
    const server = b.keep(listen(b.node, '::', 80));
    const app = b.keep(listen(b.pod, '::', 8080));
    b.keep(dial(b.pod, NODE[family], 80));
    b.keep(accepted(server));
    b.keep(dial(b.node, POD[family], 8080));
    b.keep(accepted(app));
    assert.equal(exchange(captured, capturedPeer), 5);
    assert.equal(exchange(capturedPeer, captured), 5);
    assert.equal(exchange(received, receivedPeer), 5);
    assert.equal(exchange(receivedPeer, received), 5);
  });

  test(`an application sees the address that the proxy borrowed, and its answers reach the proxy (IPv${family})`, async () => {
    await using b = await bench();
    await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'both' });
    const app = b.keep(listen(b.pod, '::', 8080));
    const client = family === 4 ? '10.99.0.7' : 'fd00:99::7';
    const spoofed = b.keep(
      socket.tcpDial(at(POD[family], 8080), {
        netns: b.pod.netns.fd,
        mark: PROXY_MARK,
        transparent: true,
        freebind: true,
        source: at(client),
      }),
    );
    const peer = b.keep(accepted(app));
    const address = new Endpoint();
    socket.peerAddress(peer, address);
    assert.equal(address.ip(), client);
    assert.equal(exchange(peer, spoofed), 5);
    assert.equal(exchange(spoofed, peer), 5);
  });

  test(`the kubelet's probes pass, other connections of the node do not (IPv${family})`, async () => {
    await using b = await bench();
    await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'both' });
    const host = new HostRules({ netns: b.node.netns, probes: PROBES, kubeletUid: 0 });
    const app = b.keep(listen(b.pod, '::', 8080));
    await host.apply([]);
    assert.equal(outcome(b.keep(dial(b.node, POD[family], 8080))), ECONNREFUSED);
    await host.setAddresses(Object.values(POD));
    const probe = b.keep(dial(b.node, POD[family], 8080));
    assert.equal(outcome(probe), 'open');
    const peer = b.keep(accepted(app));
    const address = new Endpoint();
    socket.peerAddress(peer, address);
    assert.equal(address.ip(), family === 4 ? PROBES.ip : PROBES.ip6);
    assert.equal(exchange(probe, peer), 5);
    assert.equal(exchange(peer, probe), 5);
    assert.ok(await host.sound());
    await host.remove();
    assert.ok(!(await host.sound()));
  });
}

test('the pod itself and its loopback are not redirected', async () => {
  await using b = await bench();
  await b.redirection.apply(b.pod.netns, { ...RULES, lock: 'both' });
  const app = b.keep(listen(b.pod, '::', 8080));
  for (const address of ['127.0.0.1', '::1', POD[4], POD[6]]) {
    assert.equal(outcome(b.keep(dial(b.pod, address, 8080))), 'open', address);
    b.keep(accepted(app));
  }
});

test('damage of any kind is found, and mended', async () => {
  await using b = await bench();
  const { netns } = b.pod;
  const { redirection } = b;
  const sound = async () => assert.deepEqual(await redirection.problems(netns, RULES), []);
  assert.ok((await redirection.problems(netns, RULES)).length >= 3);
  await redirection.apply(netns, RULES);
  await sound();
  const family = 'inet';
  const damages: (() => Promise<unknown>)[] = [
    () => applyNft([{ delete: { table: { family, name: NAT_TABLE } } }], netns),
    () => applyNft([{ flush: { chain: { family, table: NAT_TABLE, name: 'istio-output' } } }], netns),
    () => applyNft([{ flush: { table: { family, name: RAW_TABLE } } }], netns),
    () =>
      applyNft(
        [{ insert: { rule: { family, table: NAT_TABLE, chain: 'istio-output', expr: [{ accept: null }] } } }],
        netns,
      ),
    () => applyNft([{ add: { table: { family, name: 'ambit-ambient-lock' } } }], netns),
    () => ip(['rule', 'del', 'pref', '32764'], netns),
    () => ip(['route', 'flush', 'table', '100'], netns),
    () => ip(['-6', 'rule', 'del', 'pref', '32764'], netns),
  ];
  for (const [n, damage] of damages.entries()) {
    await damage();
    assert.equal((await redirection.problems(netns, RULES)).length, 1, `damage ${n}`);
    await redirection.apply(netns, RULES);
    await sound();
  }
  // A chain of our name with another hook cannot be changed in place.
  await applyNft(
    [
      { delete: { table: { family, name: NAT_TABLE } } },
      { add: { table: { family, name: NAT_TABLE } } },
      {
        add: {
          chain: {
            family,
            table: NAT_TABLE,
            name: 'output',
            type: 'filter',
            hook: 'output',
            prio: 7,
            policy: 'accept',
          },
        },
      },
    ],
    netns,
  );
  await redirection.apply(netns, RULES);
  await sound();
});

test('switching DNS capture off removes its rules, and removal leaves nothing', async () => {
  await using b = await bench();
  const { netns } = b.pod;
  await b.redirection.apply(netns, RULES);
  const withoutDns = { ...RULES, dnsCapture: false };
  await b.redirection.apply(netns, withoutDns);
  assert.equal(await listNftTable('inet', RAW_TABLE, netns), undefined);
  assert.deepEqual(await b.redirection.problems(netns, withoutDns), []);
  await b.redirection.remove(netns);
  await b.redirection.remove(netns);
  assert.equal(await b.redirection.present(netns), false);
  const server = b.keep(listen(b.node, '::', 80));
  b.keep(dial(b.pod, NODE[4], 80));
  b.keep(accepted(server));
});
