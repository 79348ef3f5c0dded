// SPDX-License-Identifier: Apache-2.0
// The kubelet's HTTPS API, what an API server asks of it: logs, exec, attach, port-forward and the list of pods. Only
// clients with a certificate of the cluster's authority are served.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Kubelet } from '../kubelet.ts';
import { showLine } from '../log-file.ts';
import { serveAttach, serveExec } from './exec.ts';
import { followLog, readPodLog } from './log-reader.ts';
import { forwardWebSocket, SpdyForwarder } from './port-forward.ts';
import {
  isTunnel,
  isWebSocket,
  openSpdy,
  openTunnel,
  openWebSocket,
  spdyChannels,
  webSocketChannels,
} from './upgrade.ts';

/** Newest first. */
const EXEC_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const FORWARD_PROTOCOLS = ['v4.channel.k8s.io', 'v5.channel.k8s.io'];
const SPDY_FORWARD = ['portforward.k8s.io'];

export interface ServerOptions {
  readonly kubelet: Kubelet;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  /** PEM of the authority that the API server's client certificate is from. */
  readonly clientCa: string;
  readonly log: Logger;
}

interface Call {
  readonly verb: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly query: URLSearchParams;
}

export class KubeletServer {
  readonly #options: ServerOptions;
  readonly #server: Server;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { cert, key, clientCa } = options;
    this.#server = createServer(
      { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true },
      (request, response) => this.#answer(request, response),
    );
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => refuse(socket, error));
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#server.once('error', reject).listen(this.#options.port, '::', () => resolve()),
    );
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    try {
      const path = new URL(request.url ?? '/', 'https://kubelet').pathname;
      if (path === '/healthz') return void response.end('ok');
      if (path === '/pods')
        return void response.end(
          JSON.stringify({ kind: 'PodList', apiVersion: 'v1', items: this.#options.kubelet.pods() }),
        );
      const call = parseCall(request.url ?? '/');
      if (call?.verb !== 'containerLogs') return void response.writeHead(404).end('404 page not found\n');
      this.#logs(call, response);
    } catch (error) {
      response.writeHead(400).end(`${describeError(error)}\n`);
    }
  }

  #logs({ namespace, pod, container, query }: Call, response: ServerResponse): void {
    const found = this.#find(namespace, pod, container);
    const timestamps = query.get('timestamps') === 'true';
    const attempt = found.attempt - (query.get('previous') === 'true' ? 1 : 0);
    const lines = readPodLog(found.runtime.logPath(container, attempt), query, Date.now());
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    for (const line of lines) response.write(showLine(line, timestamps));
    if (query.get('follow') !== 'true' || found.log === undefined) return void response.end();
    const stop = followLog(found.log, (line) => {
      if (line === undefined) response.end();
      else response.write(showLine(line, timestamps));
    });
    response.on('close', stop);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const call = parseCall(request.url ?? '/');
    if (call === undefined) throw new Error('no such path');
    if (call.verb === 'portForward') return this.#forward(call, request, socket, head);
    const found = this.#find(call.namespace, call.pod, call.container);
    if (found.running === undefined) throw new Error(`container ${call.container} is not running`);
    const asked = (name: string): boolean => ['1', 'true'].includes(call.query.get(name) ?? '');
    const tty = asked('tty');
    const channels = isWebSocket(request)
      ? webSocketOrNone(request, socket, head)
      : await spdyChannels(
          (onStream) => openSpdy(request, socket, head, EXEC_PROTOCOLS, onStream),
          [
            'error',
            ...(asked('input') ? ['stdin'] : []),
            ...(asked('output') ? ['stdout'] : []),
            ...(asked('error') && !tty ? ['stderr'] : []),
          ],
        );
    if (channels === undefined) return;
    if (call.verb === 'exec') {
      await serveExec(found.running, { command: call.query.getAll('command'), tty, stdin: asked('input') }, channels);
      return;
    }
    const spec = found.runtime.pod.spec.containers.find(({ name }) => name === call.container);
    serveAttach(found.running, spec?.stdinOnce === true, channels);
  }

  #forward({ namespace, pod, query }: Call, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const found = this.#options.kubelet.find(namespace, pod);
    if (found === undefined || !found.runtime.hasSandbox())
      throw new Error(`pod ${namespace}/${pod} does not run here`);
    const netns = found.runtime.netns();
    if (isWebSocket(request) && !isTunnel(request)) {
      const ports = query
        .getAll('port')
        .concat(query.getAll('ports'))
        .flatMap((text) => text.split(','))
        .map(Number);
      const link = openWebSocket(request, socket, head, FORWARD_PROTOCOLS);
      if (link !== undefined) forwardWebSocket(link, netns, ports);
      return;
    }
    const forwarder = new SpdyForwarder(netns);
    if (isTunnel(request)) openTunnel(request, socket, head, (stream) => forwarder.accept(stream));
    else openSpdy(request, socket, head, SPDY_FORWARD, (stream) => forwarder.accept(stream));
  }

  #find(namespace: string, pod: string, container: string) {
    const found = this.#options.kubelet.find(namespace, pod);
    const worker = found?.worker.find(container);
    if (found === undefined || worker === undefined) {
      throw new Error(`container "${container}" in pod "${pod}" is not found`);
    }
    return { runtime: found.runtime, running: worker.running, attempt: worker.attempt, log: worker.running?.log };
  }
}

function webSocketOrNone(request: IncomingMessage, socket: Duplex, head: Buffer) {
  const link = openWebSocket(request, socket, head, EXEC_PROTOCOLS);
  return link === undefined ? undefined : webSocketChannels(link);
}

/** `/VERB/NAMESPACE/POD[/CONTAINER]?query`. */
function parseCall(url: string): Call | undefined {
  const { pathname, searchParams } = new URL(url, 'https://kubelet');
  const [verb = '', namespace, pod, container = ''] = pathname.split('/').slice(1).map(decodeURIComponent);
  if (namespace === undefined || pod === undefined) return undefined;
  return { verb, namespace, pod, container, query: searchParams };
}

function refuse(socket: Duplex, error: unknown): void {
  const body = `${describeError(error)}\n`;
  if (!socket.writable) return;
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
