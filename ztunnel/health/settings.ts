// SPDX-License-Identifier: Apache-2.0
// The readinessProbe of Istio's ProxyConfig as settings: Kubernetes' names and defaults.
import type { ConfigReader } from '#lib/kit/config.ts';
import type { Probe } from './probe.ts';
import type { ProbeSettings } from './prober.ts';

const FIELD = 'readinessProbe';
const LOOPBACK = '127.0.0.1';

/** undefined without a probe; what is wrong with one is told to `read`. */
export function probeSettings(read: ConfigReader, value: unknown): ProbeSettings | undefined {
  if (value === undefined || value === null) return undefined;
  const all = mapOf(value);
  const probe = probeOf(read, all);
  if (probe === undefined) return undefined;
  const count = (name: string, otherwise: number): number => {
    const given = all[name];
    if (given === undefined || given === null) return otherwise;
    if (typeof given === 'number' && Number.isInteger(given) && given >= 0) return given || otherwise;
    read.problem(`${FIELD}.${name}`, `${JSON.stringify(given)} is no count`, 'write a whole number');
    return otherwise;
  };
  return {
    probe,
    initialDelayMs: count('initialDelaySeconds', 0) * 1000,
    periodMs: count('periodSeconds', 10) * 1000,
    timeoutMs: count('timeoutSeconds', 1) * 1000,
    successThreshold: count('successThreshold', 1),
    failureThreshold: count('failureThreshold', 3),
  };
}

function probeOf(read: ConfigReader, all: Readonly<Record<string, unknown>>): Probe | undefined {
  const port = (from: Readonly<Record<string, unknown>>, field: string): number => {
    const value = Number(from['port']);
    if (Number.isInteger(value) && value > 0 && value <= 65_535) return value;
    read.problem(`${FIELD}.${field}.port`, `${JSON.stringify(from['port'])} is no port`, 'write its number');
    return 0;
  };
  if (all['httpGet'] !== undefined) {
    const get = mapOf(all['httpGet']);
    const headers = Array.isArray(get['httpHeaders']) ? get['httpHeaders'].map(mapOf) : [];
    const pairs = headers.map(({ name, value }) => [String(name), String(value)] as const);
    const host = text(get['host'], LOOPBACK);
    const secure = text(get['scheme'], 'HTTP').toUpperCase() === 'HTTPS';
    const path = text(get['path'], '/');
    return {
      kind: 'http',
      get: { host, port: port(get, 'httpGet'), path, secure, headers: Object.fromEntries(pairs) },
    };
  }
  if (all['tcpSocket'] !== undefined) {
    const socket = mapOf(all['tcpSocket']);
    return { kind: 'tcp', host: text(socket['host'], LOOPBACK), port: port(socket, 'tcpSocket') };
  }
  const { command } = mapOf(all['exec']);
  if (Array.isArray(command) && command.length > 0) return { kind: 'exec', command: command.map(String) };
  read.problem(FIELD, 'says nothing to look at', 'write httpGet, tcpSocket or exec');
  return undefined;
}

function text(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
