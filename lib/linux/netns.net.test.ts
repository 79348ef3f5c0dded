// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { joinNetns, testNetns } from '#lib/testkit/netns.ts';
import { until } from '#lib/testkit/until.ts';
import { Endpoint } from './address.ts';
import { close } from './calls.ts';
import { addresses, deleteNetns, ip, ipBatch, links, routes, rules } from './ip.ts';
import { inNetns, Netns } from './netns.ts';
import { applyNft, listNftTable, listNftTables } from './nft.ts';
import { tcpListen } from './socket.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

/** Threads come and go while the list is read; one that has ended meanwhile is in no namespace. */
function namespacesOfAllThreads(): Set<string> {
  const found = new Set<string>();
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      found.add(readlinkSync(`/proc/self/task/${thread}/ns/net`));
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return found;
}

test('trap 15: after a storm of trips into namespaces, with threads born meanwhile, every thread is at home', async () => {
  await using one = await testNetns();
  await using two = await testNetns();
  const home = readlinkSync('/proc/self/ns/net');
  const exits: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round++) {
    const reads = Array.from({ length: 8 }, () => readFile('/proc/self/status'));
    exits.push(once(new Worker('setTimeout(() => {}, 50)', { eval: true }), 'exit'));
    for (let n = 0; n < 50; n++) {
      const { netns } = n % 2 ? one : two;
      close(tcpListen(Endpoint.parse('127.0.0.1')!, { netns: netns.fd }));
      inNetns(netns.fd, () => close(tcpListen(Endpoint.parse('127.0.0.1')!)));
    }
    await Promise.all(reads);
    assert.deepEqual(namespacesOfAllThreads(), new Set([home]));
  }
  await Promise.all(exits);
});

test('trap 15: an error inside a namespace comes out at home', async () => {
  await using ns = await testNetns();
  const home = Netns.current();
  assert.throws(
    () =>
      inNetns(ns.netns.fd, () => {
        throw new Error('inside');
      }),
    /inside/,
  );
  const now = Netns.current();
  assert.equal(now.id, home.id);
  now.close();
  home.close();
});

test('trap 15: a failed way home ends the process', async () => {
  await using ns = await testNetns();
  const module = new URL('./netns.ts', import.meta.url).href;
  const calls = new URL('./calls.ts', import.meta.url).href;
  const code = `
    import { inNetns, openHomeNetns, Netns } from ${JSON.stringify(module)};
    import { close } from ${JSON.stringify(calls)};
    const home = openHomeNetns();
    const foreign = Netns.open('/run/netns/${ns.name}');
    inNetns(foreign.fd, () => close(home));
    console.log('went on');
  `;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code]);
  let out = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const [status] = await once(child, 'close');
  assert.deepEqual([status, out], [71, '']);
  assert.match(errors, /setns: the way home failed with EBADF/);
});

test('a namespace is told apart by device and inode, however it was opened', async () => {
  await using one = await testNetns();
  await using two = await testNetns();
  const again = Netns.open(`/run/netns/${one.name}`);
  assert.equal(again.id, one.netns.id);
  assert.notEqual(two.netns.id, one.netns.id);
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const ofChild = Netns.ofProcess(child.pid!);
  const own = Netns.current();
  assert.equal(ofChild.id, own.id);
  child.kill('SIGKILL');
  for (const netns of [again, ofChild, own]) netns.close();
  assert.throws(() => Netns.open('/run/netns/no-such-name'), { code: 'SYSCALL_ENOENT', message: /no-such-name/ });
});

test('trap 16: a deleted namespace is gone soon after its last socket and handle', async () => {
  await using left = await testNetns();
  const right = await testNetns();
  await joinNetns(left, right, [{ left: '10.4.0.1/24', right: '10.4.0.2/24' }]);
  const listener = tcpListen(Endpoint.parse('10.4.0.2', 80)!, { netns: right.netns.fd });
  const there = async () => (await links(left.netns)).some(({ ifname }) => ifname === 'eth0');
  await deleteNetns(right.name);
  assert.ok(await there(), 'the handle and the socket keep it alive');
  right.netns.close();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(await there(), 'the socket keeps it alive');
  close(listener);
  // The kernel does it in the background, one after another.
  await until('the namespace to be gone', async () => !(await there()));
});

test('settings are read and written in the namespace they belong to', async () => {
  await using ns = await testNetns();
  const before = readSysctl('net/ipv4/ip_local_port_range');
  writeSysctl('net/ipv4/ip_local_port_range', '41000 42000', ns.netns);
  assert.equal(readSysctl('net/ipv4/ip_local_port_range', ns.netns), '41000\t42000');
  assert.equal(readSysctl('net/ipv4/ip_local_port_range'), before);
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').trim(), before);
  assert.throws(() => readSysctl('net/ipv4/no_such_setting', ns.netns), { code: 'SYSCALL_ENOENT' });
});

test('links, addresses, routes and rules are read as they were set', async () => {
  await using ns = await testNetns();
  const { netns } = ns;
  await ipBatch(
    [
      ['link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1'],
      ['link', 'set', 'veth0', 'up'],
      ['address', 'add', '10.5.0.1/24', 'dev', 'veth0'],
      ['rule', 'add', 'fwmark', '0x111/0xfff', 'pref', '32764', 'lookup', '100'],
      ['route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100'],
    ],
    netns,
  );
  assert.ok((await links(netns)).some(({ ifname, linkinfo }) => ifname === 'veth0' && linkinfo?.info_kind === 'veth'));
  const found = (await addresses(netns)).find(({ ifname }) => ifname === 'veth0');
  assert.ok(found?.addr_info.some(({ local, prefixlen }) => local === '10.5.0.1' && prefixlen === 24));
  assert.deepEqual(
    (await routes(4, '100', netns)).map(({ type, dst, dev }) => [type, dst, dev]),
    [['local', 'default', 'lo']],
  );
  const rule = (await rules(4, netns)).find(({ priority }) => priority === 32764);
  assert.deepEqual([rule?.fwmark, rule?.fwmask, rule?.table], ['0x111', '0xfff', '100']);
  assert.deepEqual(await routes(6, '100', netns), []);
  await assert.rejects(ip(['link', 'set', 'nope', 'up'], netns), { code: 'PROGRAM_FAILED', message: /nope/ });
});

test('an nft batch is applied whole or not at all, and listed', async () => {
  await using ns = await testNetns();
  const { netns } = ns;
  assert.equal(await listNftTable('inet', 'one', netns), undefined);
  await applyNft([{ add: { table: { family: 'inet', name: 'one' } } }], netns);
  assert.deepEqual(await listNftTables(netns), [{ family: 'inet', name: 'one' }]);
  const bad = [
    { add: { table: { family: 'inet', name: 'two' } } },
    { add: { chain: { family: 'inet', table: 'missing', name: 'c' } } },
  ];
  await assert.rejects(applyNft(bad, netns), { code: 'PROGRAM_FAILED' });
  assert.equal(await listNftTable('inet', 'two', netns), undefined);
  assert.equal((await listNftTable('inet', 'one', netns))?.length, 1);
});
