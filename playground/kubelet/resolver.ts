// SPDX-License-Identifier: Apache-2.0
// A pod's /etc/resolv.conf and /etc/hosts (Kubernetes, "DNS for Services and Pods"). Pure.
import type { PodObject } from './pod.ts';

export interface NameService {
  readonly domain: string;
  /** ClusterIPs of the cluster's DNS. */
  readonly servers: readonly string[];
  /** The node's own resolv.conf. */
  readonly nodeResolvConf: string;
}

const MAX_SERVERS = 3;

/** The text of resolv.conf by the pod's dnsPolicy and dnsConfig. */
export function resolvConf(pod: PodObject, names: NameService): string {
  const { dnsPolicy = 'ClusterFirst', dnsConfig = {}, hostNetwork } = pod.spec;
  const cluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && hostNetwork !== true);
  const namespace = pod.metadata.namespace ?? 'default';
  const node = parseResolvConf(names.nodeResolvConf);
  const base = cluster
    ? {
        servers: names.servers,
        searches: [`${namespace}.svc.${names.domain}`, `svc.${names.domain}`, names.domain],
        options: ['ndots:5'],
      }
    : dnsPolicy === 'None'
      ? { servers: [], searches: [], options: [] }
      : node;
  const servers = [...new Set([...base.servers, ...(dnsConfig.nameservers ?? [])])].slice(0, MAX_SERVERS);
  const searches = [...new Set([...base.searches, ...(dnsConfig.searches ?? [])])];
  const own = (dnsConfig.options ?? []).map(({ name = '', value }) =>
    value === undefined ? name : `${name}:${value}`,
  );
  const options = [...base.options.filter((option) => !own.some((text) => key(text) === key(option))), ...own];
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(searches.length === 0 ? [] : [`search ${searches.join(' ')}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
    '',
  ].join('\n');
}

function key(option: string): string {
  return option.split(':')[0]!;
}

function parseResolvConf(text: string): { servers: string[]; searches: string[]; options: string[] } {
  const words = (name: string): string[] =>
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([first]) => first === name)
      .flatMap(([, ...rest]) => rest);
  return { servers: words('nameserver'), searches: words('search'), options: words('options') };
}

/** The text of /etc/hosts: loopback, the pod's own name and its host aliases. */
export function hostsFile(pod: PodObject, ips: readonly string[], domain: string): string {
  const { hostname, subdomain, hostAliases = [], hostNetwork } = pod.spec;
  const name = hostname ?? pod.metadata.name;
  const names =
    subdomain === undefined ? [name] : [`${name}.${subdomain}.${pod.metadata.namespace}.svc.${domain}`, name];
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::\tip6-localnet',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    ...(hostNetwork === true ? [] : ips.map((ip) => `${ip}\t${names.join('\t')}`)),
    ...hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}`),
    '',
  ].join('\n');
}
