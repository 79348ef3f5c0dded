// SPDX-License-Identifier: Apache-2.0
//
// Where a stream goes that is no HTTP: by server name for TLS that passes through, by destination for the rest. The
// first route that fits decides; its backend is drawn once for the whole stream.

import type { Random } from '../balance.ts';
import { parseCidr } from '../cidr.ts';
import type { Ip } from '../ip.ts';
import type { Recorder } from '../proof.ts';
import type { Backend, RouteTable, TcpRoute, TlsRoute } from './route-table.ts';
import type { StreamVerdict } from './route-verdict.ts';

export interface StreamRequest {
  /** Of the service, or the listener. */
  readonly port: number;
  readonly destinationIp: Ip;
  /** Of the client; undefined for plaintext. */
  readonly namespace: string | undefined;
  /** Of a ClientHello; '' without one. */
  readonly serverName: string;
}

/** @returns undefined when no route is for the stream */
export function routeTls(
  table: RouteTable,
  request: StreamRequest,
  random: Random,
  rec: Recorder,
): StreamVerdict | undefined {
  const name = request.serverName.toLowerCase();
  const fits = (route: TlsRoute): boolean =>
    isFor(route, request) && name !== '' && route.hosts.some((host) => hostCovers(host, name));
  const found = table.tls.find(fits);
  if (found === undefined) return undefined;
  if (rec.enabled) rec.step(found.origin, '', `server name ${name}`, 'is one of its hostnames');
  return drawn(found.origin, found.backends, random, rec);
}

/** @returns undefined when no route is for the stream */
export function routeTcp(
  table: RouteTable,
  request: StreamRequest,
  random: Random,
  rec: Recorder,
): StreamVerdict | undefined {
  const found = table.tcp.find((route) => isFor(route, request) && tcpFits(route, request));
  if (found === undefined) return undefined;
  if (rec.enabled) rec.step(found.origin, '', `port ${request.port}`, 'is the first route for it');
  return drawn(found.origin, found.backends, random, rec);
}

function isFor(route: { readonly clientNamespace: string; readonly port: number }, request: StreamRequest): boolean {
  if (route.port !== 0 && route.port !== request.port) return false;
  return route.clientNamespace === '' || route.clientNamespace === request.namespace;
}

function tcpFits(route: TcpRoute, { destinationIp, namespace }: StreamRequest): boolean {
  if (route.sourceNamespace !== '' && route.sourceNamespace !== namespace) return false;
  const { destinationRanges } = route;
  return destinationRanges.length === 0 || destinationRanges.some((one) => parseCidr(one)?.contains(destinationIp));
}

function hostCovers(pattern: string, name: string): boolean {
  return pattern === '*' || pattern === name || (pattern.startsWith('*.') && name.endsWith(pattern.slice(1)));
}

function drawn(origin: string, backends: readonly Backend[], random: Random, rec: Recorder): StreamVerdict {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  let ticket = random() * total;
  let chosen: Backend | undefined;
  for (const one of backends) {
    if (one.weight === 0) continue;
    chosen = one;
    ticket -= one.weight;
    if (ticket < 0) break;
  }
  const target = chosen?.target;
  if (chosen === undefined || target === undefined || chosen.invalid !== '') {
    const subject = chosen?.invalid ?? '';
    if (rec.enabled) rec.step(origin, '', 'backend', subject === '' ? 'there is none with a weight' : subject);
    return { kind: 'reject', origin, reason: chosen === undefined ? 'no-backend' : 'invalid-backend', subject };
  }
  if (rec.enabled) rec.step(origin, '', 'backend', `goes to ${target.service}:${target.port}`);
  return { kind: 'forward', origin, target };
}
