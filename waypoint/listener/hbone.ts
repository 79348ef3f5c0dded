// SPDX-License-Identifier: Apache-2.0
// Tunnels that come on port 15008. A client must be of the trust domain; what it wants is in each CONNECT: the address that the
// application dialled. Who it is decides policies: the certificate of the tunnel, and nothing that a header says.
import type { Endpoint } from '#lib/linux/address.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { Doorstep, type DoorstepOwner, leftAtOnce, type Vain } from '#lib/net/doorstep.ts';
import { NOBODY } from '#lib/net/http/link.ts';
import { StreamLink } from '#lib/net/http/stream-link.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import { NO_TLS } from '#lib/proxy/worker/cut-log.ts';
import { REVOKED } from '#lib/proxy/worker/revocation-check.ts';
import { TUNNEL_LIMITS } from '#lib/proxy/worker/tunnel-options.ts';
import { isOfTrustDomain, type PeerIdentity } from '#lib/tls/peer.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode } from '#lib/wire/h2/protocol.ts';
import { HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectResponse, HboneStatus, parseAuthority } from '#lib/wire/hbone.ts';
import type { Door } from '../path/door.ts';
import { Origin } from '../path/origin.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { Live } from './connections.ts';
import type { Doors } from './doors.ts';
import { serveLink } from './incoming.ts';
import type { ExchangeService } from './service.ts';

/** Origins remembered of one tunnel. */
const MAX_ORIGINS = 256;
/** All tunnels come to one door. */
const ONLY_DOOR = '';
const NOT_FOUND = 404;

export class HboneListener {
  readonly #runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #doors: Doors;

  constructor(runtime: Runtime, service: ExchangeService, doors: Doors) {
    this.#runtime = runtime;
    this.#service = service;
    this.#doors = doors;
  }

  onConnection(fd: number, from: Endpoint): void {
    const { admission, bench, cuts, ips } = this.#runtime;
    if (leftAtOnce(bench, fd)) {
      admission.leave();
      cuts.sentAway('silent');
      return;
    }
    const peer = ips.of(from);
    const text = peer.withPort(from.port);
    new Knock(this.#runtime, fd, peer.text, text, () => {
      const { share } = this.#runtime;
      if (share.give(ONLY_DOOR, fd)) admission.leave();
      else {
        share.begun();
        this.#begin(fd, peer, text);
      }
    });
  }

  /** One that has knocked at another process, which has counted it as ours. */
  onGiven(fd: number, from: Endpoint): void {
    const peer = this.#runtime.ips.of(from);
    this.#begin(fd, peer, peer.withPort(from.port));
  }

  #begin(fd: number, peer: Ip, peerText: string): void {
    const { admission, bench, identities, settings, share, telemetry } = this.#runtime;
    const context = identities.context(settings.identity);
    if (context === null) {
      closeFd(fd);
      admission.leave();
      share.ended();
      telemetry.count('ambit_tunnels_refused_total', { reason: 'no certificate' });
      return;
    }
    const tunnel = new InboundTunnel(this.#runtime, this.#service, this.#doors, peer, peerText);
    tunnel.session = new Session(
      bench,
      'server',
      { ...HBONE_SERVER, limits: TUNNEL_LIMITS },
      tunnel,
      (owner) => new TlsTransport(bench, fd, context, 'server', owner),
    );
    this.#runtime.connections.add(tunnel);
    this.#runtime.inbound.add(tunnel.session);
    telemetry.tunnel(1);
  }
}

/** A connection that has not said anything yet. */
class Knock implements DoorstepOwner, Live {
  place = -1;
  readonly #runtime: Runtime;
  readonly #doorstep: Doorstep;
  readonly onHello: () => void;
  readonly #peer: string;

  constructor(runtime: Runtime, fd: number, ip: string, peer: string, onHello: () => void) {
    this.#runtime = runtime;
    this.#peer = peer;
    this.onHello = () => {
      runtime.connections.delete(this);
      onHello();
    };
    this.#doorstep = new Doorstep(runtime.bench, fd, ip, this);
    runtime.connections.add(this);
  }

