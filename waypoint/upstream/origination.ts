// SPDX-License-Identifier: Apache-2.0
// TLS to servers, as a DestinationRule or BackendTLSPolicy has it: contexts made once, and who is taken for the right server.
import { describeError } from '#lib/kit/error.ts';
import type { UpstreamTls } from '#lib/mesh/http/traffic-policy.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import { dialTls } from '#lib/net/http/dial-tls.ts';
import { TlsArenas } from '#lib/net/http/tls-link.ts';
import type { Dialler, Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { type Alpn, TlsContext } from '#lib/tls/context.ts';
import { Revocations } from '#lib/tls/revocation.ts';
import { judgeServer } from '#lib/tls/server-name.ts';
import { readCrl } from '#lib/wire/crl.ts';
import { pemBlocks } from '#lib/wire/pem.ts';

export interface OriginationOptions {
  readonly bench: HttpBench;
  /** PEM of the authorities that the system trusts; '' when it has none. */
  readonly systemRoots: () => string;
  /** Wall clock, ms. */
  readonly now: () => number;
}

/** What all connections with TLS of one process share. */
export class TlsOriginations {
  readonly #options: OriginationOptions;
  #arenas: TlsArenas | undefined;
  #roots: string | undefined;

  constructor(options: OriginationOptions) {
    this.#options = options;
  }

  of(settings: UpstreamTls): TlsOrigination {
    this.#arenas ??= new TlsArenas();
    return new TlsOrigination(this.#options, this.#arenas, settings, () => {
      this.#roots ??= this.#options.systemRoots();
      return this.#roots;
    });
  }
}

const text = (pem: Uint8Array): string => Buffer.from(pem).toString('latin1');
const NOT_BEGUN: Dialling = Object.freeze({ cancel() {} });

export class TlsOrigination {
  readonly #options: OriginationOptions;
  readonly #arenas: TlsArenas;
  readonly #settings: UpstreamTls;
  readonly #systemRoots: () => string;
  readonly #contexts = new Map<Alpn, TlsContext>();
  readonly #names: readonly string[];
  #revocations: Revocations | undefined;
  /** Why no connection can be made; '' while nothing is known against it. */
  #problem: string;

  constructor(options: OriginationOptions, arenas: TlsArenas, settings: UpstreamTls, systemRoots: () => string) {
    this.#options = options;
    this.#arenas = arenas;
    this.#settings = settings;
    this.#systemRoots = systemRoots;
    const { crl, insecureSkipVerify, invalid, sni, subjectAltNames } = settings;
    this.#problem = invalid;
    this.#names = subjectAltNames.length > 0 ? subjectAltNames : sni === '' ? [] : [sni];
    if (invalid === '' && !insecureSkipVerify && this.#names.length === 0)
      this.#problem = 'neither sni nor subjectAltNames say which server is meant';
    if (crl.length > 0) this.#readRevocations(text(crl));
  }

  /** `alpn`: what is spoken inside. */
  dial(dial: Dialler, alpn: Alpn, timeoutMs: number, outcome: DialOutcome): Dialling {
    const context = this.#context(alpn);
    if (context === undefined) {
      outcome.onNoLink(`TLS cannot be begun: ${this.#problem}`);
      return NOT_BEGUN;
    }
    const { bench, now } = this.#options;
    const { insecureSkipVerify, sni } = this.#settings;
    const judge = (chain: readonly Uint8Array[]): string =>
      insecureSkipVerify ? '' : judgeServer(chain, this.#names, this.#revocations, now());
    return dialTls(bench, dial, { context, arenas: this.#arenas, serverName: sni, judge, timeoutMs }, outcome);
  }

  /** Nobody dials by it any more; connections that there are go on. */
  dispose(): void {
    for (const context of this.#contexts.values()) context.dispose();
    this.#contexts.clear();
    this.#problem = 'settings were replaced';
  }

  #context(alpn: Alpn): TlsContext | undefined {
    if (this.#problem !== '') return undefined;
    const known = this.#contexts.get(alpn);
    if (known !== undefined) return known;
    const { caCertificates, clientCertificate, insecureSkipVerify, mode, privateKey, systemRoots } = this.#settings;
    const mutual = mode === 'mutual';
    const roots = systemRoots ? this.#systemRoots() : text(caCertificates);
    try {
      const context = TlsContext.create({
        certificateChainPem: mutual ? text(clientCertificate) : undefined,
        privateKeyPem: mutual ? text(privateKey) : undefined,
        rootsPem: insecureSkipVerify ? undefined : roots,
        alpn,
        tls12: true,
      });
      this.#contexts.set(alpn, context);
      return context;
    } catch (error) {
      this.#problem = describeError(error);
      return undefined;
    }
  }

  #readRevocations(pem: string): void {
    const lists = pemBlocks(pem, 'X509 CRL').map(readCrl);
    const bad = lists.find((one) => !one.ok);
    if (bad?.ok === false) this.#problem = `the revocation list cannot be read: ${bad.problems[0]?.message ?? ''}`;
    else if (lists.length === 0) this.#problem = 'the revocation list holds no X509 CRL block';
    this.#revocations = new Revocations(lists.flatMap((one) => (one.ok ? [one.value] : [])));
  }
}
