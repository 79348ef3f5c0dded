// SPDX-License-Identifier: Apache-2.0
// Looks whether the one application of a machine is well, as the readinessProbe of Istio's ProxyConfig says
// (`workload entry configure` copies it from the WorkloadGroup into mesh.yaml).
import { execFile } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

export interface HttpGet {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

export type Probe =
  | { readonly kind: 'http'; readonly get: HttpGet }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'exec'; readonly command: readonly string[] };

/** Runs a probe once: why it failed, '' when it did not. Never throws. */
export async function probeOnce(probe: Probe, timeoutMs: number): Promise<string> {
  switch (probe.kind) {
    case 'http':
      return await get(probe.get, timeoutMs);
    case 'tcp':
      return await reach(probe.host, probe.port, timeoutMs);
    case 'exec':
      return await run(probe.command, timeoutMs);
  }
}

function get({ headers, host, path, port, secure }: HttpGet, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const options = { host, port, path, headers, agent: false, timeout: timeoutMs, rejectUnauthorized: false };
    const sent = (secure ? httpsRequest : httpRequest)(options, (response) => {
      const { statusCode = 0 } = response;
      response.resume();
      // Kubernetes' rule: anything from 200 to 399 is well.
      resolve(statusCode >= 200 && statusCode < 400 ? '' : `GET ${path} answers ${statusCode}`);
    });
    const deadline = setTimeout(() => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    sent.once('error', (error) => resolve(`GET ${path}: ${error.message}`));
    sent.once('close', () => clearTimeout(deadline));
    sent.end();
  });
}

function reach(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
    socket.once('connect', () => {
      resolve('');
      socket.destroy();
    });
    socket.once('error', (error) => resolve(`port ${port}: ${error.message}`));
  });
}

function run([file = '', ...words]: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    execFile(file, words, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout) => {
      resolve(error === null ? '' : `${file}: ${stdout.trim() || error.message}`);
    });
  });
}
