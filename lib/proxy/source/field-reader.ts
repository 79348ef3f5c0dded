// SPDX-License-Identifier: Apache-2.0
// Reads fields of an untyped value by name, noting every problem with its path; what is wrong reads as its default, so that one
// pass finds all mistakes.
import type { Problem } from '#lib/kit/result.ts';
import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import { type GatewayAddress, HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { StringMatch } from '#lib/mesh/policy.ts';
import type { Vip } from '#lib/mesh/service.ts';

const MATCH_KINDS = { Exact: 'exact', Prefix: 'prefix', Suffix: 'suffix' } as const;

export class FieldReader {
  readonly #value: unknown;
  readonly #path: string;
  readonly #problems: Problem[];

  constructor(value: unknown, path: string, problems: Problem[]) {
    this.#value = value;
    this.#path = path;
    this.#problems = problems;
  }

  text(key: string, fallback: string): string {
    const value = this.#field(key);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'string') return value;
    this.#problem(key, 'is no text');
    return fallback;
  }

  required(key: string): string {
    const value = this.text(key, '');
    if (value === '') this.#problem(key, 'is missing', 'write a text');
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#field(key);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'boolean') return value;
    this.#problem(key, 'is neither true nor false');
    return fallback;
  }

  number(key: string, fallback: number): number {
    const value = this.#field(key);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    this.#problem(key, 'is no number');
    return fallback;
  }

  port(key: string): number {
    return this.#toPort(this.#field(key) ?? 0, key);
  }

  oneOf<T>(key: string, names: Readonly<Record<string, T>>, fallback: NoInfer<T> | 'automatic'): T {
    const name = this.text(key, '');
    if (name === '') return fallback as T;
    if (Object.hasOwn(names, name)) return names[name]!;
    this.#problem(key, `${JSON.stringify(name)} is unknown`, `write one of ${Object.keys(names).join(', ')}`);
    return fallback as T;
  }

  names<T>(key: string, names: Readonly<Record<string, T>>): T[] {
    return this.texts(key).flatMap((name) => {
      if (Object.hasOwn(names, name)) return [names[name]!];
      this.#problem(key, `${JSON.stringify(name)} is unknown`, `write some of ${Object.keys(names).join(', ')}`);
      return [];
    });
  }

  texts(key: string): string[] {
    return this.#list(key).filter((value): value is string => {
      if (typeof value !== 'string') this.#problem(key, 'holds something that is no text');
      return typeof value === 'string';
    });
  }

  numbers(key: string): number[] {
    return this.#list(key).map((value) => this.#toPort(value, key));
  }

  ips(key: string): Ip[] {
    return this.texts(key).flatMap((text) => this.#toIp(text, key));
  }

  ranges(key: string): Cidr[] {
    return this.texts(key).flatMap((text) => this.#toRange(text, key));
  }

  /** `network/ip` texts. */
  networkIps(key: string): Vip[] {
    return this.texts(key).flatMap((text) => {
      const slash = text.indexOf('/');
      const ips = this.#toIp(text.slice(slash + 1), key);
      return ips.flatMap((ip) => ({ network: text.slice(0, Math.max(0, slash)), range: parseCidr(ip.text)! }));
    });
  }

  /** This object is {network, cidr}. */
  networkRange(): Vip {
    const range = this.#toRange(this.required('cidr'), 'cidr')[0] ?? parseCidr('0.0.0.0/32')!;
    return { network: this.text('network', ''), range };
  }

  /** {destination: `network/ip` or `namespace/hostname`, hboneMtlsPort}. */
  gateway(key: string): GatewayAddress | undefined {
    const from = this.object(key);
    if (from === undefined) return undefined;
    const text = from.required('destination');
    const slash = text.indexOf('/');
    const [before, behind] = [text.slice(0, Math.max(0, slash)), text.slice(slash + 1)];
    const ip = parseIp(behind);
    const hbonePort = from.number('hboneMtlsPort', HBONE_PORT);
    if (ip !== undefined) return { destination: { kind: 'ip', network: before, ip }, hbonePort };
    if (slash <= 0 && text !== '')
      from.#problem(
        'destination',
        `${JSON.stringify(text)} is no destination`,
        'write network/ip or namespace/hostname',
      );
    return { destination: { kind: 'hostname', namespace: before, hostname: behind }, hbonePort };
  }

  matches(key: string): StringMatch[] {
    return this.#list(key).flatMap((value): StringMatch[] => {
      const [kind, text] = isObject(value) ? (Object.entries(value)[0] ?? []) : [];
      if (kind === 'Presence') return [{ kind: 'presence', value: '' }];
      if (kind !== undefined && Object.hasOwn(MATCH_KINDS, kind) && typeof text === 'string') {
        return [{ kind: MATCH_KINDS[kind as keyof typeof MATCH_KINDS], value: text }];
      }
      this.#problem(
        key,
        `${JSON.stringify(value)} is no match`,
        'write {Exact: x}, {Prefix: x}, {Suffix: x} or {Presence: []}',
      );
      return [];
    });
  }

  object(key: string): FieldReader | undefined {
    const value = this.#field(key);
    if (value === undefined || value === null) return undefined;
    if (!isObject(value)) this.#problem(key, 'is no mapping');
    return this.#at(value, key);
  }

  objects(key: string): FieldReader[] {
    return this.#list(key).map((value, i) => this.#at(value, `${key}[${i}]`));
  }

  /** The members of this list. */
  objectsHere(): FieldReader[] {
    return this.lists();
  }

  /** The members of a list field, or of this list itself. */
  lists(key?: string): FieldReader[] {
    const values = key === undefined ? (Array.isArray(this.#value) ? this.#value : []) : this.#list(key);
    return values.map((value: unknown, i) => this.#at(value, `${key ?? ''}[${i}]`));
  }

  /** A mapping's members by name. */
  entries(key: string): [string, FieldReader][] {
    const value = this.#field(key);
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return [];
    if (isObject(value)) return Object.entries(value).map(([name, one]) => [name, this.#at(one, `${key}.${name}`)]);
    this.#problem(key, 'is no mapping', 'write "namespace/hostname": {80: 8080}');
    return [];
  }

  /** This mapping as pairs of ports. */
  ports(): [number, number][] {
    if (this.#value === null || this.#value === undefined) return [];
    return Object.entries(isObject(this.#value) ? this.#value : {}).map(([from, to]) => [
      this.#toPort(Number(from), from),
      this.#toPort(to, from),
    ]);
  }

  #toPort(value: unknown, key: string): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
    this.#problem(key, `${JSON.stringify(value)} is no port`);
    return 0;
  }

  #toIp(text: string, key: string): Ip[] {
    const ip = parseIp(text);
    if (ip === undefined) this.#problem(key, `${JSON.stringify(text)} is no IP address`);
    return ip === undefined ? [] : [ip];
  }

  #toRange(text: string, key: string): Cidr[] {
    const range = parseCidr(text);
    if (range === undefined) this.#problem(key, `${JSON.stringify(text)} is no address range`, 'write 10.0.0.0/8');
    return range === undefined ? [] : [range];
  }

  #list(key: string): unknown[] {
    const value = this.#field(key);
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.#problem(key, 'is no list');
    return [];
  }

  #field(key: string): unknown {
    return isObject(this.#value) ? this.#value[key] : undefined;
  }

  #at(value: unknown, key: string): FieldReader {
    return new FieldReader(value, this.#place(key), this.#problems);
  }

  #place(key: string): string {
    return this.#path === '' || key.startsWith('[') ? `${this.#path}${key}` : `${this.#path}.${key}`;
  }

  #problem(key: string, message: string, fix?: string): void {
    this.#problems.push({ field: this.#place(key), message, ...(fix === undefined ? {} : { fix }) });
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