  onVain(why: Vain): void {
    const { cuts, telemetry } = this.#runtime;
    if (cuts.sentAway(why)) telemetry.message('warn', NO_TLS, { address: this.#peer });
    this.#leave();
  }

  drain(): void {
    this.kill();
  }

  kill(): void {
    this.#doorstep.close();
    this.#leave();
  }

  sweep(): void {}

  #leave(): void {
    const { admission, connections } = this.#runtime;
    admission.leave();
    connections.delete(this);
  }
}

/** One accepted tunnel. */
class InboundTunnel implements SessionOwner, Live {
  place = -1;
  session!: Session;
  readonly #runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #doors: Doors;
  readonly #peerIp: Ip;
  readonly #peerText: string;
  readonly #origins = new Map<string, Origin>();
  #identity: Identity | undefined;
  #party: Party | undefined;

  constructor(runtime: Runtime, service: ExchangeService, doors: Doors, peerIp: Ip, peerText: string) {
    this.#runtime = runtime;
    this.#service = service;
    this.#doors = doors;
    this.#peerIp = peerIp;
    this.#peerText = peerText;
  }

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    const { l7, memory, mesh, revocations, settings, telemetry } = this.#runtime;
    const { trustDomainAliases: aliases } = l7.settings;
    if (peer === null || !(isOfTrustDomain(peer, settings.trustDomain) || aliases.includes(peer.trustDomain)))
      return `peer ${peer?.uri ?? 'without identity'} is not of trust domain ${[settings.trustDomain, ...aliases].join(' or ')}`;
    if (revocations.revoked(peer)) {
      telemetry.count('istio_crl_policy_rejections_total', { reporter: 'destination' });
      return REVOKED;
    }
    this.#identity = memory.identity(peer.uri);
    const workload = mesh.workloadByAddress(settings.network, this.#peerIp);
    if (workload !== undefined) this.#party = memory.of(workload).party;
    return '';
  }

  onUsable(): void {}

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    const { authority } = headers;
    let origin = this.#origins.get(authority);
    if (origin === undefined || !headers.isTunnel) {
      const made = headers.isTunnel ? this.#originOf(authority) : HboneStatus.badRequest;
      if (typeof made === 'number') {
        refuse(session, stream, made);
        return;
      }
      if (this.#origins.size >= MAX_ORIGINS) this.#origins.clear();
      this.#origins.set(authority, made);
      origin = made;
    }
    const { admission, bench } = this.#runtime;
    if (!admission.enter()) {
      refuse(session, stream, HboneStatus.unavailable);
      return;
    }
    this.#runtime.telemetry.connection(1);
    session.h2.respond(stream, connectResponse(HboneStatus.ok, ''), false);
    const onEnd = (): void => {
      admission.leave();
      this.#runtime.telemetry.connection(-1);
    };
    serveLink(this.#runtime, this.#service, new StreamLink(bench, session, stream, NOBODY), { origin, onEnd });
  }

  onStreamGone(): void {}

  onSessionEnd(): void {
    const { admission, connections, cuts, inbound, share, telemetry } = this.#runtime;
    inbound.delete(this.session);
    cuts.tunnelEnded(this.session, this.#peerIp, this.#peerText);
    telemetry.tunnel(-1);
    share.ended();
    admission.leave();
    connections.delete(this);
  }

  drain(): void {
    this.session.drain();
  }

  kill(): void {
    this.session.abort('connection closed due to connection drain');
  }

  sweep(): void {}

  #originOf(authority: string): Origin | number {
    const parsed = parseAuthority(authority);
    if (parsed === undefined) return HboneStatus.badRequest;
    const namespace = this.#identity?.namespace ?? '';
    let door: Door | undefined;
    const ip = parsed.kind === 'address' ? parseIp(parsed.ip) : undefined;
    if (parsed.kind === 'hostname') door = this.#doors.byHostname(parsed.hostname, parsed.port, namespace);
    else if (ip !== undefined) door = this.#doors.byAddress(ip, parsed.port, namespace);
    if (door === undefined) return NOT_FOUND;
    const source = { ip: this.#peerIp, text: this.#peerText };
    return new Origin(door, this.#identity, source, { ip: ip ?? this.#peerIp, text: authority }, this.#party);
  }
}

function refuse(session: Session, stream: H2Stream, status: number): void {
  session.h2.respond(stream, connectResponse(status, ''), true);
  session.h2.resetStream(stream, ErrorCode.noError);
  session.streamGone();
}
