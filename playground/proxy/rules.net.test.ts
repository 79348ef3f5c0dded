// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../fabric/command.ts';
import type { Frontend } from './balance.ts';
import { proxyRules } from './rules.ts';

// A network namespace of its own: the shell's, gone with it.
const inside = (script: string, input: string): Promise<string> =>
  run('unshare', ['--net', '/bin/sh', '-c', script], { input });

const frontend = (family: 'ipv4' | 'ipv6', address: string, backends: Frontend['backends']): Frontend => ({
  ...{ name: 'default/shop:http', family, protocol: 'tcp', addresses: [address], port: 80, nodePort: 30080, backends },
});

test('the kernel takes the rules of both families, twice, and keeps one copy', async () => {
  const rules = proxyRules([
    frontend('ipv4', '10.96.0.7', [
      { address: '10.244.1.2', port: 8080 },
      { address: '10.244.2.2', port: 8080 },
    ]),
    frontend('ipv6', 'fd00:10:96::7', [{ address: 'fd00:10:244:1::2', port: 8080 }]),
    { ...frontend('ipv4', '10.96.0.8', []), name: 'default/none:http', nodePort: undefined },
  ]);
  const script = 'rules=$(cat); echo "$rules" | nft -f - && echo "$rules" | nft -f - && nft list ruleset';
  const listed = await inside(script, rules);
  assert.equal(listed.match(/numgen random mod 2/g)?.length, 1);
  assert.match(listed, /10\.96\.0\.8 \. tcp \. 80/);
  assert.match(listed, /fd00:10:96::7 \. tcp \. 80 : goto svc-0/);
});

test('a connection to the cluster address arrives at a backend, and at none it is refused at once', async () => {
  const rules = proxyRules([
    frontend('ipv4', '10.96.0.7', [{ address: '192.0.2.1', port: 8080 }]),
    { ...frontend('ipv4', '10.96.0.8', []), name: 'default/none:http', nodePort: undefined },
  ]);
  const program = `
    const net = require('node:net');
    const server = net.createServer((s) => s.end('hello')).listen(8080, '192.0.2.1', () => {
      const c = net.connect(80, '10.96.0.7', () => {}).on('data', (d) => {
        net.connect(80, '10.96.0.8').on('error', (e) => { console.log(String(d), e.code); process.exit(0); });
      });
      c.on('error', (e) => { console.log('error', e.code); process.exit(1); });
    });`;
  const links =
    'ip link set lo up && ip link add out type veth peer name far && ip addr add 192.0.2.1/24 dev out && ip link set out up && ip link set far up';
  const script = `${links} && ip route add default dev out && nft -f - && exec ${process.execPath} -e "$PROGRAM"`;
  const out = await run('unshare', ['--net', '/bin/sh', '-c', script], {
    input: rules,
    env: { PATH: process.env['PATH'] ?? '', PROGRAM: program },
    timeoutMs: 60_000,
  });
  assert.equal(out.trim(), 'hello ECONNREFUSED');
});
