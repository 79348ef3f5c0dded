// SPDX-License-Identifier: Apache-2.0
// DNS of one pod: its questions are redirected to port 15053 on its loopback, by UDP and TCP. What the mesh knows is answered
// (ztunnel/dns), the rest is forwarded.
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { EINTR } from '#lib/linux/errno.ts';
import { received, udpReceive, udpSend } from '#lib/linux/message.ts';
import { tcpListen, udpBind } from '#lib/linux/socket.ts';
import { Acceptor } from '#lib/loop/acceptor.ts';
import type { Pollable, Resumable, Slot } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { BROKEN, NOTHING_YET, Socket, type SocketOwner } from '#lib/net/socket.ts';
import {
  type DnsQuery,
  type DnsRecord,
  encodeAnswer,
  fitReply,
  parseQuery,
  Rcode,
  RecordType,
  TCP_MOST,
} from '#lib/wire/dns.ts';
import { answerQuestion, DNS_TTL_SECONDS, type DnsOptions } from '../dns/answer.ts';
import { DNS_DURATION_BUCKETS } from '../telemetry/families.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import type { Pod } from './pod.ts';

/** Datagrams answered before other work of the turn is looked at. */
const BATCH = 64;
/** A TCP client that says nothing is closed after this. */
const TCP_IDLE_MS = 5_000;
const MAX_DATAGRAM = 4096;

const arena = Arena.allocate(70 * 1024);

type Reply = (message: Buffer) => void;

export class DnsServer {
  readonly #pod: Pod;
  readonly #options: DnsOptions;
  readonly #forwarder: DnsForwarder;
  readonly #open: { close(): void }[] = [];

  /** Opens the sockets, or none of them. Throws SYSCALL_* with the endpoint. */
  constructor(pod: Pod) {
    this.#pod = pod;
    const { settings, loop, admission } = pod.runtime;
    const { dns, mark, ports, reusePort } = settings;
    this.#options = {
      clusterDomain: settings.clusterDomain,
      network: settings.network,
      ipv6: settings.ipv6,
      preferredNamespace: dns.preferredServiceNamespace ?? undefined,
      searchDomains: dns.searchDomains ?? undefined,
    };
    const netns = pod.netns?.fd;
    this.#forwarder = new DnsForwarder({ loop, netns, mark, servers: dns.servers.map(serverOf) });
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
    const limit = protocol === 'udp' ? query.udpLimit : TCP_MOST;
    const { runtime } = this.#pod;
    const client = this.#pod.local();
    if (client === undefined) {
      reply(encodeAnswer(query, SERVER_FAILURE, limit));
      return;
    }
    const labels = {
      request_query_type: typeName(query.type),
      request_protocol: protocol,
      source_canonical_service: client.workload.canonicalName,
      source_canonical_revision: client.workload.canonicalRevision,
    };
    runtime.telemetry.count('istio_dns_requests_total', labels);
    if (query.class === 1 && (query.type === RecordType.a || query.type === RecordType.aaaa)) {
      const type = query.type === RecordType.a ? 'A' : 'AAAA';
      const question = { name: query.name, type, client: client.workload } as const;
      const answer = answerQuestion(runtime.mesh, question, this.#options, runtime.random);
      if (answer.kind === 'answer') {
        const owner = answer.alias ?? query.name;
        const records: DnsRecord[] = answer.addresses.map(({ text }) => ({
          type,
          name: owner,
          ttl: DNS_TTL_SECONDS,
          address: text,
        }));
        if (answer.alias !== undefined) {
          records.unshift({ type: 'CNAME', name: query.name, ttl: DNS_TTL_SECONDS, target: answer.alias });
        }
        reply(encodeAnswer(query, { rcode: Rcode.noError, authoritative: true, records }, limit));
        return;
      }
    }
    runtime.telemetry.count('istio_dns_upstream_requests_total', labels);
    const asked = runtime.loop.now;
    this.#forwarder.ask(message, query, protocol === 'tcp', (answer) => {
      const tookS = (runtime.loop.now - asked) / 1000;
      runtime.telemetry.observe(UPSTREAM_DURATION, labels, DNS_DURATION_BUCKETS, tookS);
      if (answer === undefined) runtime.telemetry.count('istio_dns_upstream_failures_total', labels);
      reply(answer === undefined ? encodeAnswer(query, SERVER_FAILURE, limit) : fitReply(answer, query, limit));
    });
  }
}

const UPSTREAM_DURATION = 'istio_dns_upstream_request_duration_seconds';
const SERVER_FAILURE = { rcode: Rcode.servFail, authoritative: false, records: [] };

