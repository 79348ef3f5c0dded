// SPDX-License-Identifier: Apache-2.0
// Asks the node agent to enrol a pod: POST /cmdadd over its unix socket, in the form Istio's agent and plugin speak.
import { request } from 'node:http';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import type { PodAddress, PodReference } from './config.ts';

const SOCKET = 'pluginevent.sock';
const ANSWER_WITHIN_MS = 5000;
/** An agent's error text longer than this is cut: it ends up in a Kubernetes Event. */
const MAX_TEXT = 1 << 20;

/** The request's body: Go's names, and its encoding of a network mask as base64. */
export function addEvent(netns: string, { name, namespace }: PodReference, addresses: readonly PodAddress[]): string {
  return JSON.stringify({
    Netns: netns,
    PodName: name,
    PodNamespace: namespace,
    IPs: addresses.map(({ ip, prefix, interface: index, gateway }) => ({
      Interface: index,
      Address: { IP: ip, Mask: maskOf(prefix, ip.includes(':') ? 16 : 4).toString('base64') },
      Gateway: gateway,
    })),
  });
}

/** Resolves once the pod is redirected and the proxy serves it. Throws CNI_AGENT otherwise: the pod must not start. */
export function enrol(runDir: string, body: string): Promise<void> {
  const socketPath = join(runDir, SOCKET);
  return new Promise((resolve, reject) => {
    const refuse = (message: string, cause?: unknown): void =>
      reject(
        new AmbitError('CNI_AGENT', `the node agent cannot enrol the pod: ${message}`, {
          cause,
          advice: 'the runtime tries again; see the logs of istio-cni-node on this node',
        }),
      );
    const asked = request(
      {
        socketPath,
        path: '/cmdadd',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        timeout: ANSWER_WITHIN_MS,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          if (text.length < MAX_TEXT) text += chunk;
        });
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : refuse(`status ${response.statusCode}: ${text.trim()}`),
        );
        response.on('error', (error) => refuse(`${socketPath}: ${error.message}`, error));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    asked.on('error', (error) => refuse(`${socketPath}: ${error.message}`, error));
    asked.end(body);
  });
}

function maskOf(prefix: number, bytes: number): Buffer {
  return Buffer.from(
    Array.from({ length: bytes }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * i))) & 0xff),
  );
}
