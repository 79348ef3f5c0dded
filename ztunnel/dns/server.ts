// SPDX-License-Identifier: Apache-2.0
// DNS of one pod: its questions are redirected to port 15053 on its loopback, by UDP and TCP. What the mesh knows is answered
// (ztunnel/dns), the rest is forwarded.
import { Endpoint } from '#lib/linux/address.ts';
import { tcpListen, udpBind } from '#lib/linux/socket.ts';
import { Acceptor } from '#lib/loop/acceptor.ts';
import { DnsForwarder, type Fallback, resolverAt } from '#lib/proxy/dns/forwarder.ts';
import { type Labels, orUnknown } from '#lib/proxy/telemetry/labels.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import {
  type DnsAnswer,
  type DnsQuery,
  type DnsRecord,
  encodeAnswer,
  fitReply,
  parseQuery,
  Rcode,
  RecordType,
  TCP_MOST,
} from '#lib/wire/dns.ts';
import type { Pod } from '../inpod/pod.ts';
import { DNS_DURATION_BUCKETS } from '../telemetry/families.ts';
import { answerQuestion, DNS_TTL_SECONDS, type DnsOptions } from './answer.ts';
import { dnsOptionsOf } from './options.ts';
import { queryTypeName } from './query-type.ts';
import { TcpClient } from './tcp-client.ts';
import { type Reply, UdpDoor } from './udp-door.ts';

/** Questions of one pod that wait for its record. */
const MAX_WAITING = 256;

/** A question and the way its answer takes. */
interface Asked {
  readonly message: Buffer;
  readonly query: DnsQuery;
  readonly protocol: 'udp' | 'tcp';
  /** Octets the client takes. */
  readonly limit: number;
  readonly reply: Reply;
}

export class DnsServer {
  readonly #pod: Pod;
  readonly #options: DnsOptions;
  readonly #forwarder: DnsForwarder;
  readonly #open: { close(): void }[] = [];
  #waiting = 0;

