// SPDX-License-Identifier: Apache-2.0
// Tunnels that come to a pod on port 15008. The listener is one workload's, so its certificate is the pod's own; a client must be
// of the pod's trust domain; who may talk to the application is decided for each stream.
import { Endpoint } from '#lib/linux/address.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { localAddress } from '#lib/linux/socket.ts';
import { Doorstep, type DoorstepOwner, leftAtOnce, type Vain } from '#lib/net/doorstep.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import { NO_TLS } from '#lib/proxy/worker/cut-log.ts';
import type { IdentityWaiter } from '#lib/proxy/worker/identities.ts';
import { REVOKED } from '#lib/proxy/worker/revocation-check.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { isOfTrustDomain, type PeerIdentity } from '#lib/tls/peer.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectResponse, HboneStatus } from '#lib/wire/hbone.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { DRAINED } from '../worker/ledger.ts';
import type { MeshWait } from '../worker/mesh-waits.ts';
import type { TunnelEnds } from './connect-request.ts';
import { InboundStream } from './stream.ts';

export class HboneServer {
  readonly #pod: Pod;
  readonly #local = new Endpoint();

  constructor(pod: Pod) {
    this.#pod = pod;
  }

  /** `fd` has a place in the worker's limit; it is given back when the tunnel is over. `given`: by another process, which has counted it as ours. */
  onConnection(fd: number, peer: Endpoint, given: boolean): void {
    const { admission, bench, cuts } = this.#pod.runtime;
    if (!given && leftAtOnce(bench, fd)) {
      admission.leave();
      cuts.sentAway('silent');
      return;
    }
    if (localAddress(fd, this.#local) < 0) {
      closeFd(fd);
      admission.leave();
      if (given) this.#pod.runtime.tunnels.ended();
      return;
    }
    const { ips, settings } = this.#pod.runtime;
    const [peerIp, localIp] = [ips.of(peer), ips.of(this.#local)];
    const peerText = peerIp.withPort(peer.port);
    const ends = {
      peerIp,
      peerPort: peer.port,
      peerText,
      localIp,
      localText: localIp.withPort(settings.ports.hbone),
    };
    new Arrival(this.#pod, fd, ends, given).begin();
  }
}

/** A tunnel's connection that waits for its first byte, then for the pod's record and certificate; then it becomes a session. */
class Arrival implements LiveConnection, IdentityWaiter, DoorstepOwner {
  place = -1;
  readonly #pod: Pod;
  readonly #fd: number;
  #doorstep: Doorstep | null = null;
  readonly #ends: TunnelEnds;
  #local: WorkloadFacts | null = null;
  #wait: MeshWait | null = null;
  /** It is one of our tunnels, for those who compare. */
  #counted: boolean;
  #over = false;

  constructor(pod: Pod, fd: number, ends: TunnelEnds, given: boolean) {
    this.#pod = pod;
    this.#fd = fd;
    this.#ends = ends;
    this.#counted = given;
    pod.add(this);
  }

  begin(): void {
    this.#doorstep = new Doorstep(this.#pod.runtime.bench, this.#fd, this.#ends.peerIp.text, this);
  }

  onHello(): void {
    this.#doorstep = null;
    const { admission, tunnels } = this.#pod.runtime;
    if (!this.#counted && tunnels.give(this.#pod.info.uid, this.#fd)) {
      admission.leave();
      this.#done();
      return;
    }
    if (!this.#counted) tunnels.begun();
    this.#counted = true;
    const local = this.#pod.local();
    if (local !== undefined) {
      this.#known(local);
      return;
    }
    const { settings, waits } = this.#pod.runtime;
    this.#wait = waits.add(settings.recordWaitMs, (last) => {
      const found = this.#pod.local();
      if (found !== undefined) this.#known(found);
      else if (last) this.kill(this.#pod.unknownText());
      else return false;
      return true;
    });
  }

  onVain(why: Vain): void {
    const { admission, cuts, telemetry } = this.#pod.runtime;
    admission.leave();
    if (cuts.sentAway(why)) telemetry.earlyDeny('inbound', this.#ends.peerText, this.#ends.localText, NO_TLS);
    this.#done();
  }

  /** Who has said nothing yet may as well dial whoever comes after us. */
  drain(): void {
    if (this.#doorstep !== null) this.kill(DRAINED);
  }

  onIdentity(context: TlsContext): void {
    if (this.#over || this.#local === null) return;
    const { runtime } = this.#pod;
    runtime.telemetry.tunnel(1);
    const tunnel = new InboundTunnel(this.#pod, this.#ends, this.#local.workload.trustDomain);
    const session = new Session(
      runtime.bench,
      'server',
      runtime.serverH2,
      tunnel,
      (owner) => new TlsTransport(runtime.bench, this.#fd, context, 'server', owner),
    );
    this.#pod.sessions.add(session);
    // Its end is the tunnel's to tell from now on.
    this.#counted = false;
    this.#done();
  }

  onNoIdentity(reason: string): void {
    this.kill(`identity error: ${reason}`);
  }

  kill(error: string): void {
    if (this.#over) return;
    if (this.#doorstep === null) closeFd(this.#fd);
    else this.#doorstep.close();
    const { admission, telemetry } = this.#pod.runtime;
    admission.leave();
    telemetry.earlyDeny('inbound', this.#ends.peerText, this.#ends.localText, error);
    this.#done();
  }

  info(): null {
    return null;
  }

  #known(local: WorkloadFacts): void {
    this.#local = local;
    const { identities } = this.#pod.runtime;
    const context = identities.context(local.uri);
    if (context !== null) this.onIdentity(context);
    else identities.obtain(local.uri, this);
  }

  #done(): void {
    this.#over = true;
    if (this.#counted) this.#pod.runtime.tunnels.ended();
    this.#wait?.cancel();
    this.#wait = null;
    this.#pod.delete(this);
  }
}

/** One accepted tunnel. */
class InboundTunnel implements SessionOwner {
  readonly #pod: Pod;
  readonly #ends: TunnelEnds;
  readonly #trustDomain: string;
  #usable = false;

  constructor(pod: Pod, ends: TunnelEnds, trustDomain: string) {
    this.#pod = pod;
    this.#ends = ends;
    this.#trustDomain = trustDomain;
  }

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    const { revocations, telemetry } = this.#pod.runtime;
    if (peer !== null && revocations.revoked(peer)) {
      telemetry.count('istio_crl_policy_rejections_total', { reporter: 'destination' });
      return REVOKED;
    }
    if (peer !== null && isOfTrustDomain(peer, this.#trustDomain)) return '';
    return `peer ${peer?.uri ?? 'without identity'} is not of trust domain ${this.#trustDomain}`;
  }

  onUsable(): void {
    this.#usable = true;
  }

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock, endStream: boolean): void {
    const { admission, loop, telemetry } = this.#pod.runtime;
    const tooFast = this.#pod.newConnections?.take(loop.now) === false;
    if (tooFast || !admission.enter()) {
      telemetry.count('ambit_connections_refused_total', { reason: tooFast ? 'rate' : 'limit' });
      session.h2.respond(stream, connectResponse(HboneStatus.unavailable, ''), true);
      session.h2.resetStream(stream, ErrorCode.noError);
      return;
    }
    new InboundStream(this.#pod, this.#ends, session, stream).begin(headers, endStream);
  }

  onStreamGone(): void {}

  onSessionEnd(session: Session, cause: string): void {
    const { admission, cuts, telemetry, tunnels } = this.#pod.runtime;
    admission.leave();
    tunnels.ended();
    telemetry.tunnel(-1);
    cuts.tunnelEnded(session, this.#ends.peerIp, this.#ends.peerText);
    // A tunnel that never came to be is somebody knocking with the wrong key: that is told.
    if (!this.#usable) telemetry.earlyDeny('inbound', this.#ends.peerText, this.#ends.localText, cause);
    this.#pod.sessionGone(session);
  }
}
