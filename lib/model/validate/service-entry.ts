// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a ServiceEntry: hosts, addresses, ports and endpoints must fit its way of resolving.

import { parseCidr } from '#lib/mesh/cidr.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { USE_WAYPOINT } from '../object/names.ts';
import { label } from '../object/object.ts';
import { entryPorts, resolutionOf } from '../service/entry-hosts.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkAddress, checkLabels, checkPortNumber, isDomain } from './workload-entry.ts';

const BY_NAME: ReadonlySet<string> = new Set(['DNS', 'DNS_ROUND_ROBIN']);
const DYNAMIC_PROTOCOLS: ReadonlySet<string> = new Set(['HTTP', 'HTTP2', 'GRPC', 'TLS']);

export function checkServiceEntry(object: ServiceEntry): ObjectProblem[] {
  const list = new ProblemList(object);
  checkHosts(list, object);
  checkAddresses(list, object);
  checkPorts(list, object);
  checkEndpoints(list, object);
  if (resolutionOf(object) === 'DYNAMIC_DNS') checkDynamic(list, object);
  return list.problems;
}

function checkHosts(list: ProblemList, object: ServiceEntry): void {
  const { endpoints = [], hosts = [] } = object.spec ?? {};
  if (hosts.length === 0) list.error('MissingField', 'spec.hosts', 'is empty', 'name a host');
  hosts.forEach((host, i) => {
    const at = `spec.hosts[${i}]`;
    if (host === '*') {
      list.error('InvalidValue', at, '"*" would be every host there is', 'name a domain, as *.example.com');
    } else if (!isDomain(host.replace(/^\*\.?/, ''))) {
      list.error('InvalidValue', at, `"${host}" can be no host`, 'write a DNS name');
    } else if (host.startsWith('*') && !host.startsWith('*.')) {
      list.warning('WiderThanMeant', at, `"${host}" also fits names that end so by chance`, `write *.${host.slice(1)}`);
    } else if (host.startsWith('*') && BY_NAME.has(resolutionOf(object)) && endpoints.length === 0) {
      list.error(
        'ConflictingFields',
        at,
        `"${host}" cannot be resolved by name`,
        'give endpoints, or resolution: DYNAMIC_DNS with a waypoint',
      );
    }
  });
}

function checkAddresses(list: ProblemList, object: ServiceEntry): void {
  const resolution = resolutionOf(object);
  (object.spec?.addresses ?? []).forEach((text, i) => {
    const range = parseCidr(text);
    const at = `spec.addresses[${i}]`;
    if (range === undefined) {
      list.error('InvalidValue', at, `"${text}" is no address or range`, 'write it as 10.0.0.1 or 10.0.0.0/8');
    } else if (!range.host && resolution !== 'NONE' && resolution !== 'STATIC') {
      list.error('ConflictingFields', at, `a range cannot stand beside resolution ${resolution}`, 'use NONE or STATIC');
    }
  });
}

function checkPorts(list: ProblemList, object: ServiceEntry): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  const hosts = object.spec?.hosts ?? [];
  entryPorts(object).forEach(({ name, number, protocol, targetPort }, i) => {
    const at = `spec.ports[${i}]`;
    checkPortNumber(list, `${at}.number`, number);
    if (targetPort !== undefined && targetPort !== 0) checkPortNumber(list, `${at}.targetPort`, targetPort);
    if (name === '*') list.error('InvalidValue', `${at}.name`, 'a port’s name is no wildcard', 'write a name');
    if (name !== undefined && names.has(name)) {
      list.error('ConflictingFields', `${at}.name`, `"${name}" names another port too`, 'give each port its own name');
    }
    if (numbers.has(number)) {
      list.error('ConflictingFields', `${at}.number`, `${number} stands twice`, 'keep one of them');
    }
    names.add(name ?? '');
    numbers.add(number);
    if (protocol?.toUpperCase() === 'TCP' && hosts.length > 1 && resolutionOf(object) !== 'NONE') {
      list.error(
        'ConflictingFields',
        `${at}.protocol`,
        'TCP carries no host, so several hosts on one port cannot be told apart',
        'write a ServiceEntry for each host',
      );
    }
  });
}

function checkEndpoints(list: ProblemList, object: ServiceEntry): void {
  const { endpoints = [], workloadSelector } = object.spec ?? {};
  const resolution = resolutionOf(object);
  if (endpoints.length > 0 && workloadSelector !== undefined) {
    list.error('ConflictingFields', 'spec.workloadSelector', 'cannot stand beside endpoints', 'keep one of them');
  }
  checkLabels(list, 'spec.workloadSelector.labels', workloadSelector?.labels ?? {});
  if (endpoints.length === 0) return;
  if (resolution === 'NONE') {
    list.error(
      'ConflictingFields',
      'spec.endpoints',
      'are not used with resolution NONE',
      'write resolution: STATIC or DNS, or remove them',
    );
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    list.error('ConflictingFields', 'spec.endpoints', 'DNS_ROUND_ROBIN takes one endpoint', 'use DNS, or keep one');
  }
  const declared = new Set(entryPorts(object).map(({ name }) => name));
  endpoints.forEach((endpoint, i) => {
    const at = `spec.endpoints[${i}]`;
    checkAddress(list, `${at}.address`, endpoint);
    checkLabels(list, `${at}.labels`, endpoint.labels ?? {});
    if (resolution === 'STATIC' && endpoint.address !== undefined && needsName(endpoint.address)) {
      list.error(
        'ConflictingFields',
        `${at}.address`,
        `"${endpoint.address}" is a name, which STATIC does not resolve`,
        'write an IP address, or resolution: DNS',
      );
    }
    for (const [name, port] of Object.entries(endpoint.ports ?? {})) {
      checkPortNumber(list, `${at}.ports[${name}]`, port);
      if (!declared.has(name)) {
        list.error(
          'ReferenceNotFound',
          `${at}.ports[${name}]`,
          `no port of the entry is named "${name}"`,
          'correct it',
        );
      }
    }
  });
}

function needsName(address: string): boolean {
  return parseIp(address) === undefined && !address.startsWith('unix://');
}

/** Names resolved one by one, which only a waypoint does. */
function checkDynamic(list: ProblemList, object: ServiceEntry): void {
  const { addresses = [], endpoints = [], hosts = [], location } = object.spec ?? {};
  hosts.forEach((host, i) => {
    if (host.startsWith('*')) return;
    list.error('ConflictingFields', `spec.hosts[${i}]`, 'DYNAMIC_DNS is for wildcards', 'write *.example.com, or DNS');
  });
  for (const [field, given] of Object.entries({ addresses, endpoints })) {
    if (given.length === 0) continue;
    list.error('ConflictingFields', `spec.${field}`, 'cannot stand beside resolution DYNAMIC_DNS', 'remove them');
  }
  entryPorts(object).forEach(({ protocol = '' }, i) => {
    if (DYNAMIC_PROTOCOLS.has(protocol.toUpperCase())) return;
    list.error(
      'ConflictingFields',
      `spec.ports[${i}].protocol`,
      `"${protocol}" carries no host that could be resolved`,
      'write HTTP, HTTP2, GRPC or TLS',
    );
  });
  if (location === 'MESH_INTERNAL' && label(object, USE_WAYPOINT) !== undefined) {
    list.error(
      'ConflictingFields',
      'spec.location',
      'a waypoint resolves names outside the mesh',
      'write MESH_EXTERNAL',
    );
  }
}
