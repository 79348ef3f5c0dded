// SPDX-License-Identifier: Apache-2.0
// Sockets in namespaces of their own: redirection, kept source addresses, options, listeners that close.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinNetns, type TestNetns, testNetns } from '#lib/testkit/netns.ts';
import { Endpoint } from './address.ts';
import { Arena } from './arena.ts';
import { accept, close, read, send } from './calls.ts';
import * as C from './constants.ts';
import { ECONNRESET } from './errno.ts';
import { ip } from './ip.ts';
import { udpReceive, udpSend } from './message.ts';
import { applyNft, type Json, type NftCommand } from './nft.ts';
import { pollFor } from './poll.ts';
import * as socket from './socket.ts';
import { migrateListeners, writeSysctl } from './sysctl.ts';

const arena = Arena.allocate(4096);

function at(text: string, port = 0): Endpoint {
  return Endpoint.parse(text, port)!;
}

/** Polls until `call` gives something that is not negative. */
function soon(call: () => number): number {
  for (let n = 0; n < 15_000; n++) {
    const result = call();
    if (result >= 0) return result;
    pollFor([], 2);
  }
  return assert.fail('nothing within 30 s');
}

/** Redirects TCP and UDP to `port` for everything that a local process of the namespace sends to `target`. */
function redirect(family: 'ip' | 'ip6', target: string, from: number, to: number): NftCommand[] {
  const match = (left: Json, right: string | number): Json => ({ match: { op: '==', left, right } });
  const rule = (protocol: string): NftCommand => ({
    add: {
      rule: {
        family,
        table: 't',
        chain: 'output',
        expr: [
          match({ payload: { protocol: family, field: 'daddr' } }, target),
          match({ payload: { protocol, field: 'dport' } }, from),
          { redirect: { port: to } },
        ],
      },
    },
  });
  return [
    { add: { table: { family, name: 't' } } },
    {
      add: { chain: { family, table: 't', name: 'output', type: 'nat', hook: 'output', prio: -100, policy: 'accept' } },
    },
    rule('tcp'),
    rule('udp'),
  ];
}

for (const [family, target, loopback] of [
  ['ip', '10.9.9.9', '127.0.0.1'],
  ['ip6', 'fd00:9::9', '::1'],
] as const) {
  test(`a redirected connection tells its original destination (${family})`, async () => {
    await using ns = await testNetns();
    const { netns } = ns;
    await ip(['route', 'add', 'default', 'dev', 'lo'], netns);
    await ip(['-6', 'route', 'add', 'default', 'dev', 'lo'], netns);
    await applyNft(redirect(family, target, 80, 15001), netns);
    const listener = socket.tcpListen(at('::', 15001), { netns: netns.fd });
    const dialled = socket.tcpDial(at(target, 80), { netns: netns.fd });
    assert.ok(dialled >= 0);
    const accepted = soon(() => accept(listener));
    const original = new Endpoint();
    assert.equal(socket.originalDestination(accepted, original), 0);
    assert.equal(String(original), String(at(target, 80)));
    // A connection that nobody redirected has none, or its own address.
    const direct = socket.tcpDial(at(loopback, 15001), { netns: netns.fd });
    const plain = soon(() => accept(listener));
    if (socket.originalDestination(plain, original) === 0) assert.equal(String(original), String(at(loopback, 15001)));
    for (const fd of [listener, dialled, accepted, direct, plain]) close(fd);
  });

  test(`a redirected datagram is answered from where it was sent to (${family})`, async () => {
    await using ns = await testNetns();
    const { netns } = ns;
    const own = family === 'ip' ? '10.1.0.1' : 'fd00:1::1';
    await ip(['address', 'add', family === 'ip' ? `${own}/32` : `${own}/128`, 'dev', 'lo'], netns);
    await ip([family === 'ip' ? '-4' : '-6', 'route', 'add', 'default', 'dev', 'lo', 'src', own], netns);
    await applyNft(redirect(family, target, 53, 15053), netns);
    const server = socket.udpBind(at('::', 15053), { netns: netns.fd, packetInfo: true });
    const client = socket.udpBind(at(own), { netns: netns.fd });
    assert.equal(socket.udpConnect(client, at(target, 53)), 0);
    assert.equal(send(client, arena, 0, 7), 7);
    const from = new Endpoint();
    const to = new Endpoint();
    assert.equal(
      soon(() => udpReceive(server, arena, 0, 100, from, to)),
      7,
    );
    assert.equal(from.ip(), own);
    assert.equal(udpSend(server, arena, 0, 5, from, to, true), 5);
    assert.equal(
      soon(() => read(client, arena, 0, 100)),
      5,
      'the connected client heard the answer',
    );
    close(server);
    close(client);
  });
}

/** Two joined namespaces; the right one owns 10.2.0.2, and sends what is for 10.3.0.0/16 to the left. */
async function joined(): Promise<{ left: TestNetns; right: TestNetns } & AsyncDisposable> {
  const left = await testNetns();
  const right = await testNetns();
  const dispose = async () => {
    await left[Symbol.asyncDispose]();
    await right[Symbol.asyncDispose]();
  };
  await joinNetns(left, right, [
    { left: '10.2.0.1/24', right: '10.2.0.2/24' },
    { left: 'fd00:2::1/64', right: 'fd00:2::2/64' },
  ]);
  await ip(['route', 'add', '10.3.0.0/16', 'via', '10.2.0.1'], right.netns);
  return { left, right, [Symbol.asyncDispose]: dispose };
}

