// SPDX-License-Identifier: Apache-2.0
// HTTP to a port of a pod through the API server's port-forward: how tools reach admin ports that listen on the pod's
// loopback address only.

import { request as httpRequest } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import { type KubeConfig, PortForward } from '@kubernetes/client-node';
import { describeError } from '#lib/kit/error.ts';
import { KubeError } from './error.ts';

const DEFAULT_TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export interface PodAddress {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

export interface PodRequest {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly timeoutMs?: number;
}

export interface PodAnswer {
  readonly status: number;
  readonly body: string;
}

/** How kubelets say that the pod is there, and its program is not. */
const NOBODY_LISTENS = /refused|nothing listens/i;

/** Opens a byte stream to a pod's port. Throws KUBE_UNREACHABLE naming pod and port. */
export async function openPodPort(config: KubeConfig, { name, namespace, port }: PodAddress): Promise<Duplex> {
  const output = new PassThrough();
  const errors = new PassThrough();
  const input = new PassThrough();
  const failed = (cause: unknown): KubeError =>
    new KubeError('KUBE_UNREACHABLE', `cannot forward to port ${port} of pod ${namespace}/${name}`, {
      status: 0,
      cause: cause instanceof Error ? cause : new Error(messageOf(cause)),
      advice: 'check that the pod runs and that you may create pods/portforward',
    });
  const unserved = (text: string): KubeError =>
    new KubeError('KUBE_UNREACHABLE', `nobody serves port ${port} of pod ${namespace}/${name}`, {
      status: 0,
      cause: new Error(text),
      advice: 'its program is starting or has ended: see kubectl describe pod',
    });
  let socket: Awaited<ReturnType<PortForward['portForward']>>;
  try {
    socket = await new PortForward(config).portForward(namespace, name, [port], output, errors, input);
  } catch (cause) {
    throw failed(cause);
  }
  if (typeof socket === 'function') throw failed('no connection');
  const stream = new Duplex({
    read: () => void output.resume(),
    write: (chunk, _encoding, done) => void input.write(chunk, done),
    destroy: (error, done) => {
      socket.close();
      done(error);
    },
  });
  output.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) output.pause();
  });
  output.once('end', () => stream.push(null));
  // The error channel tells, in words, why the port could not be reached.
  errors.once('data', (bytes: Buffer) => {
    const text = bytes.toString('utf8').trim();
    stream.destroy(NOBODY_LISTENS.test(text) ? unserved(text) : failed(text));
  });
  socket.onclose = () => output.end();
  return stream;
}

/** One HTTP request to a pod's port. Any status is an answer. */
export async function requestPod(config: KubeConfig, address: PodAddress, request: PodRequest): Promise<PodAnswer> {
  const stream = await openPodPort(config, address);
  try {
    return await exchange(stream, request);
  } catch (error) {
    if (error instanceof KubeError) throw error;
    const { name, namespace, port } = address;
    throw new KubeError('KUBE_UNREACHABLE', `port ${port} of pod ${namespace}/${name}: ${describeError(error)}`, {
      status: 0,
      cause: error,
    });
  } finally {
    stream.destroy();
  }
}

function exchange(stream: Duplex, { body, method = 'GET', path, timeoutMs = DEFAULT_TIMEOUT_MS }: PodRequest) {
  return new Promise<PodAnswer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const finish = (end: () => void) => {
      clearTimeout(timer);
      end();
    };
    stream.once('error', (error) => finish(() => reject(error)));
    const headers = {
      host: 'localhost',
      connection: 'close',
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    };
    const sent = httpRequest({ method, path, headers, createConnection: () => stream }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) response.destroy(new Error(`the answer is over ${MAX_ANSWER_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.once('error', (error) => finish(() => reject(error)));
      response.once('end', () =>
        finish(() => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') })),
      );
    });
    sent.once('error', (error) => finish(() => reject(error)));
    sent.end(body);
  });
}

function messageOf(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}