function typeName(type: DnsQuery['type']): string {
  for (const [name, number] of Object.entries(RecordType)) if (number === type) return name;
  return String(type);
}

/** `ip`, `ip:port` or `[v6]:port`. */
function serverOf(text: string): Endpoint {
  const bracket = /^\[(.+)\]:(\d+)$/.exec(text);
  const plain = /^([\d.]+):(\d+)$/.exec(text);
  const [, ip = text, port = '53'] = bracket ?? plain ?? [];
  return Endpoint.parse(ip, Number(port)) ?? Endpoint.parse('127.0.0.1', 53)!;
}

/** A pod without IPv6 on its loopback has no `::1`; without 127.0.0.1 there is something wrong. */
function tryOpen(ip: string, open: () => number): number {
  try {
    return open();
  } catch (error) {
    if (ip === '::1') return -1;
    throw error;
  }
}

type Handle = (message: Buffer, reply: Reply) => void;

class UdpDoor implements Pollable, Resumable {
  resumeQueued = false;
  readonly #loop: Pod['runtime']['loop'];
  readonly #fd: number;
  readonly #v6: boolean;
  readonly #handle: Handle;
  readonly #slot: Slot;
  readonly #from = new Endpoint();
  readonly #to = new Endpoint();
  #closed = false;

  constructor(loop: Pod['runtime']['loop'], fd: number, v6: boolean, handle: Handle) {
    this.#loop = loop;
    this.#fd = fd;
    this.#v6 = v6;
    this.#handle = handle;
    this.#slot = loop.add(fd, this, EPOLLIN | EPOLLET);
  }

  onReady(): void {
    this.resume();
  }

  resume(): void {
    for (let k = 0; k < BATCH && !this.#closed; k++) {
      const n = udpReceive(this.#fd, arena, 0, MAX_DATAGRAM, this.#from, this.#to);
      if (n === -EINTR) continue;
      if (n < 0) return;
      if (received.truncated) continue;
      const from = this.#from.clone();
      this.#handle(Buffer.from(arena.bytes.subarray(0, n)), (reply) => this.#reply(reply, from));
    }
    if (!this.#closed) this.#loop.again(this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.remove(this.#slot);
  }

  #reply(message: Buffer, to: Endpoint): void {
    if (this.#closed) return;
    message.copy(arena.bytes, 0);
    udpSend(this.#fd, arena, 0, message.length, to, undefined, this.#v6);
  }
}

/** One client by TCP: messages behind their length, answered in the order in which answers come. */
class TcpClient implements SocketOwner, TimerTarget {
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #handle: Handle;
  #held: Buffer = Buffer.alloc(0);
  #timer: TimerId;

  constructor(pod: Pod, fd: number, handle: Handle) {
    this.#pod = pod;
    this.#handle = handle;
    this.#timer = pod.runtime.loop.after(TCP_IDLE_MS, this);
    this.#socket = new Socket(pod.runtime.loop, fd, this);
    pod.add(this);
  }

  onSocket(socket: Socket): void {
    while (socket.readable && !socket.closed) {
      const n = socket.receive(arena, 0, arena.size);
      if (n === NOTHING_YET) return;
      if (n <= 0) {
        this.#end(n === BROKEN);
        return;
      }
      this.#held = Buffer.concat([this.#held, arena.bytes.subarray(0, n)]);
      this.#take();
    }
  }

  onTimer(): void {
    this.#timer = 0;
    this.#end(false);
  }

  kill(): void {
    this.#end(true);
  }

  info(): null {
    return null;
  }

  #take(): void {
    while (this.#held.length >= 2 && !this.#socket.closed) {
      const end = 2 + this.#held.readUInt16BE(0);
      if (this.#held.length < end) return;
      const message = this.#held.subarray(2, end);
      this.#held = Buffer.from(this.#held.subarray(end));
      this.#handle(message, (reply) => this.#reply(reply));
    }
  }

  #reply(message: Buffer): void {
    if (this.#socket.closed) return;
    arena.bytes.writeUInt16BE(message.length, 0);
    message.copy(arena.bytes, 2);
    // An answer is small beside a socket's buffer; a client that lets them pile up loses its connection.
    if (this.#socket.send(arena, 0, message.length + 2) !== message.length + 2) this.#end(true);
  }

  #end(broken: boolean): void {
    if (this.#socket.closed) return;
    if (this.#timer !== 0) this.#pod.runtime.loop.cancel(this.#timer);
    if (broken) this.#socket.abort();
    else this.#socket.close();
    this.#pod.runtime.admission.leave();
    this.#pod.delete(this);
  }
}