test('a connection can keep a source address that is not ours', async () => {
  await using ends = await joined();
  // Answers to the foreign address come back to us only where routing says that it is local.
  await ip(['route', 'add', 'local', '10.3.0.0/16', 'dev', 'lo'], ends.left.netns);
  const listener = socket.tcpListen(at('10.2.0.2', 80), { netns: ends.right.netns.fd });
  const source = at('10.3.0.77');
  const dialled = socket.tcpDial(at('10.2.0.2', 80), {
    netns: ends.left.netns.fd,
    transparent: true,
    freebind: true,
    source,
  });
  assert.ok(dialled >= 0);
  const accepted = soon(() => accept(listener));
  const peer = new Endpoint();
  socket.peerAddress(accepted, peer);
  assert.equal(peer.ip(), '10.3.0.77');
  for (const fd of [listener, dialled, accepted]) close(fd);
});

test('trap 20: one kept source reaches many destinations, though ports are few', async () => {
  await using ends = await joined();
  writeSysctl('net/ipv4/ip_local_port_range', '40000 40199', ends.left.netns);
  const listeners = [81, 82, 83, 84].map((port) =>
    socket.tcpListen(at('10.2.0.2', port), { netns: ends.right.netns.fd, backlog: 1024 }),
  );
  const source = at('10.2.0.1');
  const dialled: number[] = [];
  for (let n = 0; n < 4 * 190; n++) {
    const fd = socket.tcpDial(at('10.2.0.2', 81 + (n % 4)), { netns: ends.left.netns.fd, source });
    assert.ok(fd >= 0, `connection ${n} failed with errno ${-fd}`);
    dialled.push(fd);
  }
  const peer = new Endpoint();
  assert.equal(socket.localAddress(dialled[0]!, peer), 0);
  assert.equal(peer.ip(), '10.2.0.1');
  for (const fd of [...dialled, ...listeners]) close(fd);
});

test('trap 20: the factory sets every option that it was told to, before bind and connect', async () => {
  await using ns = await testNetns();
  const keepAlive = { idleS: 180, intervalS: 181, probes: 9 };
  const options = {
    netns: ns.netns.fd,
    mark: 0x539,
    transparent: true,
    freebind: true,
    noDelay: true,
    keepAlive,
    userTimeoutMs: 1800,
  };
  const listener = socket.tcpListen(at('127.0.0.1', 80), { ...options, reusePort: true });
  const v6 = socket.tcpListen(at('::1', 81), { ...options, reusePort: true });
  const dialled = socket.tcpDial(at('127.0.0.1', 80), { ...options, source: at('127.0.0.5') });
  const expected: readonly [number, number, number][] = [
    [C.SOL_SOCKET, C.SO_MARK, 0x539],
    [C.SOL_IP, C.IP_TRANSPARENT, 1],
    [C.SOL_TCP, C.TCP_NODELAY, 1],
    [C.SOL_SOCKET, C.SO_KEEPALIVE, 1],
    [C.SOL_TCP, C.TCP_KEEPIDLE, 180],
    [C.SOL_TCP, C.TCP_KEEPINTVL, 181],
    [C.SOL_TCP, C.TCP_KEEPCNT, 9],
    [C.SOL_TCP, C.TCP_USER_TIMEOUT, 1800],
  ];
  for (const fd of [listener, v6, dialled]) {
    for (const [level, name, value] of expected)
      assert.equal(socket.getOption(fd, level, name), value, `option ${level}/${name}`);
  }
  assert.equal(socket.getOption(dialled, C.SOL_IP, C.IP_BIND_ADDRESS_NO_PORT), 1);
  assert.equal(socket.getOption(dialled, C.SOL_IP, C.IP_FREEBIND), 1);
  assert.equal(socket.getOption(v6, C.SOL_IPV6, C.IPV6_TRANSPARENT), 1);
  assert.equal(socket.getOption(listener, C.SOL_SOCKET, C.SO_REUSEPORT), 1);
  for (const fd of [listener, v6, dialled]) close(fd);
});

test('a refused connection shows as the error of its socket', async () => {
  await using ns = await testNetns();
  const fd = socket.tcpDial(at('127.0.0.1', 9), { netns: ns.netns.fd });
  assert.ok(fd >= 0 || fd === -111);
  if (fd >= 0) {
    pollFor([{ fd, events: C.POLLOUT }], 1000);
    assert.equal(socket.socketError(fd), 111);
    assert.equal(socket.socketError(fd), 0, 'reading it clears it');
    close(fd);
  }
});

test('where no address fits, the refusal names call, address and cause', async () => {
  await using ns = await testNetns();
  assert.throws(() => socket.tcpListen(at('10.77.0.1', 80), { netns: ns.netns.fd }), {
    code: 'SYSCALL_EADDRNOTAVAIL',
    message: /bind 10\.77\.0\.1:80/,
    advice: /no interface/,
  });
});

test('trap 23: with migration set, closing one of two listeners of a port resets no waiting connection', async () => {
  await using ns = await testNetns();
  migrateListeners(ns.netns);
  const options = { netns: ns.netns.fd, reusePort: true };
  const first = socket.tcpListen(at('127.0.0.1', 80), options);
  const second = socket.tcpListen(at('127.0.0.1', 80), options);
  const dialled = Array.from({ length: 60 }, () => socket.tcpDial(at('127.0.0.1', 80), { netns: ns.netns.fd }));
  pollFor([{ fd: second, events: C.POLLIN }], 30_000);
  close(first);
  const accepted: number[] = [];
  while (accepted.length < 60) accepted.push(soon(() => accept(second)));
  assert.equal(dialled.filter((fd) => read(fd, arena, 0, 1) === -ECONNRESET).length, 0);
  for (const fd of [...dialled, ...accepted, second]) close(fd);
});