  /** Opens the sockets, or none of them. Throws SYSCALL_* with the endpoint. */
  constructor(pod: Pod) {
    this.#pod = pod;
    const { settings, loop, admission } = pod.runtime;
    const { dns, mark, ports, reusePort } = settings;
    this.#options = dnsOptionsOf(settings);
    const netns = pod.netns?.fd;
    const onFallback = (how: Fallback): void => pod.runtime.telemetry.count('ambit_dns_fallbacks_total', { how });
    this.#forwarder = new DnsForwarder({
      ...{ loop, netns, mark, onFallback },
      ...{ servers: dns.servers.map(resolverAt), tryMs: dns.tryMs },
    });
    try {
      for (const ip of settings.ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
        const at = Endpoint.parse(ip, ports.dns)!;
        const options = { netns, mark, reusePort, v6Only: true };
        const udp = tryOpen(ip, () => udpBind(at, options));
        if (udp < 0) continue;
        this.#open.push(new UdpDoor(loop, udp, ip === '::1', (message, reply) => this.#handle(message, 'udp', reply)));
        const tcp = tcpListen(at, options);
        this.#open.push(
          new Acceptor(
            loop,
            tcp,
            {
              onConnection: (fd) =>
                void new TcpClient(pod, fd, (message, reply) => this.#handle(message, 'tcp', reply)),
              onRefused: () => {},
            },
            admission,
          ),
        );
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#forwarder.close();
    for (const one of this.#open.splice(0)) one.close();
  }

  #handle(message: Buffer, protocol: 'udp' | 'tcp', reply: Reply): void {
    const parsed = parseQuery(message);
    if (parsed.kind === 'drop') return;
    if (parsed.kind === 'reject') {
      reply(parsed.reply);
      return;
    }
    const { query } = parsed;
    const asked = { message, query, protocol, limit: protocol === 'udp' ? query.udpLimit : TCP_MOST, reply };
    const client = this.#pod.local();
    if (client === undefined) this.#waitForClient(asked);
    else this.#answer(asked, client);
  }

  /** Whose question it is decides what names mean: the pod's record has a while to come. */
  #waitForClient(asked: Asked): void {
    if (this.#waiting >= MAX_WAITING) {
      fail(asked);
      return;
    }
    this.#waiting++;
    const { settings, waits } = this.#pod.runtime;
    waits.add(settings.recordWaitMs, (last) => {
      const client = this.#pod.local();
      if (client === undefined && !last && !this.#pod.closed) return false;
      this.#waiting--;
      if (client === undefined) fail(asked);
      else this.#answer(asked, client);
      return true;
    });
  }

  #answer(asked: Asked, client: WorkloadFacts): void {
    const { query, protocol, limit, reply } = asked;
    const { telemetry } = this.#pod.runtime;
    const labels = {
      request_query_type: queryTypeName(query.type),
      request_protocol: protocol,
      source_canonical_service: orUnknown(client.workload.canonicalName),
      source_canonical_revision: orUnknown(client.workload.canonicalRevision),
    };
    telemetry.count('istio_dns_requests_total', labels);
    const own = this.#ownAnswer(query, client);
    if (own === undefined) {
      this.#forward(asked, client, labels);
      return;
    }
    reply(encodeAnswer(query, own, limit));
    const addresses = own.records.flatMap((record) => (record.type === 'CNAME' ? [] : record.address));
    this.#tell(asked, client, addresses.length > 0 ? 'success' : 'no records', addresses);
  }

  /** What the mesh knows, undefined when others may know. */
  #ownAnswer(query: DnsQuery, { workload }: WorkloadFacts): DnsAnswer | undefined {
    const type = query.type === RecordType.a ? 'A' : query.type === RecordType.aaaa ? 'AAAA' : undefined;
    if (query.class !== 1 || type === undefined) return undefined;
    const { mesh, random } = this.#pod.runtime;
    const answer = answerQuestion(mesh, { name: query.name, type, client: workload }, this.#options, random);
    if (answer.kind === 'forward') return undefined;
    const name = answer.alias ?? query.name;
    const ttl = DNS_TTL_SECONDS;
    const records: DnsRecord[] = answer.addresses.map(({ text }) => ({ type, name, ttl, address: text }));
    if (answer.alias !== undefined) records.unshift({ type: 'CNAME', name: query.name, ttl, target: answer.alias });
    return { rcode: Rcode.noError, authoritative: true, records };
  }

  #forward(asked: Asked, client: WorkloadFacts, labels: Labels): void {
    const { message, query, protocol, limit, reply } = asked;
    const { loop, telemetry } = this.#pod.runtime;
    telemetry.count('istio_dns_upstream_requests_total', labels);
    const since = loop.now;
    this.#forwarder.ask(message, query, protocol === 'tcp', (answer) => {
      telemetry.observe(UPSTREAM_DURATION, labels, DNS_DURATION_BUCKETS, (loop.now - since) / 1000);
      if (answer === undefined) {
        telemetry.count('istio_dns_upstream_failures_total', labels);
        fail(asked);
        this.#tell(asked, client, 'forwarding failed (no resolver answered)', []);
      } else {
        reply(fitReply(answer, query, limit));
        this.#tell(asked, client, 'forwarded', []);
      }
    });
  }

  #tell({ query }: Asked, { workload }: WorkloadFacts, result: string, endpoints: readonly string[]): void {
    const { telemetry } = this.#pod.runtime;
    if (!telemetry.dnsLog) return;
    const fields = {
      'src.workload': workload.name,
      'src.namespace': workload.namespace,
      query: queryTypeName(query.type).toUpperCase(),
      domain: query.name,
      result,
      endpoints: endpoints.join(','),
    };
    telemetry.message('debug', 'dns request', fields, 'dns');
  }
}

function fail({ query, limit, reply }: Asked): void {
  reply(encodeAnswer(query, SERVER_FAILURE, limit));
}

const UPSTREAM_DURATION = 'istio_dns_upstream_request_duration_seconds';
const SERVER_FAILURE = { rcode: Rcode.servFail, authoritative: false, records: [] };

/** A pod without IPv6 on its loopback has no `::1`; without 127.0.0.1 there is something wrong. */
function tryOpen(ip: string, open: () => number): number {
  try {
    return open();
  } catch (error) {
    if (ip === '::1') return -1;
    throw error;
  }
}
