// SPDX-License-Identifier: Apache-2.0
// What a captured pod's DNS question is answered with: services of the mesh under every name a pod may call them by. Pure: no
// socket, no clock. Everything that is not ours is forwarded, and so are record types other than A and AAAA.
import type { Ip } from '#lib/mesh/ip.ts';
import { NO_PROOF, type Recorder } from '#lib/mesh/proof.ts';
import { type Endpoint, type Service, visibleTo } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';

/** What answering needs of the mesh; `SharedMesh` has it. */
export interface DnsView {
  /** Every service of that exact host name (wildcards are names that start with `*.`). */
  servicesOfHostname(hostname: string): readonly Service[];
  endpoints(service: Service): readonly Endpoint[];
}

export interface DnsOptions {
  readonly clusterDomain: string;
  /** The network that the client's addresses belong to. */
  readonly network: string;
  readonly ipv6: boolean;
  /** Wins after the client's own namespace and canonical services. */
  readonly preferredNamespace: string | undefined;
  /** Fixed search domains; undefined computes them from the client's namespace. */
  readonly searchDomains: readonly string[] | undefined;
}

export interface DnsQuestion {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly type: 'A' | 'AAAA';
  readonly client: Workload;
}

export type DnsAnswer =
  | { readonly kind: 'forward' }
  | {
      readonly kind: 'answer';
      readonly service: Service;
      /** When set: the question is an alias of this name, and the addresses stand under it. */
      readonly alias: string | undefined;
      /** May be empty: the name exists, it has no address of this type. */
      readonly addresses: readonly Ip[];
    };

export const DNS_TTL_SECONDS = 30;

interface Candidate {
  readonly name: string;
  /** The name without the search domain it was found by. */
  readonly stripped: string | undefined;
  /** That domain; '' for none. */
  readonly domain: string;
}

export function answerQuestion(
  view: DnsView,
  question: DnsQuestion,
  options: DnsOptions,
  random: () => number,
  recorder: Recorder = NO_PROOF,
): DnsAnswer {
  const { client, name } = question;
  for (const candidate of candidates(name, client.namespace, options)) {
    const found = view.servicesOfHostname(candidate.name);
    const exact = choose(found, client.namespace, options);
    if (recorder.enabled) tellSearch(recorder, candidate, name, found, exact, client.namespace);
    if (exact !== undefined) return answer(view, exact, candidate.stripped, question, options, random, recorder);
    for (const wildcard of wildcards(candidate.name)) {
      const wide = view.servicesOfHostname(wildcard);
      const service = choose(wide, client.namespace, options);
      if (recorder.enabled && wide.length > 0)
        tellSearch(recorder, { ...candidate, name: wildcard }, name, wide, service, client.namespace);
      if (service !== undefined) return answer(view, service, undefined, question, options, random, recorder);
    }
  }
  return { kind: 'forward' };
}

/** What a name that was looked for is, and which service of several. */
function tellSearch(
  recorder: Recorder,
  { domain, name }: Candidate,
  asked: string,
  found: readonly Service[],
  chosen: Service | undefined,
  namespace: string,
): void {
  const form = name === asked ? 'as it was asked' : name.startsWith('*') ? 'a pattern that fits' : 'a form of it';
  const clause = domain === '' ? form : `without the search domain ${domain}`;
  if (chosen !== undefined) {
    const others =
      found.length === 1 ? '' : `, of ${found.length} of that name the one ${preference(chosen, namespace)}`;
    recorder.step(`Name ${name}`, '', clause, `is service ${chosen.key}${others}`);
    return;
  }
  recorder.step(`Name ${name}`, '', clause, found.length === 0 ? 'no service' : 'no service that counts');
  for (const service of found) {
    const hidden = !visibleTo(service, namespace);
    const why = hidden
      ? `not exported to namespace ${namespace}`
      : 'has no address, and is outside the cluster’s domain';
    const change = hidden ? 'exportTo names the namespace' : 'the ServiceEntry has addresses';
    recorder.step(`Service ${service.key}`, '', 'may it answer', why, change, 1);
  }
}

function preference(service: Service, namespace: string): string {
  if (service.namespace === namespace) return 'of the client’s namespace';
  return service.canonical ? 'that is a Kubernetes Service' : `of namespace ${service.namespace}`;
}

/** Search domains of a pod, as Kubernetes gives them. */
export function searchDomainsOf(namespace: string, clusterDomain: string): string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

