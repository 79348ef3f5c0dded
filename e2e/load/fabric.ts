// SPDX-License-Identifier: Apache-2.0
// Two hosts of their own for each peer: two network namespaces and a link. Servers run in the second one.
import { run } from '../harness/run.ts';

export const CLIENT_IP = '10.77.0.2';
export const SERVER_IP = '10.77.0.3';
export const IPERF_PORT = 5201;
export const HTTP_PORT = 8080;

export interface Host {
  readonly netns: string;
  readonly ip: string;
  /** A command line that runs `words` on this host. */
  inside(words: readonly string[]): readonly [string, ...string[]];
}

export interface Fabric extends AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
}

/** Makes the namespaces; `name` keeps those of peers apart. */
export async function buildFabric(name: string): Promise<Fabric> {
  const host = (role: string, ip: string): Host => {
    const netns = `ambit-load-${process.pid}-${name}-${role}`;
    return { netns, ip, inside: (words) => ['ip', 'netns', 'exec', netns, ...words] };
  };
  const client = host('client', CLIENT_IP);
  const server = host('server', SERVER_IP);
  const remove = async (): Promise<void> => {
    for (const { netns } of [client, server]) await run('ip', ['netns', 'del', netns]).catch(() => undefined);
  };
  try {
    for (const { netns } of [client, server]) await run('ip', ['netns', 'add', netns]);
    await run('ip', [
      'link',
      'add',
      'eth0',
      'netns',
      client.netns,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      server.netns,
    ]);
    for (const { netns, ip } of [client, server]) {
      await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
      await run('ip', ['-n', netns, 'address', 'add', `${ip}/24`, 'dev', 'eth0']);
      await run('ip', ['-n', netns, 'link', 'set', 'eth0', 'up']);
      // Thousands of short connections a second need ports. And the host's own choice of congestion control is not what is measured:
      // BBR paces by timers, which on a link without delay takes 40 Gbit/s out of 58 and most of the processor with it.
      await run('ip', [
        'netns',
        'exec',
        netns,
        'sysctl',
        '-qw',
        'net.ipv4.ip_local_port_range=1024 65535',
        'net.ipv4.tcp_tw_reuse=1',
        'net.core.somaxconn=8192',
        'net.ipv4.tcp_congestion_control=reno',
      ]);
    }
    return { client, server, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
