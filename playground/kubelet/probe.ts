// SPDX-License-Identifier: Apache-2.0
// Probes and lifecycle handlers. Network probes are sent from the node's own network, as a kubelet does: that is the
// traffic which a mesh has to let through.
import { request as httpRequest } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { type Container, type Handler, type HttpGet, type Probe, portNumber } from './pod.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** What went wrong, in the words that `kubectl describe` shows; empty when fine. */
  readonly message: string;
}

export interface ProbeTarget {
  readonly container: Container;
  readonly podIp: string;
  /** Runs a command in the container and resolves with its exit status and output. */
  readonly exec: (command: readonly string[], timeoutMs: number) => Promise<{ code: number; output: string }>;
}

const FINE: ProbeResult = { ok: true, message: '' };
const MAX_REPLY_BYTES = 10 * 1024;

/** Runs a probe's handler once. Never throws: whatever fails is the result. */
export async function probeOnce(handler: Handler, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  try {
    if (handler.exec !== undefined) {
      const { code, output } = await target.exec(handler.exec.command ?? [], timeoutMs);
      return code === 0 ? FINE : { ok: false, message: output.trim() || `exit status ${code}` };
    }
    if (handler.httpGet !== undefined) return await httpProbe(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket !== undefined) {
      return await tcpProbe(handler.tcpSocket.host ?? target.podIp, portOf(target, handler.tcpSocket.port), timeoutMs);
    }
    if (handler.grpc !== undefined)
      return await grpcProbe(target.podIp, handler.grpc.port, handler.grpc.service ?? '', timeoutMs);
    return FINE;
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

function portOf(target: ProbeTarget, port: number | string): number {
  const number = portNumber(target.container, port);
  if (number === undefined) throw new Error(`container ${target.container.name} has no port named ${port}`);
  return number;
}

function httpProbe(get: HttpGet, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.35', accept: '*/*', connection: 'close' };
  for (const { name, value } of get.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const secure = get.scheme?.toUpperCase() === 'HTTPS';
  const options = {
    host: get.host ?? target.podIp,
    port: portOf(target, get.port),
    path: get.path ?? '/',
    headers,
    agent: false as const,
    timeout: timeoutMs,
  };
  return new Promise((resolve, reject) => {
    const request = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    const limit = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.once('close', () => clearTimeout(limit));
    request.once('error', reject);
    request.once('response', (response) => {
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_REPLY_BYTES) response.destroy();
      });
      const status = response.statusCode ?? 0;
      const ok = status >= 200 && status < 400;
      response.once('close', () =>
        resolve(ok ? FINE : { ok, message: `HTTP probe failed with statuscode: ${status}` }),
      );
    });
    request.end();
  });
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => done({ ok: false, message: `dial tcp ${host}:${port}: i/o timeout` }));
    socket.once('connect', () => done(FINE));
    socket.once('error', (error) => done({ ok: false, message: error.message }));
  });
}

/** grpc.health.v1.Health/Check: field 1 of the request is the service, field 1 of the reply is 1 when it serves. */
function grpcProbe(host: string, port: number, service: string, timeoutMs: number): Promise<ProbeResult> {
  const name = Buffer.from(service);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return new Promise((resolve) => {
    const session = http2Connect(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
    const done = (result: ProbeResult): void => {
      clearTimeout(limit);
      session.destroy();
      resolve(result);
    };
    const limit = setTimeout(
      () => done({ ok: false, message: `timeout: no answer within ${timeoutMs} ms` }),
      timeoutMs,
    );
    session.once('error', (error: Error) => done({ ok: false, message: error.message }));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let reply = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      reply = Buffer.concat([reply, chunk]).subarray(0, MAX_REPLY_BYTES);
    });
    stream.once('error', (error: Error) => done({ ok: false, message: error.message }));
    stream.once('end', () => {
      const serving = reply.length >= 7 && reply[5] === 0x08 && reply[6] === 1;
      done(serving ? FINE : { ok: false, message: `service unhealthy` });
    });
    stream.end(Buffer.concat([head, message]));
  });
}

/** Counts results against a probe's thresholds and tells when its verdict changes. */
export class ProbeVerdict {
  readonly #probe: Probe;
  #passed: boolean;
  #streak = 0;

  /** `initial`: the verdict before the first result, e.g. not ready. */
  constructor(probe: Probe, initial: boolean) {
    this.#probe = probe;
    this.#passed = initial;
  }

  get passed(): boolean {
    return this.#passed;
  }

  /** Takes a result; true when a threshold was reached by it, whether or not the verdict is new. */
  take(ok: boolean): boolean {
    this.#streak = ok ? Math.max(this.#streak, 0) + 1 : Math.min(this.#streak, 0) - 1;
    const needed = ok ? (this.#probe.successThreshold ?? 1) : (this.#probe.failureThreshold ?? 3);
    if (Math.abs(this.#streak) < needed) return false;
    this.#passed = ok;
    return true;
  }
}
