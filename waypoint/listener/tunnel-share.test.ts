// SPDX-License-Identifier: Apache-2.0
// Tunnels to a waypoint of several data-plane processes, by the process that they end up in.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { MeshClient } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const TUNNELS = 8;
/** An address of this process's own: both processes listen on one port of it. */
const ADDRESS = `127.${128 + (process.pid & 63)}.${(process.pid >> 6) & 255}.7`;
const PORT = 15008;
const VIP = '192.0.2.80';
const ESTABLISHED = '01';

/** Inodes of connections that this machine's listeners on ADDRESS:PORT have accepted. */
function accepted(): Set<string> {
  const hex = [...Buffer.from(ADDRESS.split('.').map(Number)).reverse()]
    .map((octet) => octet.toString(16).padStart(2, '0'))
    .join('');
  const local = `${hex}:${PORT.toString(16)}`.toUpperCase();
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1);
  const columns = rows.map((row) => row.trim().split(/\s+/));
  return new Set(columns.filter((row) => row[1] === local && row[3] === ESTABLISHED).map((row) => row[9]!));
}

/** '' when it has been closed meanwhile. */
function nameOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

/** How many of its clients' tunnels each data-plane process holds. */
function carried({ pid }: WaypointProgram): number[] {
  const inodes = accepted();
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  const counts = children.map((child) => {
    const names = readdirSync(`/proc/${child}/fd`).map((fd) => nameOf(`/proc/${child}/fd/${fd}`));
    return names.filter((name) => inodes.has(/^socket:\[(\d+)\]$/.exec(name)?.[1] ?? '')).length;
  });
  return counts.filter((count) => count > 0);
}

test('tunnels are spread evenly over the processes of a waypoint, whatever the kernel chooses, and all are served', async () => {
  const server = createServer((_, response) => void response.end('hi'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const clients: MeshClient[] = [];
  await using program = await WaypointProgram.start(
    {
      services: [{ name: 'app', ports: [port], vip: VIP }],
      routes: [{ rule: { backends: [backendOf('app')] } }],
    },
    {
      ...{ FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
      ...{ AMBIT_WORKERS: '2', AMBIT_BIND: ADDRESS, AMBIT_HBONE_PORT: String(PORT) },
    },
  );
  try {
    for (let n = 0; n < TUNNELS; n++) {
      const uri = `spiffe://cluster.local/ns/default/sa/client-${n}`;
      clients.push(await MeshClient.as(uri, PORT, undefined, ADDRESS));
    }
    assert.deepEqual(carried(program), [TUNNELS / 2, TUNNELS / 2]);
    for (const client of clients) {
      const { body } = await client.ask(`${VIP}:80`, { path: '/', headers: { host: 'app' } });
      assert.equal(body.toString(), 'hi');
    }
    for (const client of clients.splice(0)) client.close();
    await until('no tunnel is left', async () => /^ambit_worker_tunnels 0$/m.test(await program.metrics()));
  } finally {
    for (const client of clients) client.close();
    server.close();
    server.closeAllConnections();
  }
});
