// SPDX-License-Identifier: Apache-2.0
// Parts of a dump as tables, with istioctl's columns, so that what people know still holds.

import { table } from '../print/table.ts';
import type {
  Dump,
  DumpCertificates,
  DumpConnection,
  DumpGateway,
  DumpPolicy,
  DumpService,
  DumpWorkload,
  DumpWorkloadState,
} from './dump.ts';

export function workloadTable(workloads: readonly DumpWorkload[], services: readonly DumpService[]): string {
  const rows = workloads.flatMap((workload) => {
    const addresses = workload.workloadIps?.length ? workload.workloadIps : [workload.hostname ?? ''];
    return addresses.map((address) => [
      workload.namespace ?? '',
      workload.name ?? '',
      address,
      workload.node ?? '',
      waypointName(workload.waypoint, services),
      workload.protocol ?? '',
    ]);
  });
  return table(['NAMESPACE', 'POD NAME', 'ADDRESS', 'NODE', 'WAYPOINT', 'PROTOCOL'], sorted(rows));
}

export function serviceTable(services: readonly DumpService[]): string {
  const rows = services.map((service) => {
    const endpoints = Object.values(service.endpoints ?? {});
    const healthy = endpoints.filter(({ status }) => (status ?? 'Healthy') === 'Healthy').length;
    return [
      service.namespace ?? '',
      service.name ?? '',
      (service.vips ?? []).map(withoutNetwork).join(','),
      waypointName(service.waypoint, services),
      `${healthy}/${endpoints.length}`,
    ];
  });
  return table(['NAMESPACE', 'SERVICE NAME', 'SERVICE VIP', 'WAYPOINT', 'ENDPOINTS'], sorted(rows));
}

export function policyTable(policies: readonly DumpPolicy[]): string {
  const rows = policies.map(({ action = '', name = '', namespace = '', scope = '' }) => [
    namespace,
    name,
    action,
    scope,
  ]);
  return table(['NAMESPACE', 'POLICY NAME', 'ACTION', 'SCOPE'], sorted(rows));
}

/** `now` decides what is valid: wall-clock ms. */
export function certificateTable(certificates: readonly DumpCertificates[], now: number): string {
  const head = ['CERTIFICATE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'];
  const rows = certificates.flatMap(({ certChain = [], identity = '', rootCerts = [], state = '' }) => {
    const chain = certChain.map((certificate, i) => ({ certificate, type: i === 0 ? 'Leaf' : 'Intermediate' }));
    const all = [...chain, ...rootCerts.map((certificate) => ({ certificate, type: 'Root' }))];
    if (all.length === 0) return [[identity, 'NA', state, 'false', 'NA', 'NA', 'NA']];
    return all.map(({ certificate, type }) => {
      const { expirationTime = '', serialNumber = '', validFrom = '' } = certificate;
      const valid = Date.parse(validFrom) <= now && now < Date.parse(expirationTime);
      return [identity, type, state, String(valid), hexadecimal(serialNumber), expirationTime, validFrom];
    });
  });
  return table(head, rows);
}

export function connectionTable(
  states: Readonly<Record<string, DumpWorkloadState>>,
  dump: Dump,
  options: { readonly raw: boolean; readonly direction?: string | undefined },
): string {
  const names = options.raw ? new Map<string, string>() : namesByAddress(dump);
  const named = (address: string | null | undefined): string => {
    if (address === null || address === undefined || address === '') return '';
    const { host, port } = splitHostPort(address);
    const name = names.get(host);
    return name === undefined ? address : port === '' ? name : `${name}:${port}`;
  };
  const rows = Object.values(states).flatMap(({ connections, info }) => {
    const workload = `${info?.name ?? ''}.${info?.namespace ?? ''}`;
    const row = (direction: string, { actualDst, originalDst, protocol, src }: DumpConnection) =>
      direction === 'Inbound'
        ? [workload, direction, named(actualDst), named(src), named(originalDst), protocol ?? '']
        : [workload, direction, named(src), named(actualDst), named(originalDst), protocol ?? ''];
    const wanted = (direction: string): boolean =>
      options.direction === undefined || options.direction === direction.toLowerCase();
    return [
      ...(wanted('Inbound') ? (connections?.inbound ?? []).map((connection) => row('Inbound', connection)) : []),
      ...(wanted('Outbound') ? (connections?.outbound ?? []).map((connection) => row('Outbound', connection)) : []),
    ];
  });
  return table(['WORKLOAD', 'DIRECTION', 'LOCAL', 'REMOTE', 'REMOTE TARGET', 'PROTOCOL'], sorted(rows));
}

/** Whose connections for tunnels have to wait at this proxy's door, and why; '' when nobody's. */
export function heldTable(dump: Dump): string {
  const held = dump.heldAddresses ?? [];
  if (held.length === 0) return '';
  const names = namesByAddress(dump);
  const rows = held.map(({ address = '', offences, reason, since, waiting }) => [
    ...[address, names.get(address) ?? '', String(waiting ?? ''), since ?? '', String(offences ?? ''), reason ?? ''],
  ]);
  const head = ['HELD ADDRESS', 'WORKLOAD', 'WAITING', 'SINCE', 'OFFENCES', 'LAST OF THEM'];
  return `\n${table(head, sorted(rows))}`;
}

/** `None` without a waypoint, `NA` when it is not known here. */
export function waypointName(waypoint: DumpGateway | undefined, services: readonly DumpService[]): string {
  if (waypoint === undefined) return 'None';
  const { destination = '' } = waypoint;
  const found = services.find(
    ({ hostname, namespace, vips }) =>
      `${namespace}/${hostname}` === destination || vips?.includes(destination) === true,
  );
  return found?.name ?? 'NA';
}

function namesByAddress(dump: Dump): Map<string, string> {
  const names = new Map<string, string>();
  for (const { name, namespace, workloadIps } of dump.workloads ?? []) {
    for (const ip of workloadIps ?? []) names.set(ip, `${name}.${namespace}`);
  }
  for (const { hostname, vips } of dump.services ?? []) {
    for (const vip of vips ?? []) names.set(withoutNetwork(vip), hostname ?? vip);
  }
  return names;
}

function splitHostPort(text: string): { host: string; port: string } {
  const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text);
  return match === null ? { host: text, port: '' } : { host: match[1] ?? '', port: match[2] ?? '' };
}

/** `network/10.96.0.1` without its network. */
function withoutNetwork(vip: string): string {
  return vip.slice(vip.indexOf('/') + 1);
}

function hexadecimal(decimal: string): string {
  return /^\d+$/.test(decimal) ? BigInt(decimal).toString(16) : decimal;
}

function sorted(rows: string[][]): string[][] {
  return rows.sort((a, b) => {
    const [left, right] = [a.join('\0'), b.join('\0')];
    return left < right ? -1 : left > right ? 1 : 0;
  });
}