function candidates(name: string, namespace: string, options: DnsOptions): Candidate[] {
  const found: Candidate[] = [];
  const add = (candidate: string, stripped: string | undefined, domain: string): void => {
    if (!found.some((one) => one.name === candidate)) found.push({ name: candidate, stripped, domain });
  };
  const both = (base: string, stripped: string | undefined, domain: string): void => {
    add(base, stripped, domain);
    for (const one of expansions(base, namespace, options.clusterDomain)) add(one, stripped, domain);
  };
  both(name, undefined, '');
  for (const domain of options.searchDomains ?? searchDomainsOf(namespace, options.clusterDomain)) {
    if (!name.endsWith(`.${domain}`)) continue;
    const stripped = name.slice(0, -domain.length - 1);
    both(stripped, stripped, domain);
  }
  return found;
}

function expansions(name: string, namespace: string, domain: string): string[] {
  const labels = name.split('.');
  const [a, b] = labels;
  switch (labels.length) {
    case 1:
      return [`${a}.${namespace}.svc.${domain}`];
    case 2:
      return [`${a}.${b}.svc.${domain}`, `${a}.${b}.${namespace}.svc.${domain}`];
    case 3:
      return [...(labels[2] === 'svc' ? [`${a}.${b}.svc.${domain}`] : []), `${name}.svc.${domain}`];
    case 4:
      return labels[3] === 'svc' ? [`${name}.${domain}`] : [];
    default:
      return [];
  }
}

/** `*.b.c`, `*.c` for `a.b.c`. */
function* wildcards(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield `*${name.slice(dot)}`;
}

function choose(services: readonly Service[], namespace: string, options: DnsOptions): Service | undefined {
  const suffix = `.svc.${options.clusterDomain}`;
  const usable = services.filter(
    (service) => visibleTo(service, namespace) && (hasAddress(service) || service.hostname.endsWith(suffix)),
  );
  return (
    usable.find((service) => service.namespace === namespace) ??
    usable.find((service) => service.canonical) ??
    usable.find((service) => service.namespace === options.preferredNamespace) ??
    usable[0]
  );
}

/** A range of virtual addresses is none that a name could be answered with. */
function hasAddress({ vips }: Service): boolean {
  return vips.some(({ range }) => range.host);
}

function answer(
  view: DnsView,
  service: Service,
  alias: string | undefined,
  { type }: DnsQuestion,
  options: DnsOptions,
  random: () => number,
  recorder: Recorder,
): DnsAnswer {
  const family = type === 'A' ? 4 : 6;
  const supported = service.ipFamilies !== (family === 4 ? 'ipv6' : 'ipv4') && (family === 4 || options.ipv6);
  const addresses = supported ? addressesOf(view, service, family, options.network) : [];
  if (recorder.enabled) tellAddresses(recorder, service, family, addresses, options);
  // An alias that leads to no address of this type would only have it asked for again.
  return {
    kind: 'answer',
    service,
    alias: addresses.length > 0 ? alias : undefined,
    addresses: shuffled(addresses, random),
  };
}

function tellAddresses(
  recorder: Recorder,
  service: Service,
  family: 4 | 6,
  addresses: readonly Ip[],
  { ipv6, network }: DnsOptions,
): void {
  const kind = hasAddress(service) ? 'its virtual addresses' : 'its ready endpoints’ addresses, as it is headless';
  const clause = `${kind} of IPv${family}${network === '' ? '' : ` on network ${network}`}`;
  const texts = addresses.map(({ text }) => text).join(', ');
  let outcome = texts;
  if (family === 6 && !ipv6) outcome = 'none: the proxy runs without IPv6 (IPV6_ENABLED)';
  else if (service.ipFamilies === (family === 4 ? 'ipv6' : 'ipv4'))
    outcome = `none: its ipFamilies is ${service.ipFamilies}`;
  else if (texts === '') outcome = 'none';
  recorder.step(`Service ${service.key}`, '', clause, outcome);
}

function addressesOf(view: DnsView, service: Service, family: 4 | 6, network: string): Ip[] {
  if (hasAddress(service)) {
    return service.vips.flatMap((vip) =>
      vip.network === network && vip.range.host && vip.range.base.family === family ? [vip.range.base] : [],
    );
  }
  return view.endpoints(service).flatMap(({ workload }) => {
    if (workload.network !== network || !(workload.healthy || service.loadBalancing.allowUnhealthy)) return [];
    return workload.addresses.find((ip) => ip.family === family) ?? [];
  });
}

function shuffled(addresses: Ip[], random: () => number): Ip[] {
  for (let i = addresses.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [addresses[i], addresses[j]] = [addresses[j]!, addresses[i]!];
  }
  return addresses;
}
