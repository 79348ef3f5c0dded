// SPDX-License-Identifier: Apache-2.0
// TCP connections of a network namespace, as /proc/net/tcp tells (proc_pid_net(5)): which were open when a pod joined, and
// which still go through the proxy when it leaves.
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close, read } from '#lib/linux/calls.ts';
import { inNetns, type Netns } from '#lib/linux/netns.ts';
import { openReadOnly } from '#lib/linux/process.ts';

export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/** ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT (include/net/tcp_states.h). */
const LIVING: ReadonlySet<number> = new Set([0x01, 0x04, 0x05, 0x08]);
const LISTENING: ReadonlySet<number> = new Set([0x0a]);
const scratch = Arena.allocate(1 << 20);

/** Established and half-closed connections of a namespace, those within the pod itself left out. */
export function openConnections(netns: Netns): Connection[] {
  return ['tcp', 'tcp6']
    .flatMap((file) => parse(readIn(netns, `/proc/thread-self/net/${file}`)))
    .filter(({ local, remote }) => !remote.isLoopback && !local.sameIp(remote));
}

/** Connections whose local end is one of `ports`, also with the pod itself: those the proxy serves. */
export function connectionsOn(netns: Netns, ports: readonly number[]): Connection[] {
  return ['tcp', 'tcp6']
    .flatMap((file) => parse(readIn(netns, `/proc/thread-self/net/${file}`)))
    .filter(({ local }) => ports.includes(local.port));
}

/** Ports that something in the namespace listens on. */
export function listeningPorts(netns: Netns): Set<number> {
  const rows = ['tcp', 'tcp6'].flatMap((file) => parse(readIn(netns, `/proc/thread-self/net/${file}`), LISTENING));
  return new Set(rows.map(({ local }) => local.port));
}

/** Lines of /proc/net/tcp or tcp6 whose state is one of `states`, those of living connections unless told. */
export function parse(text: string, states: ReadonlySet<number> = LIVING): Connection[] {
  const found: Connection[] = [];
  for (const line of text.split('\n').slice(1)) {
    const [, local, remote, state] = line.trim().split(/\s+/);
    const code = Number.parseInt(state ?? '', 16);
    if (local === undefined || remote === undefined) continue;
    if (states.has(code)) found.push({ local: endpoint(local), remote: endpoint(remote) });
  }
  return found;
}

/** "0100007F:1F90": words in the byte order of the machine, which is little endian here, port in hexadecimal. */
function endpoint(text: string): Endpoint {
  const [address, port] = text.split(':') as [string, string];
  const made = new Endpoint();
  const words = address.match(/.{8}/g)!.map((word) => Buffer.from(word, 'hex').readUInt32LE());
  if (words.length === 4) [made.a, made.b, made.c, made.d] = words as [number, number, number, number];
  else made.d = words[0]!;
  made.port = Number.parseInt(port, 16);
  return made;
}

/** Reads a file as the namespace shows it, by raw calls; '' when the kernel has none (IPv6 off). */
function readIn(netns: Netns, path: string): string {
  const fd = inNetns(netns.fd, () => openReadOnly(path));
  if (fd < 0) return '';
  const parts: string[] = [];
  for (let n = read(fd, scratch, 0, scratch.size); n > 0; n = read(fd, scratch, 0, scratch.size)) {
    parts.push(scratch.bytes.toString('latin1', 0, n));
  }
  close(fd);
  return parts.join('');
}

/** Connections of both lists, those that end at one of `ours` left out. */
export function union(one: readonly Connection[], other: readonly Connection[], ours: readonly number[]): Connection[] {
  const known = new Set(one.map(nameOf));
  const added = other.filter((connection) => !known.has(nameOf(connection)) && !ours.includes(connection.local.port));
  return [...one, ...added];
}

/** Both ends, as logs and comparisons use them. */
export function nameOf({ local, remote }: Connection): string {
  return `${local} ${remote}`;
}
