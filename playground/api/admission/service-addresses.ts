// SPDX-License-Identifier: Apache-2.0
// Gives Services their cluster addresses (v4, v6 or both) and node ports. What is taken is read from the stored
// Services, so nothing can leak or go stale. Source: Kubernetes documentation, "IPv4/IPv6 dual-stack".
import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { isObject, type Json, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { invalid } from '../status.ts';
import type { Store } from '../store/store.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

type Family = 'IPv4' | 'IPv6';
const NODE_PORTS = { first: 30_000, last: 32_767 };
/** Addresses tried at random before giving up; ranges are large and mostly empty. */
const TRIES = 4096;

/** A service range such as 10.96.0.0/16. */
export class AddressRange {
  readonly family: Family;
  readonly #base: bigint;
  readonly #size: bigint;
  readonly #block = new BlockList();

  constructor(cidr: string) {
    const [address, bits] = ipaddr.parseCIDR(cidr);
    this.family = address.kind() === 'ipv4' ? 'IPv4' : 'IPv6';
    this.#base = toNumber(address.toByteArray());
    // Enough for any playground, also of a /64.
    this.#size = 1n << BigInt(Math.min((this.family === 'IPv4' ? 32 : 128) - bits, 16));
    this.#block.addSubnet(address.toString(), bits, this.family === 'IPv4' ? 'ipv4' : 'ipv6');
  }

  has(address: string): boolean {
    return isIP(address) !== 0 && this.#block.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }

  /** The n-th address of the range. */
  at(index: number): string {
    const length = this.family === 'IPv4' ? 4 : 16;
    let value = this.#base + BigInt(index);
    const bytes = new Array<number>(length).fill(0);
    for (let place = length - 1; place >= 0; place--, value >>= 8n) bytes[place] = Number(value & 0xffn);
    return ipaddr.fromByteArray(bytes).toString();
  }

  free(taken: ReadonlySet<string>, random: () => number): string | undefined {
    for (let tries = 0; tries < TRIES; tries++) {
      const address = this.at(2 + Math.floor(random() * (Number(this.#size) - 3)));
      if (!taken.has(address)) return address;
    }
    return undefined;
  }
}

const toNumber = (bytes: number[]): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

export class ServiceAddresses implements AdmissionPlugin {
  readonly #store: Store;
  readonly #ranges: readonly AddressRange[];
  readonly #random: () => number;

  /** `ranges`: one or two, the first is the primary family. */
  constructor(store: Store, ranges: readonly AddressRange[], random: () => number) {
    this.#store = store;
    this.#ranges = ranges;
    this.#random = random;
  }

  mutate({ target, operation, object, before }: AdmissionRequest): void {
    if (target.resource.storage !== 'services' || !object || target.subresource !== '') return;
    if (operation !== 'CREATE' && operation !== 'UPDATE') return;
    const spec = objectAt(object, 'spec');
    if (spec['type'] === 'ExternalName') {
      for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[field];
      return;
    }
    const old = before && objectAt(before, 'spec');
    if (old) keepAddresses(spec, old);
    this.#addresses(object, spec);
    this.#nodePorts(spec, old);
  }

  #addresses(service: KubeObject, spec: JsonObject): void {
    const headless = spec['clusterIP'] === 'None';
    const families = this.#families(service, spec, headless);
    spec['ipFamilies'] = families;
    spec['ipFamilyPolicy'] ??= families.length > 1 ? 'RequireDualStack' : 'SingleStack';
    if (headless) {
      spec['clusterIPs'] = ['None'];
      return;
    }
    const given = listAt(spec, 'clusterIPs').map(String);
    if (given.length === 0 && textAt(spec, 'clusterIP')) given.push(textAt(spec, 'clusterIP')!);
    const taken = this.#taken(service.metadata.uid);
    const addresses = families.map((family, index) => {
      const range = this.#ranges.find((candidate) => candidate.family === family)!;
      const wanted = given[index];
      if (wanted) {
        if (taken.has(wanted))
          throw refused(
            service,
            'spec.clusterIPs',
            `Invalid value: ["${wanted}"]: failed to allocate IP ${wanted}: provided IP is already allocated`,
          );
        if (!range.has(wanted))
          throw refused(
            service,
            'spec.clusterIPs',
            `Invalid value: ["${wanted}"]: the provided IP is not in the valid range`,
          );
        return wanted;
      }
      const found = range.free(taken, this.#random);
      if (!found) throw refused(service, 'spec.clusterIPs', 'Internal error: range is full');
      return found;
    });
    spec['clusterIPs'] = addresses;
    spec['clusterIP'] = addresses[0]!;
  }

  #families(service: KubeObject, spec: JsonObject, headless: boolean): Family[] {
    const offered = this.#ranges.map((range) => range.family);
    const wanted = listAt(spec, 'ipFamilies').filter(
      (family): family is Family => family === 'IPv4' || family === 'IPv6',
    );
    const addressed = listAt(spec, 'clusterIPs').flatMap((address): Family[] =>
      isIP(String(address)) === 4 ? ['IPv4'] : isIP(String(address)) === 6 ? ['IPv6'] : [],
    );
    const first = wanted.length > 0 ? wanted : addressed.length > 0 ? addressed : (familyOf(spec) ?? [offered[0]!]);
    const policy = textAt(spec, 'ipFamilyPolicy');
    for (const family of first)
      if (!offered.includes(family))
        throw refused(service, 'spec.ipFamilies', `Invalid value: "${family}": not configured on this cluster`);
    if (policy === 'RequireDualStack' && offered.length < 2)
      throw refused(
        service,
        'spec.ipFamilyPolicy',
        'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
      );
    if (
      policy === undefined &&
      headless &&
      objectAt(spec)['selector'] === undefined &&
      wanted.length === 0 &&
      offered.length > 1
    )
      spec['ipFamilyPolicy'] = 'RequireDualStack';
    const dual = spec['ipFamilyPolicy'] === 'RequireDualStack' || policy === 'PreferDualStack';
    if (policy === 'SingleStack') return first.slice(0, 1);
    return dual ? [...new Set([...first, ...offered])] : first;
  }

  #taken(uid: string | undefined): Set<string> {
    const taken = new Set<string>();
    for (const entry of this.#store.collection('services').list())
      if (entry.object.metadata.uid !== uid)
        for (const address of listAt(entry.object, 'spec', 'clusterIPs')) taken.add(String(address));
    return taken;
  }

  #nodePorts(spec: JsonObject, old: JsonObject | undefined): void {
    const ports = listAt(spec, 'ports').filter(isObject);
    const wants =
      spec['type'] === 'NodePort' ||
      (spec['type'] === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false);
    if (!wants) {
      if (spec['type'] === 'ClusterIP') for (const port of ports) delete port['nodePort'];
      return;
    }
    const taken = new Set<number>();
    for (const entry of this.#store.collection('services').list())
      for (const port of listAt(entry.object, 'spec', 'ports')) taken.add(numberAt(port, 'nodePort') ?? 0);
    const before = listAt(old, 'ports');
    for (const port of ports) {
      if (port['nodePort']) continue;
      const same = before.find(
        (item) => numberAt(item, 'port') === port['port'] && textAt(item, 'protocol') === port['protocol'],
      );
      let number = numberAt(same, 'nodePort') ?? 0;
      const span = NODE_PORTS.last - NODE_PORTS.first + 1;
      while (number === 0 || (same === undefined && taken.has(number)))
        number = NODE_PORTS.first + Math.floor(this.#random() * span);
      taken.add(number);
      port['nodePort'] = number;
    }
  }
}

function familyOf(spec: JsonObject): Family[] | undefined {
  const version = isIP(textAt(spec, 'clusterIP') ?? '');
  return version === 4 ? ['IPv4'] : version === 6 ? ['IPv6'] : undefined;
}

/** An update that does not mention its addresses keeps them. */
function keepAddresses(spec: JsonObject, old: JsonObject): void {
  if (old['type'] === 'ExternalName') return;
  for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies'] as const) {
    const value: Json | undefined = old[field];
    const missing = spec[field] === undefined || spec[field] === '';
    if (missing && value !== undefined && !(field === 'ipFamilies' && spec['ipFamilyPolicy'] !== old['ipFamilyPolicy']))
      spec[field] = value;
  }
  spec['ipFamilyPolicy'] ??= old['ipFamilyPolicy'] ?? 'SingleStack';
}

const refused = (service: KubeObject, field: string, message: string): Error =>
  invalid('', 'Service', service.metadata.name ?? '', [{ field, message }]);
