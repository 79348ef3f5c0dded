// SPDX-License-Identifier: Apache-2.0
// Who was cut off for what it did with HTTP/2, or sent away before it came to that: each is counted, by the code it was told or the
// reason; lines name peer and reason, one a second, for who is cut off comes back at once.
import type { Loop } from '#lib/loop/loop.ts';
import { RateLimit } from '#lib/loop/rate-limit.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Vain } from '#lib/net/doorstep.ts';
import { OFFENCE } from '#lib/net/offenders.ts';
import type { Session } from '#lib/net/session.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';

/** Where it is counted and told. */
export interface CutTelemetry {
  count(name: string, labels: Readonly<Record<string, string>>): void;
  message(level: 'warn', message: string, fields: Readonly<Record<string, unknown>>): void;
}

const LINES_PER_SECOND = 1;

/** What is said of a connection that is sent away. */
export const NO_TLS = 'TLS handshake failed: what came first is no ClientHello';

export class CutLog {
  readonly #loop: Loop;
  readonly #telemetry: CutTelemetry;
  readonly #lines: RateLimit;
  /** Cut off since the last line of one. */
  #untold = 0;

  constructor(loop: Loop, telemetry: CutTelemetry) {
    this.#loop = loop;
    this.#telemetry = telemetry;
    this.#lines = new RateLimit(LINES_PER_SECOND, loop.now);
  }

  /** The tunnel `session` from `ip` is over: whose tunnels end badly waits when it comes again. `address` is `ip` and port. */
  tunnelEnded(session: Session, ip: Ip, address: string): void {
    const { bench, h2, violation } = session;
    if (violation !== null) {
      const { code, reason } = violation;
      bench.offenders.note(ip.text, OFFENCE.cut, `HTTP/2 error ${errorName(code)}: ${reason}`);
    } else if (!h2.settingsReceived) bench.offenders.note(ip.text, OFFENCE.vain, 'a handshake that came to nothing');
    this.ended(session, address);
  }

  /** `session` is over. `address`: of its peer. */
  ended({ peer, violation }: Session, address: string): void {
    if (violation === null || violation.code === ErrorCode.noError) return;
    const code = errorName(violation.code);
    this.#telemetry.count('ambit_http2_cut_total', { code });
    if (!this.#lines.take(this.#loop.now)) {
      this.#untold++;
      return;
    }
    const fields = { address, identity: peer?.uri ?? '', code, reason: violation.reason, untold: this.#untold };
    this.#telemetry.message('warn', 'an HTTP/2 connection was cut off', fields);
    this.#untold = 0;
  }

  /** A connection for tunnels that never began a handshake; true when that is worth a line. A probe of the port is silent, too. */
  sentAway(why: Vain): boolean {
    this.#telemetry.count('ambit_connections_refused_total', { reason: why });
    return why === 'no_tls' && this.#lines.take(this.#loop.now);
  }
}
