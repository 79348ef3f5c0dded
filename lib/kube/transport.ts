// SPDX-License-Identifier: Apache-2.0
// How requests reach the API server: the address and credentials that a kubeconfig or the pod's own service account
// gives, over undici. Credentials are asked for at every request, so a rotated token or certificate needs no restart.

import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, buildConnector, type Dispatcher, ProxyAgent, request } from 'undici';
import { describeError } from '#lib/kit/error.ts';
import { keepAlive } from '#lib/kit/keepalive.ts';
import { KubeError } from './error.ts';

const CONNECT_TIMEOUT_MS = 5_000;

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  /** How long the server may take to begin its answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  text(): Promise<string>;
}

/** The seam between the client and the network. */
export interface Transport {
  send(request: TransportRequest): Promise<TransportAnswer>;
  close(): Promise<void>;
}

export interface KubeConfigSource {
  /** A kubeconfig file; without it `KUBECONFIG`, `~/.kube/config` or the pod's service account is used. */
  readonly kubeconfig?: string | undefined;
  /** A kubeconfig's text, instead of a file. */
  readonly text?: string;
  readonly context?: string | undefined;
  /** For programs made to run in pods: the pod's service account comes before somebody's `~/.kube/config`. */
  readonly preferServiceAccount?: boolean;
}

/** Is shown each new connection before anything is said on it: for limits that Node itself cannot set. */
export type OnDialled = (socket: Socket) => unknown;

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Reads the configuration that tells where the API server is. Throws KUBE_CONFIG naming the file. */
export function loadKubeConfig(source: KubeConfigSource = {}): KubeConfig {
  const config = new KubeConfig();
  try {
    if (source.text !== undefined) config.loadFromString(source.text);
    else if (source.kubeconfig !== undefined && source.kubeconfig !== '') config.loadFromFile(source.kubeconfig);
    else if (source.preferServiceAccount === true && existsSync(SERVICE_ACCOUNT_TOKEN)) config.loadFromCluster();
    else config.loadFromDefault();
  } catch (cause) {
    throw configError(
      `cannot read the kubeconfig ${source.text === undefined ? (source.kubeconfig ?? 'found by default') : 'given'}`,
      cause,
    );
  }
  if (source.context !== undefined && source.context !== '') {
    if (config.getContextObject(source.context) === null) throw configError(`no context named ${source.context}`);
    config.setCurrentContext(source.context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw configError('the kubeconfig names no current cluster');
  // client-node refuses plain HTTP unless told that there is nothing to verify.
  if (cluster.server.startsWith('http:')) Object.assign(cluster, { skipTLSVerify: true });
  return config;
}

function configError(message: string, cause?: unknown): KubeError {
  return new KubeError('KUBE_CONFIG', message, {
    status: 0,
    ...(cause === undefined ? {} : { cause }),
    advice: 'pass --kubeconfig FILE, set KUBECONFIG, or run in a pod with a service account',
  });
}

/** The transport a kubeconfig describes. */
export class KubeConfigTransport implements Transport {
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #proxy: string | undefined;
  readonly #onDialled: OnDialled;
  #dispatcher: { readonly fingerprint: string; readonly agent: Dispatcher } | undefined;

  constructor(config: KubeConfig, onDialled: OnDialled = () => {}) {
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw configError('the kubeconfig names no current cluster');
    this.#config = config;
    this.#server = cluster.server.replace(/\/$/, '');
    this.#proxy = cluster.proxyUrl;
    this.#onDialled = onDialled;
  }

  async send(wanted: TransportRequest): Promise<TransportAnswer> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'ambit' };
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      if (value !== undefined) headers[name.toLowerCase()] = String(value);
    }
    if (typeof options.auth === 'string') {
      headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    }
    if (wanted.contentType !== undefined) headers['content-type'] = wanted.contentType;
    try {
      const answer = await request(this.#server + wanted.path, {
        method: wanted.method,
        headers,
        body: wanted.body ?? null,
        dispatcher: this.#dispatcherFor(options),
        headersTimeout: wanted.timeoutMs,
        bodyTimeout: 0,
        signal: wanted.signal ?? null,
      });
      const retryAfter = answer.headers['retry-after'];
      return {
        status: answer.statusCode,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
        body: answer.body,
        text: () => answer.body.text(),
      };
    } catch (cause) {
      wanted.signal?.throwIfAborted();
      throw new KubeError(
        'KUBE_UNREACHABLE',
        `the API server at ${this.#server} did not answer: ${describeError(cause)}`,
        {
          status: 0,
          cause,
          advice: 'check that it runs and that its address and certificate authority in the kubeconfig are right',
        },
      );
    }
  }

  async close(): Promise<void> {
    const dispatcher = this.#dispatcher;
    this.#dispatcher = undefined;
    await dispatcher?.agent.destroy();
  }

  /** One pool of connections as long as the TLS material stays the same. */
  #dispatcherFor(options: RequestOptions): Dispatcher {
    const { ca, cert, key, rejectUnauthorized, servername } = options;
    const fingerprint = [ca, cert, key, rejectUnauthorized, servername].map((part) => String(part ?? '')).join('\0');
    if (this.#dispatcher?.fingerprint === fingerprint) return this.#dispatcher.agent;
    const tls = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key: key as string | Buffer }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
      ...(servername === undefined ? {} : { servername }),
    };
    const open = buildConnector({ ...tls, timeout: CONNECT_TIMEOUT_MS });
    const connect: typeof open = (to, done) =>
      open(to, (error, socket) => {
        if (error !== null) return done(error, null);
        // A watch may have nothing to say for long.
        keepAlive(socket);
        this.#onDialled(socket);
        done(null, socket);
      });
    const agent =
      this.#proxy === undefined
        ? new Agent({ connect, allowH2: false, pipelining: 1 })
        : new ProxyAgent({ uri: this.#proxy, requestTls: tls });
    // Requests still running on the old pool finish there; it goes away with them.
    const old = this.#dispatcher?.agent;
    this.#dispatcher = { fingerprint, agent };
    if (old !== undefined) void old.close().catch(() => undefined);
    return agent;
  }
}
