// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a WorkloadEntry or a WorkloadGroup, and rules they share with endpoints elsewhere.

import { parseIp } from '#lib/mesh/ip.ts';
import type { WorkloadEntry, WorkloadGroup, WorkloadSpec } from '../object/entry.ts';
import type { Labels } from '../object/selector.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';

const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/;
const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;
const DNS_LABEL = /^[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?$/;

export function checkWorkloadEntry(object: WorkloadEntry): ObjectProblem[] {
  const list = new ProblemList(object);
  const { spec = {} } = object;
  if ((spec.address ?? '') === '') {
    if ((spec.network ?? '') === '') {
      list.error('MissingField', 'spec.address', 'is required', 'write an IP address or a DNS name');
    } else {
      list.warning('MissingField', 'spec.address', 'is empty, so it is reached through its network’s gateway only');
    }
  } else {
    checkAddress(list, 'spec.address', spec);
  }
  for (const [name, port] of Object.entries(spec.ports ?? {})) checkPortNumber(list, `spec.ports[${name}]`, port);
  checkLabels(list, 'spec.labels', spec.labels ?? {});
  return list.problems;
}

export function checkWorkloadGroup(object: WorkloadGroup): ObjectProblem[] {
  const list = new ProblemList(object);
  const { metadata, template } = object.spec ?? {};
  if (template === undefined) {
    list.error('MissingField', 'spec.template', 'is required', 'write template: {} at the least');
  }
  checkLabels(list, 'spec.metadata.labels', metadata?.labels ?? {});
  checkLabels(list, 'spec.template.labels', template?.labels ?? {});
  for (const [name, port] of Object.entries(template?.ports ?? {})) {
    checkPortNumber(list, `spec.template.ports[${name}]`, port);
  }
  return list.problems;
}

/** An IP address, a DNS name, or a socket, which has no ports. */
export function checkAddress(list: ProblemList, field: string, { address = '', ports }: WorkloadSpec): void {
  if (address.startsWith('unix://')) {
    if (!/^unix:\/\/[/@]./.test(address)) {
      list.error('InvalidValue', field, `"${address}" is no path`, 'write unix:///run/app.sock');
    }
    if (Object.keys(ports ?? {}).length > 0) {
      list.error('ConflictingFields', field, 'a socket has no ports', 'remove ports');
    }
  } else if (parseIp(address) === undefined && (!isDomain(address) || /^[\d.]+$/.test(address))) {
    list.error('InvalidValue', field, `"${address}" is no address`, 'write an IP address or a DNS name');
  }
}

export function checkPortNumber(list: ProblemList, field: string, port: number): void {
  if (Number.isInteger(port) && port > 0 && port <= 65_535) return;
  list.error('InvalidValue', field, `${port} is no port`, 'write a number from 1 to 65535');
}

export function checkLabels(list: ProblemList, field: string, labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (!LABEL_KEY.test(key)) list.error('InvalidValue', `${field}[${key}]`, `"${key}" can be no label`, 'correct it');
    else if (!LABEL_VALUE.test(value)) {
      list.error(
        'InvalidValue',
        `${field}[${key}]`,
        `"${value}" can be no label’s value`,
        'use letters, digits, -, _ and . only',
      );
    }
  }
}

/** A DNS name, with or without the dot at its end. */
export function isDomain(text: string): boolean {
  const name = text.replace(/\.$/, '');
  return name !== '' && name.length <= 253 && name.split('.').every((part) => DNS_LABEL.test(part));
}
